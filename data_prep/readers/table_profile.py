"""Reads through a table once and says what each column holds."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.data import npz_files, table_files

# More different values than this are not counted one by one.
_MOST_VALUES = 60
NUMBER, TEXT, VECTOR, FRAMES = "numbers", "text", "vectors", "frames"
NOTHING, MIXED = "nothing", "values of several kinds"


class Column:
  """Describes what the cells of a column hold.

  Attributes:
    name: The column's.
    values: Value, as text, to how many rows have it; the first ones only.
    dim: The length of a vector or of a frame; 0 for numbers and text.
    blank: How many cells are empty.
    low: The smallest number, or infinity.
    high: The largest number, or minus infinity.
    readable: Whether the reader of tables reads it in every row.
  """

  def __init__(self, name: str) -> None:
    """Takes the name of a column of which nothing was read."""
    self.name = name
    self.values: dict[str, int] = {}
    self.dim, self.blank, self.rows = 0, 0, 0
    self.low, self.high = np.inf, -np.inf
    self.readable = True
    self._kinds: set[str] = set()
    self._distinct: set[int] = set()

  @property
  def kind(self) -> str:
    """What its cells are, blank ones aside."""
    if len(self._kinds) > 1:
      return TEXT if self._kinds == {NUMBER, TEXT} else MIXED
    return next(iter(self._kinds), NOTHING)

  @property
  def few(self) -> bool:
    """Whether every value is in `values`."""
    return len(self._distinct) == len(self.values)

  @property
  def unique(self) -> bool:
    """Whether no two rows have the same value, and all have one."""
    return 0 < self.rows == len(self._distinct) and not self.blank

  def add(self, value: Any) -> None:
    """Adds a cell."""
    self.rows += 1
    if table_files.is_blank(value):
      self.blank += 1
      value = ""
    if isinstance(value, dict):
      self._kinds.add(MIXED)
      return
    if isinstance(value, list) or np.ndim(value):
      self._add_array(value)
      return
    text = table_files.as_text(value).strip()
    number = _number(text)
    if text:
      self._kinds.add(TEXT if number is None else NUMBER)
    if number is not None:
      self.low, self.high = min(self.low, number), max(self.high, number)
    self._distinct.add(hash(text))
    if text in self.values or len(self.values) < _MOST_VALUES:
      self.values[text] = self.values.get(text, 0) + 1

  def add_shape(self, shape: tuple[int, ...], rows: int) -> None:
    """Takes what a header says of arrays that need not be read."""
    self.rows, self.dim = rows, shape[-1]
    self._kinds.add(VECTOR if len(shape) == 1 else FRAMES)

  def _add_array(self, value: Any) -> None:
    try:
      array = np.asarray(value)
    except ValueError:
      # Rows of several lengths.
      self._kinds.add(MIXED)
      return
    fits = array.dtype.kind in "fiub" and array.ndim <= 2
    if not fits or self.dim not in (0, array.shape[-1]):
      self._kinds.add(MIXED)
      return
    self.dim = array.shape[-1]
    self._kinds.add(VECTOR if array.ndim == 1 else FRAMES)


def _number(text: str) -> float | None:
  try:
    number = float(text)
  except ValueError:
    return None
  # Texts such as "nan" and "infinity" are numbers in no table of ours.
  return number if re.search(r"\d", text) else None


def profile(path: pathlib.Path) -> tuple[int, dict[str, Column]]:
  """Counts the rows of a table and describes its columns.

  Raises:
    UserError: It is no table, or has no rows.
  """
  if path.name.lower().endswith(".npz"):
    rows, columns = _profile_npz(path)
  else:
    rows, columns = _profile_rows(table_files.open_table(path))
  if not rows:
    raise UserError(f"{path} has no rows; nothing to suggest a spec of")
  return rows, columns


def _profile_rows(table: table_files.Table) -> tuple[int, dict[str, Column]]:
  rows = 0
  columns = {name: Column(name) for name in table.columns}
  for row in table.rows(()):
    rows += 1
    for name, value in row.cells.items():
      columns.setdefault(name, Column(name)).add(value)
  for column in columns.values():
    # .jsonl: a row without it cannot be read by its name.
    column.readable = column.rows == rows
  return rows, columns


def _profile_npz(path: pathlib.Path) -> tuple[int, dict[str, Column]]:
  headers = npz_files.headers(path)
  lengths = [header.shape[0] for header in headers.values() if header.shape]
  rows = max(lengths, key=lengths.count, default=0)
  columns = {name: Column(name) for name in headers}
  wanted = []
  for name, header in headers.items():
    column = columns[name]
    readable = header.dtype.kind in npz_files.READ_KINDS
    few_axes = len(header.shape) < 4
    column.readable = readable and header.shape[:1] == (rows,)
    if column.readable and len(header.shape) == 1:
      wanted.append(name)
    elif column.readable and header.dtype.kind in "fiub" and few_axes:
      column.add_shape(header.shape[1:], rows)
    else:
      column.readable = False
  if len(headers) > 2 and not wanted and len(set(lengths)) > 1:
    raise UserError(
      f"{path} holds {len(headers)} arrays of several lengths, as of an"
      " utterance each, expected columns of a row for each utterance;"
      " --source=folder reads such arrays beside a table, without a spec"
    )
  for name, value in _cells(path, wanted):
    columns[name].add(value)
  return rows, columns


def _cells(path: pathlib.Path, wanted: list[str]) -> Iterator[tuple[str, Any]]:
  for row in table_files.open_table(path).rows(wanted):
    yield from row.cells.items()
