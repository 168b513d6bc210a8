"""Hands the metrics of each epoch to a function of the user's.

The function is called once, with the config and the workdir, and returns what
is called with each row of `metrics.jsonl`: a mapping with `run`, `seed`,
`fold`, `stage_name`, `epoch` and the numbers. What it returns may have a method
`close()`. For Weights & Biases, say, with a run of theirs for each of ours:

  import wandb

  def log(config, workdir):
    runs = {}

    def add(row):
      number = row["run"]
      if number not in runs:
        runs[number] = wandb.init(
          group=workdir.name, name=f"run {number}", config=config,
          reinit="create_new",
        )
      runs[number].log(row)

    return add
"""

import contextlib
import importlib
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmer_jax.base import errors

# Takes a row of `metrics.jsonl`.
AddRow = Callable[[Mapping[str, Any]], None]
# Takes the config and the workdir.
OpenLog = Callable[[dict[str, Any], pathlib.Path], AddRow]


def find(name: str) -> OpenLog:
  """Finds the function that `--log_to` names.

  Args:
    name: `MODULE:FUNCTION`, of a module in the folder where the command runs or
      anywhere on Python's path.

  Raises:
    UserError: There is no such module or function.
  """
  module, colon, function = name.partition(":")
  if not colon or not module or not function:
    raise errors.UserError(
      f"--log_to={name}, expected MODULE:FUNCTION, as my_log:wandb"
    )
  if os.getcwd() not in sys.path:
    sys.path.insert(0, os.getcwd())
  with naming(name):
    found = getattr(importlib.import_module(module), function, None)
  if not callable(found):
    raise errors.UserError(
      f"--log_to={name}: {module} has no function {function!r}"
    )
  return found


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
  """Names the function in what it raises.

  Raises:
    UserError: The function, or its module, raises.
  """
  try:
    yield
  except Exception as error:
    raise errors.UserError(
      f"--log_to={name}: {type(error).__name__}: {error}; mend it, or leave"
      " --log_to out"
    ) from error


class Hook:
  """Calls the function of the user's with each row."""

  def __init__(self, name: str, add: AddRow):
    """Takes what the function returned, and its name for messages."""
    self._name = name
    self._add = add

  def add(self, rows: list[dict[str, Any]]) -> None:
    """Hands over the rows of an epoch."""
    with naming(self._name):
      for row in rows:
        self._add(dict(row))

  def close(self) -> None:
    """Closes it, where it can be closed."""
    with naming(self._name):
      if hasattr(self._add, "close"):
        self._add.close()


def open_hook(
  log_to: str | OpenLog, config: dict[str, Any], folder: pathlib.Path
) -> Hook:
  """Calls the function with the config and the workdir.

  Args:
    log_to: The function, or `MODULE:FUNCTION`.
    config: The content of `config.json`.
    folder: The workdir.

  Raises:
    UserError: There is no such function, or it fails.
  """
  function = find(log_to) if isinstance(log_to, str) else log_to
  name = log_to if isinstance(log_to, str) else function.__name__
  with naming(name):
    add = function(config, folder)
  if not callable(add):
    raise errors.UserError(
      f"--log_to={name} returned {type(add).__name__}, expected a function that"
      " takes a row of metrics.jsonl"
    )
  return Hook(name, add)
