"""Reads ratings: numbers on scales that have a lowest and a highest value."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import flags

from data_prep.corpus import corpus
from mmer_jax.base.errors import UserError

# What becomes of a value that its scale does not have.
ERROR, UNRATED = "error", "unrated"
OFF_SCALE = (ERROR, UNRATED)
FLAGS = ("rating_columns", "off_scale")

_EXPECTED = "expected NAME:LOW:HIGH, or NAME=COLUMN:LOW:HIGH, as valence:1:5"
# A name, and a place in a column of vectors.
_PLACE = re.compile(r"(?P<column>.*)\[(?P<place>\d+)\]")


class Column(NamedTuple):
  """Says where the values of a rating stand.

  Attributes:
    rating: The scale.
    column: The column; `NAME[2]` is the third number of a column of vectors.
  """

  rating: corpus.Rating
  column: str

  def split(self, columns: Sequence[str]) -> tuple[str, int | None]:
    """Returns the column's own name, and the place in it or None.

    Args:
      columns: Those of the table; one whose name is all of this comes first.
    """
    match = _PLACE.fullmatch(self.column)
    if match is None or self.column in columns:
      return self.column, None
    return match["column"], int(match["place"])


class Wanted(NamedTuple):
  """Says which ratings are read.

  Attributes:
    columns: Those that the user named; None for those that a layout has.
    off_scale: One of `OFF_SCALE`.
  """

  columns: tuple[Column, ...] | None = None
  off_scale: str = ERROR

  def options(self) -> dict[str, object]:
    """Returns what the manifest records; nothing without columns."""
    if self.columns is None:
      return {}
    named = [[c.rating.name, c.column, *c.rating[1:]] for c in self.columns]
    return {"rating_columns": named, "off_scale": self.off_scale}


OF_LAYOUT = Wanted()


def from_flags(values: flags.FlagValues) -> Wanted:
  """Reads `--rating_columns` and `--off_scale`."""
  columns = values.rating_columns
  if columns is None:
    if values["off_scale"].present:
      raise UserError(
        f"--off_scale={values.off_scale} does nothing without --rating_columns"
      )
    return OF_LAYOUT
  return Wanted(parse([each for each in columns if each]), values.off_scale)


def parse(texts: Sequence[str]) -> tuple[Column, ...]:
  """Reads `NAME:LOW:HIGH` and `NAME=COLUMN:LOW:HIGH`.

  Raises:
    UserError: A text is none, or a name is there twice.
  """
  found = []
  for text in texts:
    where, *ends = text.rsplit(":", 2)
    name, equals, column = where.partition("=")
    try:
      low, high = map(float, ends)
    except ValueError:
      raise UserError(f"--rating_columns has {text!r}, {_EXPECTED}") from None
    rating = corpus.Rating(name.strip(), low, high)
    found.append(Column(rating, (column if equals else name).strip()))
  check(found, "--rating_columns")
  return tuple(found)


def check(columns: Sequence[Column], what: str) -> None:
  """Raises a `UserError` for a scale that is none, or a name twice.

  Args:
    columns: What was read.
    what: Where it was read, for the message.
  """
  names = [each.rating.name for each in columns]
  for (name, low, high), column in columns:
    if not name or not column:
      raise UserError(f"{what} names no rating or no column, {_EXPECTED}")
    if not (np.isfinite([low, high]).all() and low < high):
      raise UserError(
        f"{what} has {name} from {low:g} to {high:g}, expected a lowest and a"
        " highest value, as 1 and 5"
      )
    if names.count(name) > 1:
      raise UserError(f"{what} names {name!r} twice, expected each rating once")


def read(
  values: Sequence[float],
  ratings: Sequence[corpus.Rating],
  off_scale: str,
  where: str,
  tally: dict[str, int],
) -> np.ndarray | None:
  """Reads the ratings of a row; None where it has none.

  Args:
    values: One of each rating; NaN for one not given.
    ratings: Their scales.
    off_scale: One of `OFF_SCALE`.
    where: File and row, for messages.
    tally: Counts the values that are off their scale.

  Raises:
    UserError: A value is off its scale, and that is an error.
  """
  found = corpus.as_float32(np.asarray(values, np.float64))
  for place, rating in enumerate(ratings):
    if np.isnan(found[place]) or rating.has(found[place]):
      continue
    if off_scale == ERROR:
      raise UserError(
        f"{where}: rating {rating.name} is {found[place]:g}, expected"
        f" {rating.low:g} to {rating.high:g}; correct it, or leave it blank"
        " (--off_scale=unrated takes such values for blank)"
      )
    what = f"whose {rating.name} is off its scale: unrated"
    tally[what] = tally.get(what, 0) + 1
    found[place] = np.nan
  return None if np.isnan(found).all() else found


def fitting(
  rating: corpus.Rating, values: np.ndarray
) -> tuple[tuple[corpus.Rating, ...], tuple[str, ...]]:
  """Takes a rating that a layout has, where its values are on the scale.

  Args:
    rating: What the layout says.
    values: All of them, NaN for those not given.

  Returns:
    The rating, or nothing; and what the user should know of that.
  """
  found = corpus.as_float32(np.asarray(values, np.float64).ravel())
  found = found[~np.isnan(found)]
  if not found.size:
    return (), ()
  low, high = found.min(), found.max()
  if rating.has(low) and rating.has(high):
    return (rating,), ()
  return (), (
    f"{rating.name} goes from {low:g} to {high:g}, and its scale from"
    f" {rating.low:g} to {rating.high:g}: it is not read as a rating",
  )
