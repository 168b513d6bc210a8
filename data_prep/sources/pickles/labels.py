"""Reads the labels of pickles: scores, classes, presence of emotions.

A score of sentiment becomes one of three classes by `--sentiment_bins`. Without
it scores from -3 to 3 are negative below 0, neutral at 0 and positive above it,
as the annotations of MMSA's files have them (thuiar/MMSA).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import label_scores
from data_prep.sources import cmu_labels
from data_prep.sources.pickles import members
from mmer_jax.base.errors import UserError

# yaohungt/Multimodal-Transformer, src/eval_metrics.py.
MULT_IEMOCAP = ("neutral", "happy", "sad", "angry")
# CMU-MultiComp-Lab/CMU-MultimodalSDK: the columns of MOSEI's "All Labels",
# behind the first, the sentiment. Not the order of `cmu_labels.EMOTIONS`.
MOSEI = ("happy", "sad", "anger", "surprise", "disgust", "fear")
DEFAULT_BINS = [0.0, 0.0]
DEFAULT_RANGE = (-3.0, 3.0)

CHOICES = ("sentiment", "emotions")


class Choice(NamedTuple):
  """Holds what the command line says of labels.

  Attributes:
    labels: One of `CHOICES`, or `"auto"`: emotions where there are any.
    emotions: Names of the classes, where the layout does not fix them.
    sentiment_bins: `"LOW,HIGH"`, or None.
    positive_above: What a column must exceed; None for 0.
    label_type: `"single"`, `"multi"` or `"auto"`.
  """

  labels: str = "auto"
  emotions: tuple[str, ...] = ()
  sentiment_bins: str | None = None
  positive_above: float | None = None
  label_type: str = "auto"


class Labels(NamedTuple):
  """Reads the labels of a family's utterances.

  Attributes:
    names: The emotions, in the order of the labels.
    label_type: `"single"` or `"multi"`.
    read: Makes one value per emotion of a label; takes file and row.
    layout: What the labels are, in words.
    bins: What cut the scores; None for classes.
  """

  names: tuple[str, ...]
  label_type: str
  read: Callable[[Any, str], np.ndarray]
  layout: str
  bins: list[float] | None = None


def of_arrays(
  arrays: Sequence[np.ndarray], choice: Choice, path: str
) -> Labels:
  """Reads label arrays by their shape, one row per utterance.

  Args:
    arrays: The labels of each split, of one shape but for the rows.
    choice: What the command line says.
    path: The file, for messages.

  Raises:
    UserError: Labels of this shape are not known, or not finite.
  """
  shapes = {array.shape[1:] for array in arrays}
  if len(shapes) != 1:
    raise UserError(
      f"{path}: the splits' labels have shapes"
      f" {', '.join(str(array.shape) for array in arrays)}, expected one kind"
    )
  (shape,) = shapes
  for array in arrays:
    if not np.isfinite(array).all():
      raise UserError(
        f"{path}: {int(np.count_nonzero(~np.isfinite(array)))} labels are not"
        " finite; an utterance without a label cannot be told in this layout"
      )
  if len(shape) == 2 and shape[1] == 2:
    return _pairs(arrays, choice, path)
  width = int(np.prod(shape, dtype=np.int64))
  if len(shape) > 2 or (len(shape) == 2 and 1 not in shape) or not width:
    raise UserError(
      f"{path}: labels of shape (n, {', '.join(map(str, shape))}), expected (n,"
      " 1, 1) or (n,) for a score, (n, 7) or (n, 1, 7) for MOSEI's, (n, k, 2)"
      " for no and yes of k emotions"
    )
  columns = np.concatenate([a.reshape(len(a), width) for a in arrays])
  if width == 1:
    require(choice, ("sentiment",), path)
    return scores(columns[:, 0], choice, path)
  if width == 1 + len(MOSEI):
    if require(choice, CHOICES, path) == "sentiment":
      return scores(columns[:, 0], choice, path)
    return _presence(columns, 1, MOSEI, choice, path)
  require(choice, ("emotions",), path)
  return _presence(columns, 0, (), choice, path)


def require(choice: Choice, offered: Sequence[str], path: str) -> str:
  """Returns which of the offered labels to read, the last without a choice."""
  if choice.labels == "auto":
    return offered[-1]
  if choice.labels not in offered:
    raise UserError(
      f"--labels={choice.labels}, and {path} holds {' and '.join(offered)}"
      " alone; leave it out"
    )
  return choice.labels


def scores(values: np.ndarray, choice: Choice, path: str) -> Labels:
  """Cuts scores of sentiment into three classes."""
  label_scores.refuse_threshold(choice.positive_above, path)
  _refuse_multi(choice, path)
  bins = DEFAULT_BINS
  if choice.sentiment_bins is not None:
    bins = cmu_labels.parse_bins(choice.sentiment_bins)
  elif len(values) and not (
    DEFAULT_RANGE[0] <= values.min() and values.max() <= DEFAULT_RANGE[1]
  ):
    raise UserError(
      f"{path} holds scores from {values.min():g} to {values.max():g}; give"
      " --sentiment_bins=LOW,HIGH (the default 0,0 is for scores from -3 to 3)"
    )
  low, high = bins

  def read(value: Any, where: str) -> np.ndarray:
    score = float(np.ravel(value)[0])
    if not np.isfinite(score):
      raise UserError(f"{where}: the score is {score}, expected a finite one")
    return np.eye(3, dtype=np.float32)[int(score >= low) + int(score > high)]

  return Labels(
    names(choice, cmu_labels.SENTIMENTS, 3, path),
    "single",
    read,
    f"sentiment scores cut at {low:g} and {high:g}",
    list(bins),
  )


def classes(
  values: Iterable[Any], known: Sequence[str], choice: Choice, path: str
) -> Labels:
  """Reads numbers of classes.

  Args:
    values: All of them.
    known: Their names; empty where the layout has none.
    choice: What the command line says.
    path: The file, for messages.
  """
  _refuse_scores(choice, path)
  label_scores.refuse_threshold(choice.positive_above, path)
  _refuse_multi(choice, path)
  numbers = [members.class_number(v, f"a label of {path}") for v in values]
  most = max(numbers, default=-1) + 1
  found = names(choice, known, max(most, len(known)), path, at_least=most)

  def read(value: Any, where: str) -> np.ndarray:
    number = members.class_number(value, where)
    return np.eye(len(found), dtype=np.float32)[number]

  return Labels(found, "single", read, f"{len(found)} classes")


def names(
  choice: Choice,
  known: Sequence[str],
  count: int,
  path: str,
  at_least: int | None = None,
) -> tuple[str, ...]:
  """Names the classes: as the command line does, or else the layout."""
  if choice.emotions:
    given = len(set(choice.emotions))
    fits = count == given if at_least is None else at_least <= given
    if not fits or given != len(choice.emotions):
      raise UserError(
        f"--emotions names {given}, {path} has"
        f" {count if at_least is None else at_least} classes"
      )
    return choice.emotions
  if len(known) != count:
    raise UserError(
      f"{path} has {count} classes, which the layout does not name; give"
      " --emotions=A,B,..."
    )
  return tuple(known)


def _pairs(arrays: Sequence[np.ndarray], choice: Choice, path: str) -> Labels:
  """Reads no and yes of each emotion, of which the larger counts."""
  require(choice, ("emotions",), path)
  _refuse_scores(choice, path)
  label_scores.refuse_threshold(choice.positive_above, path)
  present = np.concatenate([array.argmax(axis=-1) for array in arrays])
  count = present.shape[1]
  known = MULT_IEMOCAP if count == len(MULT_IEMOCAP) else ()

  def read(value: Any, where: str) -> np.ndarray:
    del where
    return np.asarray(value).argmax(axis=-1).astype(np.float32)

  return Labels(
    names(choice, known, count, path),
    _type_of(present, choice),
    read,
    f"no and yes of {count} emotions",
  )


def _presence(
  columns: np.ndarray,
  first: int,
  known: Sequence[str],
  choice: Choice,
  path: str,
) -> Labels:
  """Reads columns of emotions, from the first of them on."""
  _refuse_scores(choice, path)
  threshold = choice.positive_above or 0.0
  count = columns.shape[1] - first
  found = names(choice, known, count, path)
  ranges = label_scores.Ranges(choice.positive_above)
  for number, name in enumerate(found):
    ranges.add(f"column {name!r}", columns[:, first + number])
  ranges.check(path)

  def read(value: Any, where: str) -> np.ndarray:
    del where
    return (np.ravel(value)[first:] > threshold).astype(np.float32)

  return Labels(
    found,
    "multi" if choice.label_type == "auto" else choice.label_type,
    read,
    f"{count} emotions, present above {threshold:g}",
  )


def _type_of(present: np.ndarray, choice: Choice) -> str:
  """Tells one emotion in every row from several or none in some."""
  if choice.label_type != "auto":
    return choice.label_type
  return "single" if (present.sum(axis=1) == 1).all() else "multi"


def _refuse_scores(choice: Choice, path: str) -> None:
  if choice.sentiment_bins is not None:
    raise UserError(
      f"--sentiment_bins={choice.sentiment_bins} cuts scores, and {path} is"
      " read for its classes; leave it out"
    )


def _refuse_multi(choice: Choice, path: str) -> None:
  if choice.label_type == "multi":
    raise UserError(
      f"--label_type=multi, and {path} has one class for an utterance; leave it"
      " out"
    )
