"""How a verb ends when its user made a mistake: one line, exit status 2."""

import logging
import sys
from collections.abc import Callable, Sequence

from absl import app
from absl import logging as absl_logging

USER_ERROR = 2


class UserError(ValueError):
  """A mistake of the user's: what, got, expected and the fix, on one line."""


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Runs a verb under absl; a `UserError` ends it without a traceback.

  Everything that reads what a user wrote (configs, flags, shards, feature
  files, checkpoints) raises `UserError`. Any other exception is a fault of
  ours and keeps its traceback.

  Args:
    main: Takes the remaining arguments, as `absl.app.run` passes them.
  """
  absl_logging.get_absl_handler().addFilter(_is_ours)

  def guarded(argv: Sequence[str]) -> None:
    if len(argv) > 1:
      raise app.UsageError(f"unexpected argument {argv[1]!r}")
    main(argv)

  def reporting(argv: Sequence[str]) -> int | None:
    try:
      guarded(argv)
    except UserError as error:
      sys.stderr.write("error: " + " ".join(str(error).split()) + "\n")
      return USER_ERROR
    return None

  app.run(reporting)


def _is_ours(record: logging.LogRecord) -> bool:
  """Libraries log every file they touch at INFO; a user wants our lines."""
  ours = ("mmer_jax", "data_prep")
  return record.levelno >= logging.WARNING or any(
    part in ours for part in record.pathname.split("/")[-3:-1]
  )
