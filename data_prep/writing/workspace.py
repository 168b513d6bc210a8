"""Makes the output folder of a conversion appear whole, or not at all.

Everything is written below a hidden folder beside the output; the finished
shards are renamed as the last act: a folder of the output's name is a finished
conversion. The hidden folder is locked while a conversion lives. What a killed
one has left stays there, in a folder named by all that the conversion depends
on: the same one goes on from it, any other clears it away.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator

from mmer_jax.base.errors import UserError

_UNKNOWN = "unknown"
_SUFFIX = ".incomplete"


class Resumable(UserError):
  """Ends a conversion from outside; the same one goes on from what is done."""


def refuse_existing(output: pathlib.Path) -> None:
  """Raises a `UserError` unless `output` is free to write."""
  if output.exists() and not output.is_dir():
    raise UserError(f"output {output} is a file; give --output a new folder")
  if output.is_dir() and any(output.iterdir()):
    raise UserError(
      f"output {output} exists and is not empty; remove it or give --output"
      " another folder"
    )


def is_hidden(path: pathlib.Path) -> bool:
  """Says whether a path is below the hidden folder of any conversion."""
  return any(
    part.startswith(".") and part.endswith(_SUFFIX) for part in path.parts
  )


@contextlib.contextmanager
def workspace(
  output: pathlib.Path, identity: str | None = None
) -> Iterator[pathlib.Path]:
  """Makes a hidden folder beside `output`, locked.

  It is gone afterwards; where the conversion was ended from outside and has an
  identity, it stays.

  Args:
    output: The folder that will appear.
    identity: A digest of all that the conversion depends on; the folder holds
      what one of the same identity has left. None for an empty one.

  Raises:
    UserError: It cannot be written, or another conversion is writing it.
  """
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    hidden = output.parent / f".{output.name}{_SUFFIX}"
    hidden.mkdir(exist_ok=True)
    lock = os.open(hidden, os.O_RDONLY)
  except OSError as error:
    raise UserError(f"cannot write beside {output}: {error}") from error
  try:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise UserError(
        f"another conversion is writing {output}; wait for it or give --output"
        " another folder"
      ) from error
    folder = hidden / (identity or _UNKNOWN)
    # What a killed conversion of something else has left.
    for path in hidden.iterdir():
      if path != folder or identity is None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.mkdir(exist_ok=True)
    stays = False
    try:
      yield folder
    except BaseException as error:
      refused = isinstance(error, UserError)
      stays = identity is not None and (
        not refused or isinstance(error, Resumable)
      )
      raise
    finally:
      if not stays:
        shutil.rmtree(hidden, ignore_errors=True)
  finally:
    os.close(lock)


def rename(folder: pathlib.Path, output: pathlib.Path) -> None:
  """Gives a finished folder its name, once it is on the disk as a whole."""
  for path in folder.iterdir():
    with path.open("rb") as file:
      os.fsync(file.fileno())
  # An empty folder of that name is replaced; one that filled up meanwhile not.
  refuse_existing(output)
  folder.rename(output)
