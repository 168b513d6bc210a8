"""Fits a linear classifier to the training rows of a fold, by scikit-learn."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base import errors
from mmer_jax.core import metrics
from mmer_jax.data import partition
from mmer_jax.linear import features as features_lib

# A score that is surely above, or below, any threshold of a decision.
_SURE = 20.0
_STEPS = 10_000


class Settings(NamedTuple):
  """Holds the settings of a linear baseline: the keys of `config.model`.

  Attributes:
    features: Some of `tfidf` and `functionals`; none for a constant answer,
      that of the majority.
    c: Inverse strengths of the L2 penalty: validation chooses.
    ngrams: Words of the longest n-gram.
    min_count: Training utterances that a kept n-gram is in, at least.
  """

  features: tuple[str, ...]
  c: tuple[float, ...]
  ngrams: int
  min_count: int


class Inputs(NamedTuple):
  """Holds what is known of every utterance of a corpus.

  Attributes:
    words: The words of each; empty where they are not read.
    functionals: Modality name to functionals and whether there are any.
    labels: (n, k).
  """

  words: Sequence[tuple[str, ...]]
  functionals: Mapping[str, tuple[np.ndarray, np.ndarray]]
  labels: np.ndarray


def fit(
  inputs: Inputs,
  fold: partition.Fold,
  settings: Settings,
  *,
  decision: str,
  balanced: bool,
  select: str,
  threshold: float,
) -> tuple[float, np.ndarray]:
  """Fits the training rows of a fold; its validation rows choose the penalty.

  Args:
    inputs: The corpus.
    fold: The fold.
    settings: With one value of `c`, nothing is chosen.
    decision: `binary` or `softmax`.
    balanced: Whether classes weigh alike.
    select: The metric that chooses; of equal ones the strongest penalty.
    threshold: Of binary decisions.

  Returns:
    The `c` that was chosen, and the logits of all utterances, (n, k).
  """
  labels = inputs.labels[fold.train]
  if not settings.features:
    guess = _majority(labels, decision)
    return settings.c[0], np.tile(guess, (len(inputs.labels), 1))
  matrix = _matrix(inputs, fold, settings)
  best: tuple[float, float, Any] = (-np.inf, 0.0, None)
  for c in sorted(settings.c):
    logits = _fit_one(matrix, fold.train, labels, c, decision, balanced)
    value = 0.0
    if len(settings.c) > 1:
      scored = metrics.score(
        decision,
        _probabilities(decision, logits[fold.validation]),
        inputs.labels[fold.validation].astype(np.float64),
        threshold,
      )[select]
      value = -1.0 if scored is None else scored
    if value > best[0]:
      best = (value, c, logits)
  return best[1], best[2]


def _majority(labels: np.ndarray, decision: str) -> np.ndarray:
  """Gives the logits of `metrics.majority_baseline`."""
  share = labels.mean(axis=0, dtype=np.float64)
  if decision == "binary":
    return np.where(share > 0.5, _SURE, -_SURE)
  return _SURE * np.eye(len(share))[int(share.argmax())]


def _matrix(inputs: Inputs, fold: partition.Fold, settings: Settings) -> Any:
  """Makes the sparse matrix (n, columns) of what the settings name.

  What is counted or standardised is counted in the training rows alone. Both
  kinds of features are as long on average, one, so that the penalty weighs
  them alike.
  """
  sparse = errors.require("scipy.sparse", "baselines", "a linear baseline")
  parts = []
  if "tfidf" in settings.features:
    parts.append(_tfidf(inputs, fold, settings))
  if "functionals" in settings.features:
    columns = [
      _standardise(values, present, fold.train)
      for values, present in inputs.functionals.values()
    ]
    dense = np.concatenate(columns, axis=1)
    length = np.sqrt((dense[fold.train] ** 2).sum(axis=1).mean())
    parts.append(sparse.csr_matrix(dense / (length or 1.0)))
  return sparse.hstack(parts, format="csr")


def _tfidf(inputs: Inputs, fold: partition.Fold, settings: Settings) -> Any:
  """Weighs the n-grams of every utterance by TF-IDF of the training rows."""
  text = errors.require(
    "sklearn.feature_extraction.text", "baselines", "a linear baseline"
  )
  vectorizer = text.TfidfVectorizer(
    analyzer=features_lib.ngrams(settings.ngrams),
    min_df=settings.min_count,
    sublinear_tf=True,
  )
  try:
    vectorizer.fit([inputs.words[row] for row in fold.train])
  except ValueError as error:
    raise errors.UserError(
      f"fold {fold.name} has no n-gram in {settings.min_count} training"
      f" utterances ({error}); set config.model.min_count to 1, or convert a"
      " source with transcripts"
    ) from error
  return vectorizer.transform(inputs.words)


def _standardise(
  values: np.ndarray, present: np.ndarray, train: np.ndarray
) -> np.ndarray:
  """Standardises columns by the training rows that have them.

  An utterance without them gets zeros, their mean, and where that happens a
  column says so.
  """
  known = values[train][present[train]]
  if not len(known):
    return np.zeros((len(values), 0))
  scale = known.std(axis=0)
  scaled = (values - known.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
  scaled = np.where(present[:, None] & (scale > 0), scaled, 0.0)
  if present.all():
    return scaled
  return np.concatenate([scaled, ~present[:, None]], axis=1)


def _fit_one(
  matrix: Any,
  train: np.ndarray,
  labels: np.ndarray,
  c: float,
  decision: str,
  balanced: bool,
) -> np.ndarray:
  """Fits logistic regression; returns the logits of all utterances."""
  models = errors.require(
    "sklearn.linear_model", "baselines", "a linear baseline"
  )

  def logits(targets: np.ndarray) -> np.ndarray:
    model = models.LogisticRegression(
      C=c,
      class_weight="balanced" if balanced else None,
      max_iter=_STEPS,
      # Second order: a tenth of the steps of L-BFGS on sparse n-grams.
      solver="newton-cg",
    )
    return model.fit(matrix[train], targets).decision_function(matrix)

  count = labels.shape[1]
  if decision == "softmax":
    targets = labels.argmax(axis=1)
    classes = np.unique(targets)
    scores = logits(targets)
    if scores.ndim == 1:
      # Of two classes there is one score, of the second.
      scores = np.stack([np.zeros_like(scores), scores], axis=1)
    # A class that no training row is of is never chosen.
    made = np.full((len(scores), count), scores.min() - _SURE)
    made[:, classes] = scores
    return made
  columns = []
  for column in labels.T > 0:
    if column.all() or not column.any():
      sure = _SURE if column.all() else -_SURE
      columns.append(np.full(matrix.shape[0], sure))
    else:
      columns.append(logits(column))
  return np.stack(columns, axis=1)


def _probabilities(decision: str, logits: np.ndarray) -> np.ndarray:
  """Makes probabilities in float64, by NumPy."""
  if decision == "binary":
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
  shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
  return shifted / shifted.sum(axis=1, keepdims=True)
