"""Reads rows of .csv, .tsv, .arff, .jsonl and .npz tables, streamed.

The one reader of tables, for conversion and for prediction. Nothing is held
but a block of rows, however large the file; nothing is unpickled. In arrays
(.npz) messages count rows from 0, as NumPy indexes them; in text they name the
line at which the row begins.

Text is UTF-8, with or without a byte order mark. The separator of .csv is the
one of comma, semicolon and tab that the first line has most of; quotes are
read strictly, and every row has as many fields as the first line. Where blanks
stand behind the separators of the first line (OpenFace), those behind any are
left out. openSMILE's names lose their single quotes, in .csv and in .arff.
"""

import contextlib
import csv
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TextIO

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.data import arff_files, npz_files, text_files

_CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_ARFF = (".arff", ".arff.gz")
SUFFIXES = (".npz", *_CSV, *_ARFF, ".jsonl")
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}


class Row(NamedTuple):
  """Holds a row of a table.

  Attributes:
    where: File and row or line, for messages.
    cells: Column name to text, number or array.
  """

  where: str
  cells: dict[str, Any]


class Table:
  """Describes a file of rows.

  Attributes:
    path: The file.
    columns: In the order of the file; () where each row has its own (.jsonl).
    total: Rows; None where only reading can tell.
  """

  def __init__(
    self, path: pathlib.Path, columns: Sequence[str], total: int | None
  ) -> None:
    """Takes what is known before any row is read."""
    self.path = path
    self.columns = tuple(columns)
    self.total = total

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    """Reads the file once; rows have the cells of the wanted columns at least.

    Raises:
      UserError: A wanted column is missing, or a row cannot be read.
    """
    raise NotImplementedError

  def require(self, column: str) -> None:
    """Raises a `UserError` where the file is known to lack a column."""
    if self.columns and column not in self.columns:
      raise UserError(
        f"{self.path}: no column {column!r}; it has {', '.join(self.columns)}"
      )


def open_table(path: pathlib.Path) -> Table:
  """Opens the table in a file, by the ending of its name.

  Raises:
    UserError: There is no such file, or it is of no kind that is read.
  """
  if not path.is_file():
    raise UserError(f"{path} is not a file; expected {' or '.join(SUFFIXES)}")
  name = path.name.lower()
  if name.endswith(".npz"):
    return _Npz(path)
  if name.endswith(_CSV):
    return _Csv(path)
  if name.endswith(_ARFF):
    return _Arff(path)
  if name.endswith(".jsonl"):
    return _Jsonl(path)
  raise UserError(
    f"{path}: unknown kind of table, expected a name that ends in"
    f" {', '.join(SUFFIXES)}"
  )


class _Npz(Table):
  def __init__(self, path: pathlib.Path) -> None:
    self._headers = npz_files.headers(path)
    lengths = [h.shape[0] for h in self._headers.values() if h.shape]
    super().__init__(path, self._headers, max(lengths, default=0))

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    first, count = None, 0
    for column in wanted:
      self.require(column)
      header = self._headers[column]
      npz_files.check_kind(self.path, column, header)
      length = header.shape[0] if header.shape else 0
      if first is None:
        first, count = column, length
      if length != count:
        raise UserError(
          f"{self.path}: column {column!r} has {length} rows and column"
          f" {first!r} {count}; every column needs one per utterance"
        )
    readers = {
      column: npz_files.read_rows(self.path, column, self._headers[column])
      for column in wanted
    }
    for index in range(count):
      cells = {column: next(reader) for column, reader in readers.items()}
      yield Row(f"{self.path.name} row {index}", cells)
    for reader in readers.values():
      # The checksum is compared behind the last row.
      next(reader, None)


class _Csv(Table):
  def __init__(self, path: pathlib.Path) -> None:
    super().__init__(path, (), None)
    self._separator, self._blanks = _separator(path)
    for _, header in self._records():
      self.columns = tuple(column.strip() for column in header)
      break
    if not any(self.columns):
      raise UserError(f"{path} is empty; expected a first line of column names")
    _refuse_repeated(self)

  def _records(self) -> Iterator[tuple[int, list[str]]]:
    """Reads the records, with the line at which each begins."""
    line = 1
    try:
      with text_files.open_text(self.path) as file:
        reader = csv.reader(
          file,
          delimiter=self._separator,
          skipinitialspace=self._blanks,
          strict=True,
        )
        for record in reader:
          if any("\0" in field for field in record):
            raise UserError(
              f"{self.path} line {line}: a NUL character, which no text holds;"
              " is the file damaged?"
            )
          if record:
            yield line, record
          line = reader.line_num + 1
    except UnicodeDecodeError:
      raise text_files.not_utf8(self.path) from None
    except csv.Error as error:
      reason = str(error)
      if "unexpected end" in reason:
        reason = 'a quote (") is opened and never closed'
      raise UserError(
        f"{self.path} line {line}: cannot be read: {reason}"
      ) from None
    except text_files.READ_ERRORS as error:
      raise UserError(
        f"{self.path} from line {line} on: cannot be read: {error}"
      ) from error

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    for column in wanted:
      self.require(column)
    records = self._records()
    next(records)
    # openSMILE writes its names in single quotes.
    quoted = "name" if self._separator == ";" else None
    for line, record in records:
      where = f"{self.path.name} line {line}"
      if len(record) != len(self.columns):
        raise UserError(
          f"{where}: {len(record)} fields, expected {len(self.columns)} as in"
          " the first line; is a quote or the separator"
          f" ({SEPARATORS[self._separator]}) missing or too much?"
        )
      cells = dict(zip(self.columns, record, strict=True))
      if quoted in cells and re.fullmatch(r"'.*'", cells[quoted]):
        cells[quoted] = cells[quoted][1:-1]
      yield Row(where, cells)


