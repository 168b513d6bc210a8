"""Reads the scores of sentiment in pickles as ratings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import corpus, scales
from data_prep.sources.pickles import labels as labels_lib
from data_prep.sources.pickles import members
from mmer_jax.base.errors import UserError

_SENTIMENT = "sentiment"
# CMU-MultiComp-Lab/CMU-MultimodalSDK: MOSI's and MOSEI's.
_SCALE = labels_lib.DEFAULT_RANGE
# thuiar/MMSA, src/MMSA/data_loader.py: SIMS, whose raters scored the text, the
# sound and the picture by themselves as well, from -1 to 1.
_SIMS = (-1.0, 1.0)
MEMBERS = {
  "regression_labels_T": f"{_SENTIMENT}_lexical",
  "regression_labels_A": f"{_SENTIMENT}_acoustic",
  "regression_labels_V": f"{_SENTIMENT}_visual",
}


class Ratings(NamedTuple):
  """Holds the ratings of a family's utterances.

  Attributes:
    ratings: The scale of each.
    rows: (n, q) float32, NaN where one was not given.
    notes: What a user should know, a sentence each.
  """

  ratings: tuple[corpus.Rating, ...]
  rows: np.ndarray
  notes: tuple[str, ...] = ()

  def of(self, number: int) -> np.ndarray | None:
    """Returns the ratings of an utterance; None where it has none."""
    row = self.rows[number]
    return None if np.isnan(row).all() else row


def find(
  arrays: Sequence[np.ndarray],
  parts: Sequence[tuple[str, Mapping[str, Any]]] = (),
  *,
  scored: bool = True,
) -> Ratings:
  """Finds the scores of sentiment.

  Args:
    arrays: The labels of each split; a score, or MOSEI's seven columns, of
      which the sentiment is the first. Other labels hold none.
    parts: A name for messages and the members of each split.
    scored: Whether the labels are numbers, and no classes.

  Raises:
    UserError: A member of scores has not one for each utterance.
  """
  count = sum(map(len, arrays))
  columns = {}
  widths = {math.prod(array.shape[1:]) for array in arrays}
  if scored and widths <= {1, 1 + len(labels_lib.MOSEI)}:
    firsts = [array.reshape(len(array), *widths)[:, 0] for array in arrays]
    columns[_SENTIMENT] = np.concatenate(firsts)
  for member, name in MEMBERS.items():
    if any(member in part for _, part in parts):
      columns[name] = np.concatenate(
        [
          _member(part, member, where, len(array))
          for array, (where, part) in zip(arrays, parts, strict=True)
        ]
      )
  low, high = _SCALE
  if len(columns) > 1:
    every = np.concatenate([*columns.values()])
    if scales.fitting(corpus.Rating(_SENTIMENT, *_SIMS), every)[0]:
      low, high = _SIMS
  found, rows, notes = [], [np.zeros((count, 0), np.float32)], []
  for name, values in columns.items():
    fitting, why = scales.fitting(corpus.Rating(name, low, high), values)
    found += fitting
    rows += [corpus.as_float32(values)[:, None]] * len(fitting)
    notes += why
  return Ratings(tuple(found), np.concatenate(rows, axis=1), tuple(notes))


def _member(
  part: Mapping[str, Any], member: str, where: str, count: int
) -> np.ndarray:
  """Reads a member of scores; NaN for a split without."""
  if member not in part:
    return np.full(count, np.nan)
  at = f"{where}/{member}"
  scores = members.numbers(part[member], at, "one score per utterance")
  if scores.size != count:
    raise UserError(f"{at} has {scores.size} scores, expected {count}")
  return scores.reshape(count)
