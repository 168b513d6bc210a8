"""Runs a command, and ends it in one line where its user made a mistake.

Exit status: 0; 2 for a user's mistake, or for what its disk or its permissions
do not allow; 3 where every run failed; 130 after Ctrl-C.
"""

import errno
import functools
import logging
import pathlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import rich.console
from absl import app, flags
from absl import logging as absl_logging
from ml_collections.config_flags import config_flags

from mmer_jax.base import compile_cache, config_file, errors, progress

USER_ERROR = 2
ALL_RUNS_FAILED = 3
INTERRUPTED = 130

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
_OWN_NAMES = ("", "mmer_jax", "data_prep")
_OURS = (_PACKAGE, _PACKAGE.parent / "data_prep")

# What an operating system refuses, and what helps.
_SYSTEM_FAULTS = {
  errno.ENOENT: "does not exist; check the path",
  errno.EEXIST: "exists already; choose another path",
  errno.ENOTDIR: "is not a folder on its way; choose another path",
  errno.EISDIR: "is a folder, expected a file; choose another path",
  errno.EACCES: "may not be read or written; change its permissions, or choose"
  " another path",
  errno.EPERM: "may not be changed; change its permissions, or choose another"
  " path",
  errno.EROFS: "is on a disk that cannot be written; choose another path",
  errno.ENAMETOOLONG: "is too long a name; choose another path",
}
_FULL = ("No space left on device", "Disk quota exceeded")


def run(
  main: Callable[[Sequence[str]], int | None], *, arguments: str = ""
) -> None:
  """Runs a command under absl and ends the process with its exit status.

  Everything that reads what a user wrote (configs, flags, shards, feature
  files, checkpoints) raises `UserError`, which becomes one line; so do a full
  disk, a path that cannot be used and Ctrl-C. Any other exception is a fault
  of ours and keeps its traceback.

  Args:
    main: Takes the remaining arguments, as `absl.app.run` passes them, and
      returns an exit status or None for 0.
    arguments: What may stand beside the flags, in words; empty for nothing.
  """
  progress.clear()
  compile_cache.define_flag()
  handler = absl_logging.get_absl_handler()
  handler.addFilter(_is_ours)
  handler.setFormatter(_Voice())
  handler.python_handler.stream = _Stderr()
  warnings.showwarning = _show_warning
  app.run(functools.partial(_call, main, arguments), flags_parser=_parse)


def _call(
  main: Callable[[Sequence[str]], int | None],
  arguments: str,
  argv: Sequence[str],
) -> int | None:
  """Runs a command; returns the exit status."""
  try:
    if len(argv) > 1 and not arguments:
      raise errors.UserError(
        f"unexpected argument {argv[1]!r}, expected flags only; see --help"
      )
    compile_cache.enable(flags.FLAGS[compile_cache.FLAG].value)
    with progress.shown(rich.console.Console(stderr=True)):
      return main(argv)
  except KeyboardInterrupt:
    return _end("stopped by Ctrl-C", INTERRUPTED)
  except Exception as error:
    text = describe(error)
    if text is None:
      raise
    return _end(f"error: {text}", USER_ERROR)


def describe(error: BaseException) -> str | None:
  """Describes a mistake of the user's, or a limit of the machine's.

  Returns:
    One line; None for what is a fault of ours.
  """
  if isinstance(error, errors.UserError):
    return str(error)
  for each in _chain(error):
    if any(full in str(each) for full in _FULL):
      path = getattr(each, "filename", None)
      where = f" at {path}" if path else ""
      return f"the disk is full{where}; free some space and try again"
  if isinstance(error, OSError) and error.filename is not None:
    name = error.filename
    reason = _SYSTEM_FAULTS.get(error.errno)
    return f"{name} {reason}" if reason else f"{name}: {error.strerror}"
  return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
  """Gives an exception and those that it was raised from, newest first."""
  while error is not None:
    yield error
    error = error.__cause__


