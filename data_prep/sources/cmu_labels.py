"""Reads what the label files of CMU's processed data mean."""

from collections.abc import Sequence

import numpy as np

from data_prep.corpus import corpus, label_scores, scales
from data_prep.readers import hdf5_arrays
from mmer_jax.base.errors import UserError

EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
SENTIMENTS = ("negative", "neutral", "positive")
_BLOCK = 4096
# Of the sentiment: ICT-MMMO's (Woellmer et al. 2013, "YouTube Movie Reviews",
# IEEE Intelligent Systems 28(3)) and MOSI's (CMU-MultimodalSDK).
_SCALES = ((1.0, 5.0), (-3.0, 3.0))


class Labels:
  """Reads the label arrays of CMU's processed data.

  Attributes:
    names: The emotions, in the order of the labels.
    label_type: `"single"` or `"multi"`.
    positive_above: What a label must exceed to be present.
    bins: LOW and HIGH that cut scores into three classes; None for classes.
    layout: What the arrays hold, in words.
    ratings: The scale of the sentiment, where the arrays hold its scores.
    notes: What a user should know, a sentence each.
  """

  def __init__(
    self,
    prefix: str,
    arrays: list[hdf5_arrays.Array],
    label_type: str,
    emotions: tuple[str, ...],
    sentiment_bins: str | None,
    positive_above: float | None,
  ) -> None:
    """Takes the arrays of the splits; see `cmu_processed.build`."""
    shapes = {array.shape[1:] for array in arrays}
    first = arrays[0]
    if len(shapes) > 1:
      raise UserError(
        f"{first.path.parent}: the splits' labels have shapes"
        f" {', '.join(str(array.shape) for array in arrays)}, expected one kind"
      )
    (shape,) = shapes
    self._pairs = len(shape) == 2 and shape[1] == 2
    if len(shape) > 1 and not self._pairs:
      raise UserError(
        f"{first.path}: labels of shape {first.shape}, expected (n,), (n, k) or"
        " (n, k, 2)"
      )
    self._scores = not self._pairs and shape in ((), (1,))
    self.bins: list[float] | None = None
    if self._scores:
      self.bins = _bins(arrays, sentiment_bins)
    elif sentiment_bins is not None:
      raise UserError(
        f"--sentiment_bins cuts scores; {first.path} holds classes of shape"
        f" {first.shape}"
      )
    self.positive_above = positive_above or 0.0
    if self._pairs or self._scores:
      label_scores.refuse_threshold(positive_above, f"{first.path}")
    else:
      _check_scores(arrays, positive_above)
    count = 3 if self._scores else shape[0]
    self.names = _names(prefix, count, emotions, first)
    auto = "single" if prefix == "y" else "multi"
    self.label_type = auto if label_type == "auto" else label_type
    kind = "sentiment scores" if self._scores else f"{count} classes"
    self.layout = f"labels {prefix}_*.h5 ({kind})"
    self.ratings: tuple[corpus.Rating, ...] = ()
    self.notes: tuple[str, ...] = ()
    if self._scores:
      self.ratings, self.notes = _ratings(arrays, self.bins)

  def rating(self, row: np.ndarray) -> np.ndarray | None:
    """Reads the rating of one row; None where there is none."""
    return corpus.as_float32(np.ravel(row)) if self.ratings else None

  def __call__(self, row: np.ndarray, where: str) -> np.ndarray:
    """Reads the labels of one row."""
    if not np.isfinite(row).all():
      raise UserError(f"{where}: label {np.ravel(row)} is not finite")
    if self._pairs:
      return (row[:, 1] > row[:, 0]).astype(np.float32)
    if not self._scores:
      return (row > self.positive_above).astype(np.float32)
    return cut(float(np.ravel(row)[0]), self.bins)


def cut(score: float, bins: Sequence[float]) -> np.ndarray:
  """Tells which of `SENTIMENTS` a score is, as a row of labels."""
  low, high = bins
  return np.eye(3, dtype=np.float32)[(score >= low) + (score > high)]


def _ratings(
  arrays: Sequence[hdf5_arrays.Array], bins: Sequence[float]
) -> tuple[tuple[corpus.Rating, ...], tuple[str, ...]]:
  """Tells which of the known scales the scores are on, by their bins."""
  low, high = next(
    (scale for scale in _SCALES if scale[0] <= bins[0] and bins[1] <= scale[1]),
    _SCALES[0],
  )
  scores = [np.ravel(array.read(0, array.shape[0])) for array in arrays]
  return scales.fitting(
    corpus.Rating("sentiment", low, high), np.concatenate(scores)
  )


def _check_scores(
  arrays: list[hdf5_arrays.Array], positive_above: float | None
) -> None:
  """Refuses label columns that are never 0, unless a threshold is given."""
  ranges = label_scores.Ranges(positive_above)
  for array in arrays:
    for start in range(0, array.shape[0], _BLOCK):
      rows = array.read(start, min(start + _BLOCK, array.shape[0]))
      for column, values in enumerate(np.moveaxis(rows, -1, 0)):
        ranges.add(f"column {column}", values)
  ranges.check(str(arrays[0].path))


def _bins(arrays: list[hdf5_arrays.Array], text: str | None) -> list[float]:
  if text is not None:
    return parse_bins(text)
  for array in arrays:
    scores = array.read(0, array.shape[0])
    if np.nanmin(scores) < 1 or np.nanmax(scores) > 5:
      raise UserError(
        f"{array.path} holds scores from {np.nanmin(scores):g} to"
        f" {np.nanmax(scores):g}; give --sentiment_bins=LOW,HIGH (the default"
        " 2.5,3.5 is for scores from 1 to 5)"
      )
  return [2.5, 3.5]


def parse_bins(text: str) -> list[float]:
  """Reads LOW and HIGH of `--sentiment_bins`."""
  try:
    low, high = (float(part) for part in text.split(","))
  except ValueError as error:
    raise UserError(
      f"--sentiment_bins={text!r}, expected LOW,HIGH such as 2.5,3.5"
    ) from error
  if not low <= high:
    raise UserError(f"--sentiment_bins={text!r}: LOW must not exceed HIGH")
  return [low, high]


def _names(
  prefix: str, count: int, emotions: tuple[str, ...], first: hdf5_arrays.Array
) -> tuple[str, ...]:
  if emotions:
    if len(emotions) != count or len(set(emotions)) != count:
      raise UserError(
        f"--emotions names {len(set(emotions))}, {first.path} has {count} label"
        " columns"
      )
    return emotions
  fixed = {("ey", 6): EMOTIONS, ("y", 3): SENTIMENTS}
  if (prefix, count) not in fixed:
    raise UserError(
      f"{first.path} has {count} label columns, which the layout does not name;"
      " give --emotions=A,B,..."
    )
  return fixed[prefix, count]
