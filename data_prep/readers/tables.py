"""Rows of .npz, .csv, .csv.gz and .jsonl files, streamed.

Nothing is held but a block of rows, however large the file; nothing is
unpickled. In arrays (.npz) messages count rows from 0, as NumPy indexes them;
in text they name the line.
"""

import csv
import gzip
import json
import pathlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError

SUFFIXES = (".npz", ".csv", ".csv.gz", ".jsonl")
_BLOCK = 256


class Row(NamedTuple):
  """A row of a table.

  Attributes:
    where: File and row or line, for messages.
    cells: Column name to text, number or array.
  """

  where: str
  cells: dict[str, Any]


class Table:
  """A file of rows.

  Attributes:
    path: The file.
    columns: In the order of the file; () where each row has its own (.jsonl).
    total: Rows; None where only reading can tell.
  """

  def __init__(
    self, path: pathlib.Path, columns: Sequence[str], total: int | None
  ) -> None:
    self.path = path
    self.columns = tuple(columns)
    self.total = total

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    """A pass over the file; cells of the wanted columns at least."""
    raise NotImplementedError

  def require(self, column: str) -> None:
    """Raises a `UserError` where the file is known to lack a column."""
    if self.columns and column not in self.columns:
      raise UserError(
        f"{self.path}: no column {column!r}; it has {', '.join(self.columns)}"
      )


def open_table(path: pathlib.Path) -> Table:
  """The table in a file, by the ending of its name."""
  if not path.is_file():
    raise UserError(f"{path} is not a file; expected {' or '.join(SUFFIXES)}")
  name = path.name.lower()
  if name.endswith(".npz"):
    return _Npz(path)
  if name.endswith((".csv", ".csv.gz")):
    return _Csv(path)
  if name.endswith(".jsonl"):
    return _Jsonl(path)
  raise UserError(
    f"{path}: unknown kind of table, expected a name that ends in"
    f" {', '.join(SUFFIXES)}"
  )


class NpyHeader(NamedTuple):
  """What an array in a .npz file says of itself."""

  shape: tuple[int, ...]
  fortran: bool
  dtype: np.dtype


def npz_headers(path: pathlib.Path) -> dict[str, NpyHeader]:
  """Names and headers of the arrays of a .npz file; reads no data."""
  headers = {}
  try:
    with zipfile.ZipFile(path) as archive:
      for member in archive.namelist():
        with archive.open(member) as file:
          headers[member.removesuffix(".npy")] = _header(file)
  except (
    OSError,
    EOFError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
  ) as error:
    raise UserError(
      f"{path} is not a readable .npz file: {error}; is it truncated?"
    ) from error
  return headers


def _header(file: Any) -> NpyHeader:
  version = np.lib.format.read_magic(file)
  if version == (1, 0):
    return NpyHeader(*np.lib.format.read_array_header_1_0(file))
  return NpyHeader(*np.lib.format.read_array_header_2_0(file))


class _Npz(Table):
  def __init__(self, path: pathlib.Path) -> None:
    self._headers = npz_headers(path)
    lengths = [h.shape[0] for h in self._headers.values() if h.shape]
    super().__init__(path, self._headers, max(lengths, default=0))

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    total = None
    for column in wanted:
      self.require(column)
      header = self._headers[column]
      if header.dtype.hasobject:
        raise UserError(
          f"{self.path} column {column!r} holds pickled Python objects, which"
          " may run code and are never loaded; save it as text or numbers"
        )
      length = header.shape[0] if header.shape else 0
      if total is None:
        total = (column, length)
      if length != total[1]:
        raise UserError(
          f"{self.path}: column {column!r} has {length} rows and column"
          f" {total[0]!r} {total[1]}; every column needs one per utterance"
        )
    readers = {column: self._read(column) for column in wanted}
    for index in range(total[1] if total else 0):
      cells = {column: next(reader) for column, reader in readers.items()}
      yield Row(f"{self.path.name} row {index}", cells)

  def _read(self, column: str) -> Iterator[Any]:
    header = self._headers[column]
    try:
      if header.fortran and len(header.shape) > 1:
        # Rows are not contiguous: this one column is held.
        with np.load(self.path, allow_pickle=False) as arrays:
          yield from arrays[column]
        return
      yield from self._stream(column)
    except (
      OSError,
      EOFError,
      ValueError,
      zipfile.BadZipFile,
      zlib.error,
    ) as error:
      raise UserError(
        f"{self.path}: column {column!r} cannot be read: {error}; is the file"
        " truncated?"
      ) from error

  def _stream(self, column: str) -> Iterator[Any]:
    with zipfile.ZipFile(self.path) as archive:
      with archive.open(f"{column}.npy") as file:
        length, *rest = _header(file).shape
        dtype = self._headers[column].dtype
        size = dtype.itemsize * int(np.prod(rest, dtype=np.int64))
        for start in range(0, length, _BLOCK):
          count = min(_BLOCK, length - start)
          data = file.read(count * size)
          if len(data) < count * size:
            raise EOFError(f"{count * size - len(data)} bytes are missing")
          # tolist() would make Python's floats of arrays; rows stay arrays.
          yield from np.frombuffer(data, dtype).reshape(count, *rest)


