"""Makes the output folder of a conversion appear whole, or not at all.

Everything is written below a hidden folder beside the output, which is renamed
as the last act: a folder of the output's name is a finished conversion. The
hidden folder is locked while a conversion lives, so that the next one knows
what a killed one has left, and clears it away.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator

from mmer_jax.base.errors import UserError


def refuse_existing(output: pathlib.Path) -> None:
  """Raises a `UserError` unless `output` is free to write."""
  if output.exists() and not output.is_dir():
    raise UserError(f"output {output} is a file; give --output a new folder")
  if output.is_dir() and any(output.iterdir()):
    raise UserError(
      f"output {output} exists and is not empty; remove it or give --output"
      " another folder"
    )


@contextlib.contextmanager
def workspace(output: pathlib.Path) -> Iterator[pathlib.Path]:
  """Makes a hidden folder beside `output`, locked and empty.

  It is gone afterwards, unless it was renamed.

  Raises:
    UserError: It cannot be written, or another conversion is writing it.
  """
  try:
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = output.parent / f".{output.name}.incomplete"
    folder.mkdir(exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
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
    # What a killed conversion has left.
    for path in folder.iterdir():
      shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
      yield folder
    finally:
      # After the rename there is nothing here; after an error, everything.
      shutil.rmtree(folder, ignore_errors=True)
  finally:
    os.close(lock)


def rename(folder: pathlib.Path, output: pathlib.Path) -> None:
  """Gives the finished folder its name, once it is on the disk as a whole."""
  for path in folder.iterdir():
    with path.open("rb") as file:
      os.fsync(file.fileno())
  # An empty folder of that name is replaced; one that filled up meanwhile not.
  refuse_existing(output)
  folder.rename(output)
