"""Reads ratings of segments from the columns of their labels."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from data_prep.corpus import corpus, scales
from data_prep.sources.csd import align
from data_prep.sources.csd import labels as labels_lib
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError

# CMU-MultimodalSDK: sentiment from -3 to 3; all of POM's scores from 1 to 7.
_SENTIMENT = scales.Column(
  corpus.Rating(labels_lib.SENTIMENT, -3.0, 3.0), labels_lib.SENTIMENT
)
_POM = tuple(
  scales.Column(corpus.Rating(name, 1.0, 7.0), name) for name in labels_lib.POM
)


class Ratings(NamedTuple):
  """Reads the ratings of a segment.

  Attributes:
    ratings: The scale of each.
    notes: What a user should know, a sentence each.
    places: The column of each rating.
    off_scale: One of `scales.OFF_SCALE`.
  """

  ratings: tuple[corpus.Rating, ...] = ()
  notes: tuple[str, ...] = ()
  places: tuple[int, ...] = ()
  off_scale: str = scales.ERROR

  def __call__(
    self, row: np.ndarray, where: str, tally: dict[str, int]
  ) -> np.ndarray | None:
    """Reads a row of labels; None where it has no rating."""
    if not self.ratings:
      return None
    values = np.asarray(row, np.float64)[list(self.places)]
    return scales.read(values, self.ratings, self.off_scale, where, tally)


def find(
  columns: Sequence[str],
  wanted: scales.Wanted,
  entries: Mapping[str, Mapping[str, align.Rows]],
  where: str,
) -> Ratings:
  """Finds the ratings among the columns of labels.

  Args:
    columns: Their names.
    wanted: What the user named; else those that are known and on their scale.
    entries: Recording to the entries of its labels.
    where: The file, for messages.

  Raises:
    UserError: A column is not there.
  """
  if wanted.columns is not None:
    return _named(columns, wanted, where)
  known = _known(columns)
  if not known:
    return Ratings()
  rows = [each.features for own in entries.values() for each in own.values()]
  values = np.concatenate([np.zeros((0, len(columns))), *rows])
  found, notes, places = [], [], []
  for rating, column in known:
    place = columns.index(column)
    fitting, why = scales.fitting(rating, values[:, place])
    found += fitting
    places += [place] * len(fitting)
    notes += [
      f"{each}; --rating_columns={column}:LOW:HIGH does" for each in why
    ]
  return Ratings(tuple(found), tuple(notes), tuple(places))


def _known(columns: Sequence[str]) -> tuple[scales.Column, ...]:
  if tuple(columns) == labels_lib.POM:
    return _POM
  return (_SENTIMENT,) if labels_lib.SENTIMENT in columns else ()


def _named(
  columns: Sequence[str], wanted: scales.Wanted, where: str
) -> Ratings:
  for rating, column in wanted.columns:
    if column not in columns:
      raise UserError(
        f"--rating_columns reads {rating.name} from {column!r}, the label"
        f" columns of {where} are {', '.join(columns)}"
        f"{errors.did_you_mean(column, columns)}"
      )
  return Ratings(
    tuple(each.rating for each in wanted.columns),
    (),
    tuple(columns.index(each.column) for each in wanted.columns),
    wanted.off_scale,
  )