class _Csv(Table):
  def __init__(self, path: pathlib.Path) -> None:
    super().__init__(path, (), None)
    for _, header in self._records():
      self.columns = tuple(header)
      break
    if not self.columns:
      raise UserError(f"{path} is empty; expected a first line of column names")
    repeated = {c for c in self.columns if self.columns.count(c) > 1}
    if repeated:
      raise UserError(
        f"{path} line 1: column {min(repeated)!r} appears more than once"
      )

  def _records(self) -> Iterator[tuple[int, list[str]]]:
    opener = gzip.open if self.path.suffix == ".gz" else open
    line = 0
    try:
      with opener(self.path, "rt", encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        for record in reader:
          line = reader.line_num
          if record:
            yield line, record
    except (
      OSError,
      EOFError,
      UnicodeDecodeError,
      csv.Error,
      zlib.error,
    ) as error:
      raise UserError(
        f"{self.path} after line {line}: cannot be read: {error}"
      ) from error

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    for column in wanted:
      self.require(column)
    records = self._records()
    next(records)
    for line, record in records:
      where = f"{self.path.name} line {line}"
      if len(record) != len(self.columns):
        raise UserError(
          f"{where}: {len(record)} fields, expected {len(self.columns)} as in"
          " the first line"
        )
      yield Row(where, dict(zip(self.columns, record, strict=True)))


class _Jsonl(Table):
  def __init__(self, path: pathlib.Path) -> None:
    super().__init__(path, (), None)

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    line = 0
    try:
      with self.path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
          if text.strip():
            yield self._row(line, text, wanted)
    except (OSError, UnicodeDecodeError) as error:
      raise UserError(
        f"{self.path} after line {line}: cannot be read: {error}"
      ) from error

  def _row(self, line: int, text: str, wanted: Sequence[str]) -> Row:
    where = f"{self.path.name} line {line}"
    try:
      cells = json.loads(text)
    except json.JSONDecodeError as error:
      raise UserError(f"{where}: not JSON: {error}") from error
    if not isinstance(cells, dict):
      raise UserError(
        f"{where}: expected a JSON object, got {type(cells).__name__}"
      )
    for column in wanted:
      if column not in cells:
        raise UserError(
          f"{where}: no column {column!r}; it has {', '.join(cells)}"
        )
    return Row(where, cells)


def as_text(value: Any) -> str:
  """A cell as text; null is empty, bytes are UTF-8."""
  if value is None:
    return ""
  if isinstance(value, bytes):
    return value.decode("utf-8", errors="replace")
  return str(value)


def as_vector(value: Any, where: str, column: str) -> np.ndarray | None:
  """A cell as numbers; None where it is empty (null or an empty list).

  Returns:
    A scalar as (), a vector as (d,), frames as (t, d).
  """
  if value is None:
    return None
  if isinstance(value, str):
    # An empty field of a CSV file is a missing number: the policy's to judge.
    value = value.strip() or "nan"
  elif isinstance(value, list) and not value:
    return None
  try:
    array = np.asarray(value, np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(
      f"{where}: column {column!r} holds {str(value)[:40]!r}, expected numbers"
    ) from error
  return None if array.size == 0 else array
