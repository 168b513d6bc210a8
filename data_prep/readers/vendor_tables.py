"""Knows which columns of openSMILE's and OpenFace's tables are features.

OpenFace's rows are the frames of a video; those with success 0 hold no face,
whatever numbers stand there. openSMILE's rows are utterances (functionals) or
frames (descriptors), named in the first column.

A count of columns says nothing of whose they are: OpenFace's 17 intensities and
18 presences of action units are 35, as many as FACET's. Only names count.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files

OPENFACE, OPENSMILE = "OpenFace", "openSMILE"
# What is not a feature. Source: OpenFace's wiki, "Output format"
# (TadasBaltrusaitis/OpenFace); config/shared/standard_data_output.conf.inc of
# audeering/opensmile: `class` is the label that its ARFF files end with.
_INDEX = {
  OPENFACE: ("frame", "face_id", "timestamp", "confidence", "success"),
  OPENSMILE: ("name", "frameIndex", "frameTime", "class"),
}


class Frames(NamedTuple):
  """Holds the rows of a table as frames.

  Attributes:
    columns: Names of the features.
    values: (t, d) float64; NaN where a cell is empty.
    real: (t,) True where OpenFace has found a face; all of openSMILE's.
  """

  columns: tuple[str, ...]
  values: np.ndarray
  real: np.ndarray


def vendor(columns: Sequence[str]) -> str:
  """Tells whose table has such columns: a name, or `""` for anybody else's."""
  if {"frame", "timestamp", "confidence", "success"} <= set(columns):
    return OPENFACE
  if "frameTime" in columns or "frameIndex" in columns:
    return OPENSMILE
  return ""


def feature_columns(columns: Sequence[str]) -> tuple[str, ...]:
  """Lists the columns that are features; all, where nobody is recognised."""
  index = _INDEX.get(vendor(columns), ())
  return tuple(column for column in columns if column not in index)


def has_face(row: table_files.Row) -> bool:
  """Tells whether OpenFace has found a face in the frame of a row."""
  value = table_files.as_vector(row.cells["success"], row.where, "success")
  if value is None or value.item() not in (0, 1):
    raise UserError(
      f"{row.where}: success is {row.cells['success']!r}, expected 0 or 1"
    )
  return bool(value)


def read_frames(path: pathlib.Path) -> Frames:
  """Reads a table of frames, one utterance a file.

  Raises:
    UserError: There are no rows or no features, a cell is no number, or
      OpenFace has followed more than one face.
  """
  table = table_files.open_table(path)
  columns = feature_columns(table.columns)
  is_openface = vendor(table.columns) == OPENFACE
  if not columns:
    raise UserError(f"{path}: no column of features; it has {table.columns}")
  values, real, faces = [], [], set()
  for row in table.rows(columns):
    cells = (
      table_files.as_vector(row.cells[column], row.where, column)
      for column in columns
    )
    values.append([np.nan if cell is None else cell.item() for cell in cells])
    real.append(has_face(row) if is_openface else True)
    if is_openface:
      faces.add(row.cells.get("face_id"))
  if not values:
    raise UserError(f"{path} has no rows, expected a frame at least")
  if len(faces) > 1:
    raise UserError(
      f"{path}: {len(faces)} faces (column face_id), expected one; keep the"
      " rows of the one who speaks"
    )
  return Frames(columns, np.array(values), np.array(real))
