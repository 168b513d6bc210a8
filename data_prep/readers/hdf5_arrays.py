"""Reads the one array that an HDF5 file of CMU's processed data holds."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np

from mmer_jax.base.errors import UserError

_KEYS = ("d1", "data")
_BLOCK = 64
# What a damaged file makes of its reader.
DAMAGE = (
  OSError,
  RuntimeError,
  KeyError,
  ValueError,
  TypeError,
  MemoryError,
  OverflowError,
)


class Array(NamedTuple):
  """Locates a data set in an HDF5 file.

  Attributes:
    path: The file.
    key: The name of the data set.
    shape: Its shape, as stored.
  """

  path: pathlib.Path
  key: str
  shape: tuple[int, ...]

  def read(self, start: int, stop: int) -> np.ndarray:
    """Reads some rows."""
    try:
      with h5py.File(self.path, "r") as file:
        return file[self.key][start:stop]
    except DAMAGE as error:
      raise UserError(
        f"{self.path}: rows {start} to {stop - 1} of {self.key!r} cannot be"
        f" read: {error}"
      ) from error

  def blocks(self) -> Iterator[np.ndarray]:
    """Reads all rows, one by one, with a block of them in memory."""
    for start in range(0, self.shape[0], _BLOCK):
      yield from self.read(start, min(start + _BLOCK, self.shape[0]))


def open_array(path: pathlib.Path) -> Array:
  """Finds the data set `d1` or `data` of a file.

  Raises:
    UserError: The file cannot be read, or holds no such numbers.
  """
  try:
    with h5py.File(path, "r") as file:
      for key in _KEYS:
        if isinstance(file.get(key), h5py.Dataset):
          array = Array(path, key, file[key].shape)
          kind = file[key].dtype.kind
          break
      else:
        raise UserError(
          f"{path}: no data set {' or '.join(map(repr, _KEYS))}; it has"
          f" {', '.join(file) or 'nothing'}"
        )
  except UserError:
    raise
  except DAMAGE as error:
    raise UserError(
      f"{path} is not a readable HDF5 file: {error}; is it truncated?"
    ) from error
  if kind not in "fiub":
    raise UserError(f"{path}: data set {array.key!r} does not hold numbers")
  return array
