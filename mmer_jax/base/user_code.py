"""Runs Python files that a user wrote and says in which line they fail."""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType

from mmer_jax.base import errors


def load(path: pathlib.Path, name: str) -> ModuleType:
  """Runs a Python file as a module.

  Args:
    path: The file, of any suffix that `check_file` lets pass.
    name: Name of the module.

  Raises:
    UserError: The file is missing, is not Python or raises.
  """
  check_file(path)
  loader = importlib.machinery.SourceFileLoader(name, str(path))
  module = importlib.util.module_from_spec(
    importlib.util.spec_from_loader(name, loader)
  )
  sys.modules[name] = module
  with naming_line(path):
    loader.exec_module(module)
  return module


def check_file(path: pathlib.Path) -> None:
  """Refuses what is not a Python file."""
  if path.is_dir():
    raise errors.UserError(f"{path} is a folder, expected a Python file")
  if not path.exists():
    raise errors.UserError(
      f"{path} does not exist, expected a Python file; see --help for an"
      " example"
    )
  if path.suffix != ".py":
    raise errors.UserError(
      f"{path} is not a Python file (.py), which a config has to be: one that"
      " defines get_config(); begin with a file of configs/"
    )


@contextlib.contextmanager
def naming_line(path: pathlib.Path) -> Iterator[None]:
  """Turns what a user's file raises into one line that names the place.

  Args:
    path: The file; of the calls that lead to a fault, the last one in this
      file is named.

  Raises:
    UserError: The file raises, or is not Python.
  """
  try:
    yield
  except errors.UserError:
    raise
  except SyntaxError as error:
    place = f"{error.filename or path}, line {error.lineno or 1}"
    raise errors.UserError(f"{place}: {error.msg}; mend that line") from error
  except Exception as error:
    lines = [
      frame.lineno
      for frame in traceback.extract_tb(error.__traceback__)
      if _same_file(frame.filename, path)
    ]
    place = f"{path}, line {lines[-1]}" if lines else f"{path}"
    raise errors.UserError(
      f"{place}: {type(error).__name__}: {error}; mend that line"
    ) from error


def _same_file(name: str, path: pathlib.Path) -> bool:
  """Compares the file of a frame, which may be relative, with a path."""
  return os.path.abspath(name) == os.path.abspath(path)