def let_configs_be_named() -> None:
  """Gives every flag that takes a config file the parser of this project."""
  for name in flags.FLAGS:
    parser = flags.FLAGS[name].parser
    if isinstance(parser, config_flags.ConfigFileFlagParser):
      flags.FLAGS[name].parser = config_file.ConfigFileParser(parser.name)


def _parse(argv: Sequence[str]) -> list[str]:
  """Reads the flags; what goes wrong here is the command line's or a config's.

  A flag that names a config file runs that file: a missing file, an unknown
  variant, a misspelt key and a value of another type all end here.
  """
  let_configs_be_named()
  try:
    return flags.FLAGS(argv)
  except SystemExit:
    # absl ends so after --help, with status 1.
    sys.exit(0)
  except KeyboardInterrupt:
    sys.exit(_end("stopped by Ctrl-C", INTERRUPTED))
  except (
    flags.Error,
    AttributeError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
  ) as error:
    sys.exit(_end(f"error: {_describe_flag(error)}", USER_ERROR))


def _describe_flag(error: Exception) -> str:
  """Describes a fault of the command line."""
  # absl raises anew what a parser raises.
  if isinstance(error.__context__, errors.UserError):
    return str(error.__context__)
  text = str(error) or type(error).__name__
  missing = re.search(r"Flag --(\w+) must have a value other than None", text)
  orphan = re.search(r"Unknown command line flag '(\w+)\.", text)
  for match in (missing, orphan):
    if match and match[1] in flags.FLAGS:
      return f"--{match[1]} is missing; see --help for an example"
  return f"{text}; see --help"


def _end(text: str, status: int) -> int:
  """Writes one line to the terminal; returns the exit status."""
  sys.stderr.write(" ".join(text.split()) + "\n")
  return status


def _show_warning(
  message: Warning | str, category: type[Warning], filename: str, *rest: Any
) -> None:
  """Writes what Python warns of as one line, and whose it is."""
  del category, rest
  parts = pathlib.Path(filename).parts
  libraries = [i for i, each in enumerate(parts) if each == "site-packages"]
  name = parts[libraries[-1] + 1] if libraries else ""
  whose = f"{pathlib.Path(name).stem}: " if name not in _OWN_NAMES else ""
  sys.stderr.write(f"warning: {whose}{' '.join(str(message).split())}\n")


class _Stderr:
  """Writes to what is standard error now: a bar that is drawn stands in."""

  def write(self, text: str) -> None:
    """Writes a text."""
    sys.stderr.write(text)

  def flush(self) -> None:
    """Writes what is still held back."""
    sys.stderr.flush()

  def close(self) -> None:
    """Leaves it open: it is the process's."""


class _Voice(logging.Formatter):
  """Formats what is logged as the lines beside it are."""

  def format(self, record: logging.LogRecord) -> str:
    """Makes one line: what is told, after `warning:` where it matters."""
    text = " ".join(record.getMessage().split())
    if record.exc_info:
      text = f"{text}\n{self.formatException(record.exc_info)}"
    if record.levelno < logging.WARNING:
      return text
    library = "" if _in_our_files(record) else f"{record.name}: "
    return f"warning: {library}{text}"


def _is_ours(record: logging.LogRecord) -> bool:
  """Drops INFO lines of libraries, which log every file that they touch.

  And the tracebacks of Orbax and of its asyncio: where a write of a checkpoint
  fails, they log one for each write, and then raise as well.
  """
  path = pathlib.Path(record.pathname).resolve()
  if record.name == "asyncio" or (record.exc_info and "orbax" in path.parts):
    return False
  return record.levelno >= logging.WARNING or _in_our_files(record)


def _in_our_files(record: logging.LogRecord) -> bool:
  """Tells whether a line is this project's and not a library's."""
  path = pathlib.Path(record.pathname).resolve()
  return any(path.is_relative_to(folder) for folder in _OURS)
