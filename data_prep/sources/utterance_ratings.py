"""Reads the ratings of a row from the columns of a table."""

from collections.abc import Sequence

import ml_collections
import numpy as np

from data_prep.corpus import corpus, scales
from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files


class Ratings:
  """Reads one value per rating from each row.

  Attributes:
    ratings: The scales.
    columns: Pairs of a column of the table and what names it, for messages.
  """

  def __init__(
    self,
    columns: Sequence[scales.Column],
    off_scale: str,
    known: Sequence[str],
  ) -> None:
    """Takes what is read.

    Args:
      columns: Where each rating stands.
      off_scale: One of `scales.OFF_SCALE`.
      known: The columns of the table; empty where only its rows tell.
    """
    self.ratings: tuple[corpus.Rating, ...] = tuple(c.rating for c in columns)
    self._places = [each.split(known) for each in columns]
    self._off_scale = off_scale
    self.columns = [
      (column, f"the rating {rating.name} is read from it")
      for rating, (column, _) in zip(self.ratings, self._places, strict=True)
    ]

  def __call__(
    self, row: table_files.Row, tally: dict[str, int]
  ) -> np.ndarray | None:
    """Reads a row; None where it is not rated.

    Args:
      row: The row.
      tally: Counts values that are off their scale.

    Raises:
      UserError: A cell holds anything but one number on the scale.
    """
    if not self.ratings:
      return None
    values = [_number(row, *place) for place in self._places]
    return scales.read(values, self.ratings, self._off_scale, row.where, tally)


def of_spec(spec: ml_collections.ConfigDict) -> tuple[scales.Column, ...]:
  """Returns what `spec.rating_columns` says."""
  return tuple(
    scales.Column(corpus.Rating(name, float(low), float(high)), column)
    for name, column, low, high in spec.get("rating_columns", ())
  )


def into_spec(
  spec: ml_collections.ConfigDict, wanted: scales.Wanted
) -> ml_collections.ConfigDict:
  """Adds the ratings that the command line names to a spec, as yet unchecked.

  Raises:
    UserError: The spec has ratings of its own.
  """
  if wanted.columns is None or not isinstance(spec, ml_collections.ConfigDict):
    return spec
  if spec.get("rating_columns"):
    raise UserError(
      "--rating_columns and spec.rating_columns both say which columns are"
      " ratings; keep one"
    )
  added = tuple(
    (c.rating.name, c.column, *c.rating[1:]) for c in wanted.columns
  )
  return ml_collections.ConfigDict(
    {
      **spec.to_dict(),
      "rating_columns": added,
      "off_scale": wanted.off_scale,
    }
  )


def _number(row: table_files.Row, column: str, place: int | None) -> float:
  """Reads a number, or one of a vector; NaN where the cell is blank."""
  cell = table_files.as_vector(row.cells[column], row.where, column)
  if cell is None:
    return np.nan
  numbers = cell.ravel()
  if place is None and cell.size != 1:
    raise UserError(
      f"{row.where}: column {column!r} of a rating holds {cell.size} numbers,"
      f" expected one; {column}[0] is the first of them"
    )
  if (place or 0) >= cell.size:
    raise UserError(
      f"{row.where}: column {column!r} of a rating holds {cell.size} numbers,"
      f" expected {place + 1} at least for {column}[{place}]"
    )
  return float(numbers[place or 0])