def _refuse_repeated(table: Table) -> None:
  repeated = {c for c in table.columns if table.columns.count(c) > 1}
  if repeated:
    raise UserError(
      f"{table.path}: column {min(repeated)!r} appears more than once in the"
      " header"
    )


def _separator(path: pathlib.Path) -> tuple[str, bool]:
  """Finds the separator that the first line has most of, outside of quotes.

  Returns:
    The separator, and whether blanks stand behind it.
  """
  try:
    with text_files.open_text(path) as file:
      line = next((line for line in file if line.strip()), "")
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  except text_files.READ_ERRORS as error:
    raise UserError(f"{path}: cannot be read: {error}") from error
  bare = re.sub(r'"[^"]*"', "", line)
  # The first of those that are equally frequent: the comma.
  separator = max(SEPARATORS, key=bare.count)
  if ".tsv" in path.suffixes:
    separator = "\t"
  # Never for tabs: fields that are empty may be blanks there.
  return separator, separator != "\t" and f"{separator} " in bare


class _Arff(Table):
  def __init__(self, path: pathlib.Path) -> None:
    with _arff_text(path) as file:
      self._header = arff_files.read_header(file, str(path))
    names = [attribute.name for attribute in self._header.attributes]
    super().__init__(path, names, None)
    _refuse_repeated(self)

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    for column in wanted:
      self.require(column)
    name = self.path.name
    with _arff_text(self.path) as file:
      arff_files.read_header(file, str(self.path))
      for line, record in arff_files.read_rows(file, self._header, name):
        cells = dict(zip(self.columns, record, strict=True))
        yield Row(f"{name} line {line}", cells)


@contextlib.contextmanager
def _arff_text(path: pathlib.Path) -> Iterator[TextIO]:
  """Opens a file; what goes wrong while it is read becomes a `UserError`."""
  try:
    with text_files.open_text(path) as file:
      yield file
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  except text_files.READ_ERRORS as error:
    raise UserError(f"{path}: cannot be read: {error}") from error


class _Jsonl(Table):
  def __init__(self, path: pathlib.Path) -> None:
    super().__init__(path, (), None)

  def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
    line = 0
    try:
      with text_files.open_text(self.path) as file:
        for line, text in enumerate(file, 1):
          if text.strip():
            yield self._row(line, text, wanted)
    except UnicodeDecodeError:
      raise text_files.not_utf8(self.path) from None
    except text_files.READ_ERRORS as error:
      raise UserError(
        f"{self.path} after line {line}: cannot be read: {error}"
      ) from error

  def _row(self, line: int, text: str, wanted: Sequence[str]) -> Row:
    where = f"{self.path.name} line {line}"
    try:
      cells = json.loads(text, object_pairs_hook=_unique)
    # Too deep, or a number of too many digits.
    except (ValueError, RecursionError) as error:
      raise UserError(f"{where}: not JSON: {error}") from None
    if not isinstance(cells, dict):
      raise UserError(
        f"{where}: expected a JSON object, got {type(cells).__name__}"
      )
    if re.search(r"\\u[dD]", text):
      text_files.check_surrogates(json.dumps(cells, ensure_ascii=False), where)
    for column in wanted:
      if column not in cells:
        raise UserError(
          f"{where}: no column {column!r}; it has {', '.join(cells)}"
        )
    return Row(where, cells)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  cells = dict(pairs)
  if len(cells) < len(pairs):
    names = [name for name, _ in pairs]
    repeated = next(name for name in names if names.count(name) > 1)
    raise ValueError(f"{repeated!r} appears more than once")
  return cells


def as_text(value: Any, where: str = "", column: str = "") -> str:
  """Reads a cell as text; null is empty, bytes are UTF-8.

  Args:
    value: The cell.
    where: File and row, for a message.
    column: The cell's column, for a message.

  Raises:
    UserError: The cell holds several values, or bytes that are no UTF-8.
  """
  place = f"{where}: column {column!r}"
  if isinstance(value, np.ndarray) and value.size == 1:
    value = value.item()
  if value is None:
    return ""
  if isinstance(value, bytes):
    try:
      return value.decode("utf-8")
    except UnicodeDecodeError:
      raise UserError(
        f"{place} holds bytes that are not UTF-8; save it as text"
      ) from None
  if isinstance(value, (list, dict, np.ndarray)):
    raise UserError(
      f"{place} holds {str(value)[:40]!r}, expected one text or number"
    )
  text = str(value)
  if not text.isascii():
    text_files.check_surrogates(text, place)
  return text


def is_blank(value: Any) -> bool:
  """Tells whether a cell is empty: null, no text, or an empty list."""
  if isinstance(value, str):
    return not value.strip()
  return value is None or (isinstance(value, list) and not value)


def as_vector(value: Any, where: str, column: str) -> np.ndarray | None:
  """Reads a cell as numbers; None where it is null or an empty list.

  An empty text is NaN: a missing number, which a policy decides about.

  Returns:
    A scalar as (), a vector as (d,), frames as (t, d).

  Raises:
    UserError: The cell holds anything but real numbers of one shape.
  """
  if isinstance(value, str):
    value = value.strip() or "nan"
  elif is_blank(value):
    return None
  try:
    if np.iscomplexobj(value):
      raise TypeError("complex")
    array = np.asarray(value, np.float64)
  except (TypeError, ValueError, OverflowError):
    shown = str(value)[:40]
    comma = isinstance(value, str) and re.fullmatch(r"[-+]?\d+,\d+", value)
    fix = "; write a decimal point in place of the comma" if comma else ""
    raise UserError(
      f"{where}: column {column!r} holds {shown!r}, expected numbers{fix}"
    ) from None
  return None if array.size == 0 else array
