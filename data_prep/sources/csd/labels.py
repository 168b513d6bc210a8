"""Reads the labels of segments by the names of their columns.

Which columns a file has is told by their number; the order is that of the
files, which is not that of the `ey_*.h5` of CMU's processed data.
"""

from collections.abc import Sequence

import numpy as np

from data_prep.corpus import label_scores
from data_prep.sources import cmu_labels
from mmer_jax.base.errors import UserError

SENTIMENT = "sentiment"
# CMU-MultimodalSDK: sentiment from -3 to 3, emotions from 0 to 3.
MOSEI = (SENTIMENT, "happy", "sad", "anger", "surprise", "disgust", "fear")
# The same, scores from 1 to 7.
POM = (
  *("confidence", "passionate", "voice_pleasant", "dominant", "credible"),
  *("vivid", "expertise", "entertaining", "reserved", "trusting", "relaxed"),
  *("outgoing", "thorough", "nervous", SENTIMENT, "persuasive", "humorous"),
)
IEMOCAP = (
  *("anger", "excited", "fear", "sad", "surprised", "frustrated", "happy"),
  *("neutral", "disgust"),
)
# Number of columns to their names.
COLUMNS = {1: (SENTIMENT,), 7: MOSEI, 9: IEMOCAP, 17: POM}
# What is below is negative, above positive: for scores from -3 to 3.
_DEFAULT_BINS = (0.0, 0.0)


class Labels:
  """Reads the labels of a segment.

  Attributes:
    names: The emotions, in the order of the labels.
    label_type: `"single"` or `"multi"`.
    columns: The names of the file's columns.
    positive_above: What an emotion's column must exceed.
    bins: LOW and HIGH that cut sentiment into three classes, or None.
    layout: What is read, in words.
  """

  def __init__(
    self,
    width: int,
    where: str,
    *,
    columns: Sequence[str] = (),
    emotions: Sequence[str] = (),
    label_type: str = "auto",
    sentiment_bins: str | None = None,
    positive_above: float | None = None,
  ) -> None:
    """Takes the number of columns and what the flags of these names say.

    Raises:
      UserError: The columns have no names, or have not those that are wanted.
    """
    self.columns = _columns(width, where, columns)
    chosen = tuple(emotions) or _default(self.columns, sentiment_bins)
    _check_chosen(chosen, self.columns, where)
    self._indices = [self.columns.index(name) for name in chosen]
    self._ranges = label_scores.Ranges(positive_above)
    self.positive_above = positive_above or 0.0
    self.bins: list[float] | None = None
    self.names, self.layout = chosen, f"{len(chosen)} label columns"
    self.label_type = "multi" if label_type == "auto" else label_type
    if chosen == (SENTIMENT,):
      self.bins = _bins(sentiment_bins)
      self._limit = 3.0 if sentiment_bins is None else np.inf
      label_scores.refuse_threshold(positive_above, f"the sentiment of {where}")
      self.names, self.layout = cmu_labels.SENTIMENTS, "sentiment in 3 classes"
      self.label_type = "single" if label_type == "auto" else label_type
    elif sentiment_bins is not None:
      raise UserError(
        "--sentiment_bins cuts the column sentiment, and --emotions names"
        f" {', '.join(chosen)}; leave one of them out"
      )

  def __call__(self, row: np.ndarray, where: str) -> np.ndarray | None:
    """Reads the labels of a row; None where it has none."""
    values = np.asarray(row, np.float64)[self._indices]
    if np.isnan(values).all():
      return None
    if not np.isfinite(values).all():
      raise UserError(
        f"{where}: labels {values.tolist()} of {', '.join(self.names)} are not"
        " all finite; expected numbers, or NaN in all for an unlabelled segment"
      )
    if self.bins is not None:
      return self._cut(float(values[0]), where)
    for index, value in zip(self._indices, values, strict=True):
      self._ranges.add(f"column {self.columns[index]!r}", value)
    labels = (values > self.positive_above).astype(np.float32)
    # A class that was not chosen.
    return labels if labels.any() or self.label_type == "multi" else None

  def _cut(self, score: float, where: str) -> np.ndarray:
    if abs(score) > self._limit:
      raise UserError(
        f"{where}: sentiment {score:g}; give --sentiment_bins=LOW,HIGH (the"
        " default 0,0 is for scores from -3 to 3)"
      )
    return cmu_labels.cut(score, self.bins)

  def check(self, where: str) -> None:
    """Raises a `UserError` where the rows so far held scores, not presence."""
    if self.columns != MOSEI:
      self._ranges.check(where)


def _columns(width: int, where: str, named: Sequence[str]) -> tuple[str, ...]:
  if named:
    if len(named) != width or len(set(named)) != width:
      raise UserError(
        f"--label_columns names {len(set(named))} columns, {where} has {width}"
      )
    return tuple(named)
  if width not in COLUMNS:
    known = ", ".join(map(str, COLUMNS))
    raise UserError(
      f"{where} has {width} label columns, which nothing names (known are"
      f" {known}); give --label_columns=A,B,... in the order of the file"
    )
  return COLUMNS[width]


def _default(columns: Sequence[str], bins: str | None) -> tuple[str, ...]:
  """Chooses the columns where the user does not: all but the sentiment."""
  others = tuple(name for name in columns if name != SENTIMENT)
  if SENTIMENT in columns and (bins is not None or not others):
    return (SENTIMENT,)
  return others


def _check_chosen(
  chosen: Sequence[str], columns: Sequence[str], where: str
) -> None:
  for name in chosen:
    if name not in columns:
      raise UserError(
        f"--emotions names {name!r}, the label columns of {where} are"
        f" {', '.join(columns)}"
      )
  if len(set(chosen)) < len(chosen):
    raise UserError(f"--emotions names one twice: {', '.join(chosen)}")
  if SENTIMENT in chosen and len(chosen) > 1:
    raise UserError(
      "--emotions names sentiment beside emotions; it is a score of its own:"
      " name it alone, with --sentiment_bins"
    )


def _bins(text: str | None) -> list[float]:
  return list(_DEFAULT_BINS) if text is None else cmu_labels.parse_bins(text)
