"""Reads the arrays of .npz files row by row, without unpickling anything."""

import lzma
import math
import pathlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError

_BLOCK = 256
# Real numbers and text.
READ_KINDS = "fiubUS"
# What a damaged archive makes of its reader.
DAMAGE = (
  OSError,
  EOFError,
  ValueError,
  KeyError,
  IndexError,
  TypeError,
  SyntaxError,
  MemoryError,
  OverflowError,
  RuntimeError,
  struct.error,
  tokenize.TokenError,
  zipfile.BadZipFile,
  zlib.error,
  lzma.LZMAError,
)


class Header(NamedTuple):
  """Describes an array in a .npz file.

  Attributes:
    shape: The shape of the array.
    fortran: Whether columns lie together, not rows.
    dtype: The type of its elements.
  """

  shape: tuple[int, ...]
  fortran: bool
  dtype: np.dtype


def headers(path: pathlib.Path) -> dict[str, Header]:
  """Reads names and headers of the arrays of a .npz file, and no data.

  Raises:
    UserError: It is no readable .npz file.
  """
  described = {}
  try:
    with zipfile.ZipFile(path) as archive:
      for member in archive.namelist():
        with archive.open(member) as file:
          described[member.removesuffix(".npy")] = _header(file)
  except DAMAGE as error:
    raise UserError(
      f"{path} is not a readable .npz file: {_one_line(error)}; is it"
      " truncated?"
    ) from error
  return described


def _header(file: Any) -> Header:
  version = np.lib.format.read_magic(file)
  if version == (1, 0):
    return Header(*np.lib.format.read_array_header_1_0(file))
  return Header(*np.lib.format.read_array_header_2_0(file))


def check_kind(path: pathlib.Path, column: str, header: Header) -> None:
  """Raises a `UserError` unless an array holds real numbers or text."""
  if header.dtype.hasobject:
    raise UserError(
      f"{path} column {column!r} holds pickled Python objects, which may run"
      " code and are never loaded; save it as text or numbers"
    )
  if header.dtype.kind == "c":
    raise UserError(
      f"{path} column {column!r} holds complex numbers, expected real ones;"
      " save real and imaginary parts, or magnitudes, as columns of their own"
    )
  if header.dtype.kind not in READ_KINDS:
    raise UserError(
      f"{path} column {column!r} holds {header.dtype}, expected numbers or text"
    )


def read_rows(path: pathlib.Path, column: str, header: Header) -> Iterator[Any]:
  """Reads an array row by row; its checksum is compared behind the last.

  Raises:
    UserError: The array is cut short or damaged.
  """
  try:
    if header.fortran and len(header.shape) > 1:
      # Rows are not contiguous: this one column is held.
      with np.load(path, allow_pickle=False) as arrays:
        yield from arrays[column]
      return
    yield from _stream(path, column, header)
  except UserError:
    raise
  except DAMAGE as error:
    raise UserError(
      f"{path}: column {column!r} cannot be read: {_one_line(error)}; is the"
      " file truncated?"
    ) from error


def _stream(path: pathlib.Path, column: str, header: Header) -> Iterator[Any]:
  with zipfile.ZipFile(path) as archive:
    with archive.open(f"{column}.npy") as file:
      length, *rest = _header(file).shape
      size = header.dtype.itemsize * math.prod(rest)
      for start in range(0, length, _BLOCK):
        count = min(_BLOCK, length - start)
        data = file.read(count * size)
        if len(data) < count * size:
          raise EOFError(f"{count * size - len(data)} bytes are missing")
        # tolist() would make Python's floats of arrays; rows stay arrays.
        yield from np.frombuffer(data, header.dtype).reshape(count, *rest)
      if file.read(1):
        raise ValueError("it has more bytes than its header says")


def _one_line(error: BaseException) -> str:
  return " ".join(str(error).split())[:200] or type(error).__name__
