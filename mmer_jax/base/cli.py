"""How a verb ends when its user made a mistake: one line, exit status 2."""

import logging
import sys
from collections.abc import Callable, Sequence

from absl import app, flags
from absl import logging as absl_logging

from mmer_jax.base import errors

USER_ERROR = 2


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Runs a verb under absl; a `UserError` ends it without a traceback.

  Everything that reads what a user wrote (configs, flags, shards, feature
  files, checkpoints) raises `UserError`. Any other exception is a fault of
  ours and keeps its traceback.

  Args:
    main: Takes the remaining arguments, as `absl.app.run` passes them.
  """
  absl_logging.get_absl_handler().addFilter(_is_ours)

  def reporting(argv: Sequence[str]) -> int | None:
    try:
      if len(argv) > 1:
        raise errors.UserError(
          f"unexpected argument {argv[1]!r}, expected flags only; see --help"
        )
      main(argv)
    except errors.UserError as error:
      return _report(error)
    return None

  app.run(reporting, flags_parser=_parse)


def _parse(argv: Sequence[str]) -> list[str]:
  """Reads the flags; what goes wrong here is the command line's or a config's.

  A flag that names a config file runs that file: a missing file, an unknown
  variant, a misspelt key and a value of another type all end here.
  """
  try:
    rest = flags.FLAGS(argv)
    for name in flags.FLAGS:
      # A config file that is missing fails only when something asks it.
      getattr(flags.FLAGS[name].value, "is_locked", None)
    return rest
  except (
    flags.Error,
    AttributeError,
    ImportError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
  ) as error:
    sys.exit(_report(error))


def _report(error: Exception) -> int:
  text = str(error)
  if not isinstance(error, errors.UserError):
    # A config file's own error comes with its traceback in the text.
    if "Traceback" in text:
      text = text.strip().splitlines()[-1]
    text = f"{text or type(error).__name__}; see --help"
  text = " ".join(text.split())
  sys.stderr.write(f"error: {text}\n")
  return USER_ERROR


def _is_ours(record: logging.LogRecord) -> bool:
  """Libraries log every file they touch at INFO; a user wants our lines."""
  ours = ("mmer_jax", "data_prep")
  return record.levelno >= logging.WARNING or any(
    part in ours for part in record.pathname.split("/")[-3:-1]
  )
