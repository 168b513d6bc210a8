"""Describes single files of features: columns, shapes, ranges, values."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from data_prep.readers import describe_arrays, hdf5_arrays, vendor_tables
from mmer_jax.base.errors import UserError
from mmer_jax.data import npz_files, table_files, word_vectors

# Different texts of a column that are told apart.
_SAMPLE = 200
_BLOCK = 256
# Of no number at all.
_NOTHING = (np.inf, -np.inf)


def describe_npz(path: pathlib.Path) -> dict[str, Any]:
  """Describes the arrays of a .npz file."""
  table = table_files.open_table(path)
  columns = {}
  for name, header in npz_files.headers(path).items():
    entry: dict[str, Any] = {
      "shape": list(header.shape),
      "dtype": str(header.dtype),
    }
    if header.dtype.hasobject:
      entry["note"] = "pickled objects: not read"
    elif header.dtype.kind not in npz_files.READ_KINDS:
      entry["note"] = "neither real numbers nor text: not read"
    elif header.shape:
      entry.update(_summary(row.cells[name] for row in table.rows([name])))
    columns[name] = entry
  return {"kind": "npz", "columns": describe_arrays.merge(columns)}


def _summary(values: Iterator[Any]) -> dict[str, Any]:
  """Summarises a column: range and non-finite values, or its texts."""
  low, high, nonfinite, numbers = np.inf, -np.inf, 0, False
  seen: dict[str, int] = {}
  for value in values:
    array = np.asarray(value)
    if array.dtype.kind in "fiub" and array.size:
      numbers = True
      array = array.astype(np.float64)
      finite = np.isfinite(array)
      nonfinite += int((~finite).sum())
      low = min(low, float(np.min(array, where=finite, initial=np.inf)))
      high = max(high, float(np.max(array, where=finite, initial=-np.inf)))
    elif array.dtype.kind in "US" and len(seen) <= _SAMPLE:
      key = str(array.item() if array.ndim == 0 else array)
      seen[key] = seen.get(key, 0) + 1
  if numbers:
    return {
      "min": low if low <= high else None,
      "max": high if low <= high else None,
      "nonfinite": nonfinite,
    }
  if len(seen) > _SAMPLE:
    return {"distinct": f"more than {_SAMPLE}", "first": next(iter(seen))}
  return {"distinct": len(seen), "values": seen}


def describe_table(path: pathlib.Path) -> dict[str, Any]:
  """Describes the columns of a table of text."""
  table = table_files.open_table(path)
  vendor = vendor_tables.vendor(table.columns)
  seen: dict[str, dict[str, int]] = {}
  ranges: dict[str, tuple[float, float] | None] = {}
  rows = faces = 0
  for row in table.rows(()):
    rows += 1
    if vendor == vendor_tables.OPENFACE:
      faces += vendor_tables.has_face(row)
    for column, value in row.cells.items():
      ranges[column] = _widened(ranges.get(column, _NOTHING), value)
      values = seen.setdefault(column, {})
      if len(values) <= _SAMPLE:
        key = "" if value is None else str(value)[:60]
        values[key] = values.get(key, 0) + 1
  columns = {
    column: _text_summary(values, ranges[column])
    for column, values in seen.items()
  }
  described = {"kind": "table", "rows": rows, "columns": columns}
  if vendor:
    features = len(vendor_tables.feature_columns(table.columns))
    described["layout"] = f"{vendor}, {features} features"
    if vendor == vendor_tables.OPENFACE:
      described["layout"] += f", a face in {faces} rows"
  return described


def _widened(
  bounds: tuple[float, float] | None, value: Any
) -> tuple[float, float] | None:
  """Widens bounds by a cell; None once a cell was no number."""
  if bounds is None or value is None or value == "":
    return bounds
  try:
    number = float(value)
  except (TypeError, ValueError, OverflowError):
    return None
  return min(bounds[0], number), max(bounds[1], number)


def _text_summary(
  values: dict[str, int], bounds: tuple[float, float] | None
) -> dict[str, Any]:
  """Describes a column by its different values, or by their range."""
  if len(values) <= _SAMPLE:
    return {"distinct": len(values), "values": values}
  entry: dict[str, Any] = {
    "distinct": f"more than {_SAMPLE}",
    "first": next(iter(values)),
  }
  if bounds is not None and np.isfinite(bounds).all():
    entry["min"], entry["max"] = bounds
  return entry


def describe_hdf5(path: pathlib.Path) -> dict[str, Any]:
  """Describes the data sets of an HDF5 file."""
  columns: dict[str, dict[str, Any]] = {}

  def visit(name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
      columns[name] = {"shape": list(item.shape), "dtype": str(item.dtype)}
      if item.dtype.kind in "fiub" and item.shape:
        columns[name].update(
          _summary(
            item[start : start + _BLOCK]
            for start in range(0, item.shape[0], _BLOCK)
          )
        )

  try:
    with h5py.File(path, "r") as file:
      file.visititems(visit)
  except hdf5_arrays.DAMAGE as error:
    raise UserError(
      f"{path} is not a readable HDF5 file: {error}; is it truncated?"
    ) from error
  return {"kind": "hdf5", "columns": describe_arrays.merge(columns)}


def describe_word_vectors(path: pathlib.Path) -> dict[str, Any]:
  """Describes a file of word vectors."""
  count = 0
  dim = None
  first: list[str] = []
  with_spaces = 0
  for number, line in word_vectors.lines(path):
    if number == 1 and re.fullmatch(rb"\d+ \d+", line):
      continue
    spaces = line.count(b" ")
    if dim is None:
      dim = spaces
    if dim == 0 or spaces < dim:
      raise UserError(
        f"{path} line {number}: a word and {dim} numbers expected, got"
        f" {spaces} numbers"
      )
    with_spaces += spaces > dim
    if count < 5:
      word_vectors.numbers(line, dim, path, number)
      first.append(
        word_vectors.word_of(line, dim).decode("utf-8", errors="replace")
      )
    count += 1
  return {
    "kind": "word vectors",
    "words": count,
    "dim": dim or 0,
    "words_with_spaces": with_spaces,
    "first_words": first,
  }
