"""Reads the labels of a row, as a spec describes them."""

import ml_collections
import numpy as np

from data_prep.corpus import label_scores
from data_prep.sources import spec_defaults, utterance_tables
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files


class Labels:
  """Reads one value per emotion from each row."""

  def __init__(
    self, spec: ml_collections.ConfigDict, positive_above: float | None
  ) -> None:
    """Takes a sound spec, and what a label column must exceed; None for 0."""
    self._spec = spec
    self._order = {name: i for i, name in enumerate(spec.emotions)}
    # Labels may be numbers, in the spec as in the table.
    self._values = {str(value): name for value, name in spec.label_values}
    self._unlabelled = {str(value) for value in spec.unlabelled}
    self._threshold = positive_above or 0.0
    self._ranges = label_scores.Ranges(positive_above)
    if not spec.label_columns:
      label_scores.refuse_threshold(positive_above, f"the spec {spec.name}")

  def __call__(self, row: table_files.Row) -> np.ndarray | None:
    """Returns one value per emotion; None where the row is unlabelled."""
    if self._spec.label_columns:
      return self._from_columns(row)
    if self._spec.label:
      return self._from_name(row)
    return None

  def check(self, where: str) -> None:
    """Raises a `UserError` where the rows so far held scores, not presence."""
    self._ranges.check(where)

  def _from_columns(self, row: table_files.Row) -> np.ndarray | None:
    values = {}
    for emotion, column in self._spec.label_columns:
      values[emotion] = _number(row, column)
      self._ranges.add(f"column {column!r}", values[emotion])
    missing = [e for e, value in values.items() if np.isnan(value)]
    if len(missing) == len(values):
      return None
    if missing:
      raise UserError(
        f"{row.where}: label column of {missing[0]!r} is empty and others are"
        " not; expected all, or none for an unlabelled row"
      )
    labels = np.zeros(len(self._order), np.float32)
    for emotion, value in values.items():
      labels[self._order[emotion]] = value > self._threshold
    return labels

  def _from_name(self, row: table_files.Row) -> np.ndarray | None:
    value = utterance_tables.fill(self._spec.label, row)
    if value not in self._values and value not in self._unlabelled:
      value = spec_defaults.whole(value)
    if value in self._unlabelled:
      return None
    if value not in self._values:
      raise UserError(
        f"{row.where}: label {value!r} from {self._spec.label} is neither in"
        f" spec.label_values ({', '.join(self._values)}) nor in"
        f" spec.unlabelled{errors.did_you_mean(value, self._values)}"
      )
    labels = np.zeros(len(self._order), np.float32)
    labels[self._order[self._values[value]]] = 1
    return labels


def _number(row: table_files.Row, column: str) -> float:
  """Reads the one number of a label column; NaN where it is blank."""
  cell = table_files.as_vector(row.cells[column], row.where, column)
  if cell is None:
    return np.nan
  if cell.size != 1:
    raise UserError(
      f"{row.where}: label column {column!r} holds {cell.size} values,"
      " expected one number"
    )
  return float(cell.item())
