"""The metrics: formulas, and rules for classes that are empty.

Each is written once, over the array namespace of its input: the same lines
select checkpoints inside the compiled program (float32, mapped over runs) and
score results on the host (float64). `docs/protocol.md` holds the formulas.

Rows whose mask is False do not exist. A score that is not finite is neither
ranked nor compared: on the host it raises, and in the compiled program, which
cannot raise, all metrics of `compute` are then those of chance. A positive is a
score strictly above the threshold. A class that the metric is undefined on is
left out of the mean over classes; where every class is, the value is the one of
chance (0.5 for AUC and weighted accuracy, else 0), so that selection never sees
NaN.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from mmer_jax.base import errors

NAMES = (
  "accuracy",
  "weighted_accuracy",
  "f1",
  "weighted_f1",
  "auc",
  "unweighted_accuracy",
  "weighted_average_precision",
  "mean_accuracy",
)

DECISIONS = ("binary", "softmax", "regression")

# What a metric is where nothing defines it.
_CHANCE = {"auc": 0.5, "weighted_accuracy": 0.5}


def check_selectable(key: str, name: str) -> None:
  """Refuses a metric that cannot pick a checkpoint.

  Args:
    key: The key of the config, for a message.
    name: The name of the metric.

  Raises:
    UserError: The name is of a test metric, or unknown.
  """
  choices = ("loss", *NAMES)
  if name in choices:
    return
  if name.startswith("test"):
    raise errors.UserError(
      f"config.{key} is {name!r}, but selection sees validation"
      f" only; expected one of {', '.join(choices)}"
    )
  raise errors.UserError(
    f"config.{key} is {name!r}, expected one of {', '.join(choices)}"
  )


def compute(
  decision: str,
  probs: Any,
  labels: Any,
  mask: Any,
  threshold: Any,
  *,
  emotions: Any = None,
) -> dict[str, Any]:
  """Computes all metrics of a set of utterances.

  Args:
    decision: `"binary"`, one decision per emotion; `"softmax"`, the most
      probable of the emotions.
    probs: (n, k), NumPy or JAX.
    labels: (n, k), 0 or 1; one-hot under a softmax.
    mask: (n,) bool; False rows are left out.
    threshold: Threshold of a binary decision: a scalar or (k,).
    emotions: (k,) bool, those that binary decisions are scored on; None for
      all.

  Returns:
    Metric name to scalar. Means over the emotions where a metric is of one.

  Raises:
    UserError: A NumPy score is not finite.
  """
  finite = all_finite(probs, mask)
  values = _compute(decision, probs, labels, mask, threshold, emotions)
  xp = probs.__array_namespace__()
  if xp is np:
    return values
  return {
    name: xp.where(finite, value, _CHANCE.get(name, 0.0))
    for name, value in values.items()
  }


def _compute(
  decision: str,
  probs: Any,
  labels: Any,
  mask: Any,
  threshold: Any,
  emotions: Any,
) -> dict[str, Any]:
  """Computes all metrics of finite scores."""
  if decision == "binary":
    values = per_emotion(decision, probs, labels, mask, threshold)
    xp = probs.__array_namespace__()
    if emotions is not None:
      values = {
        name: xp.where(emotions, value, xp.nan * xp.ones_like(value))
        for name, value in values.items()
      }
    return {
      name: _mean_defined(values[name], _CHANCE.get(name, 0.0))
      for name in NAMES
    }
  return _softmax(probs, labels, mask)


def per_emotion(
  decision: str, probs: Any, labels: Any, mask: Any, threshold: Any
) -> dict[str, Any]:
  """Computes the metrics of each emotion; NaN where one is undefined on it.

  Under a softmax an emotion is scored one against the rest by the decision
  that was made; `unweighted_accuracy` is then its recall.

  Args:
    decision: `"binary"` or `"softmax"`.
    probs: (n, k).
    labels: (n, k).
    mask: (n,) bool.
    threshold: Threshold of a binary decision: a scalar or (k,).

  Returns:
    Metric name to (k,), and `support` to the positives.

  Raises:
    UserError: A NumPy score is not finite.
  """
  all_finite(probs, mask)
  xp = probs.__array_namespace__()
  chosen = decide(decision, probs, threshold)
  return _one_against_rest(xp, decision, probs, chosen, labels > 0, mask)


def decide(decision: str, probs: Any, threshold: Any) -> Any:
  """Decides what is predicted, (n, k) bool; a softmax tie goes to the first."""
  xp = probs.__array_namespace__()
  if decision == "binary":
    threshold = xp.asarray(threshold, dtype=probs.dtype)
    return probs > xp.broadcast_to(threshold, probs.shape[-1:])[None, :]
  best = xp.argmax(probs, axis=-1)
  return best[:, None] == xp.arange(probs.shape[-1])[None, :]


def confusion(probs: Any, labels: Any, mask: Any) -> Any:
  """Counts softmax decisions, (k, k): row the truth, column the choice."""
  all_finite(probs, mask)
  xp = probs.__array_namespace__()
  chosen = decide("softmax", probs, 0.0) & mask[:, None]
  return xp.matmul(
    (labels > 0).astype(probs.dtype).T, chosen.astype(probs.dtype)
  )


def decisions(
  probs: np.ndarray, labels: np.ndarray, threshold: float | np.ndarray
) -> np.ndarray:
  """Counts binary decisions, (k, 2, 2): row the truth, column the decision.

  Args:
    probs: (n, k).
    labels: (n, k).
    threshold: One for all emotions, or (k,).
  """
  all_finite(probs)
  truth, positive = labels > 0, decide("binary", probs, threshold)
  sides = [
    [(a & b).sum(axis=0) for b in (~positive, positive)]
    for a in (~truth, truth)
  ]
  return np.moveaxis(np.asarray(sides), -1, 0)


def auc(scores: Any, positives: Any, mask: Any) -> Any:
  """Computes the area under the ROC curve of one emotion; a tie is one half.

  Mann and Whitney's U over the number of (positive, negative) pairs, by the
  midranks of the scores.

  Args:
    scores: (n,).
    positives: (n,) bool.
    mask: (n,) bool.

  Returns:
    A scalar; NaN without a positive or without a negative.
  """
  all_finite(scores, mask)
  xp = scores.__array_namespace__()
  # Masked rows rank above everything, where they lift no other row's rank.
  infinity = xp.asarray(xp.inf, dtype=scores.dtype)
  ranked = xp.sort(xp.where(mask, scores, infinity))
  below = xp.searchsorted(ranked, scores, side="left")
  upto = xp.searchsorted(ranked, scores, side="right")
  # A half before the sums, in which a masked row has no part.
  rank = (below + upto + 1).astype(scores.dtype) / 2
  real = positives & mask
  p = xp.sum(real).astype(scores.dtype)
  n = xp.sum(mask).astype(scores.dtype) - p
  # Ranks less their mean: small numbers, so that float32 sums stay exact.
  centre = (p + n + 1) / 2
  excess = xp.sum(xp.where(real, rank - centre, xp.zeros_like(rank)))
  defined = (p > 0) & (n > 0)
  pairs = xp.where(defined, p * n, xp.ones_like(p))
  return xp.where(defined, 0.5 + excess / pairs, xp.nan * xp.ones_like(p))


def score(
  decision: str, probs: np.ndarray, labels: np.ndarray, threshold: Any
) -> dict[str, float | None]:
  """Computes the metrics of results; None where no emotion defines one."""
  mask = np.ones(len(labels), bool)
  each = per_emotion(decision, probs, labels, mask, threshold)
  values = compute(decision, probs, labels, mask, threshold)
  return {
    name: None if np.isnan(each[name]).all() else float(value)
    for name, value in values.items()
  }


def majority_baseline(
  train_labels: np.ndarray, labels: np.ndarray, decision: str
) -> dict[str, float | None]:
  """Scores the prediction of the training split's majority for every row.

  Under `"binary"` that is per emotion present or absent; under `"softmax"`
  the most frequent emotion. A tie is absence, and the first emotion.

  Args:
    train_labels: (m, k).
    labels: (n, k), of the split that is scored.
    decision: `"binary"` or `"softmax"`.
  """
  share = np.asarray(train_labels, np.float64).mean(axis=0)
  if decision == "binary":
    guess = (share > 0.5).astype(np.float64)
  else:
    guess = np.eye(len(share))[int(share.argmax())]
  probs = np.broadcast_to(guess, labels.shape).astype(np.float64)
  return score(decision, probs, np.asarray(labels, np.float64), 0.5)


def all_finite(scores: Any, mask: Any = True) -> Any:
  """Tells whether the scores of all real rows are finite.

  Raises:
    UserError: They are not, and they are NumPy's.
  """
  xp = scores.__array_namespace__()
  mask = xp.asarray(mask)
  rows = mask.reshape(mask.shape + (1,) * (scores.ndim - mask.ndim))
  finite = xp.all(xp.isfinite(scores) | ~rows)
  if xp is np and not finite:
    raise errors.UserError(
      "a score is not finite, expected scores that can be ranked and compared;"
      " the run has failed: train it again, with a smaller learning rate maybe"
    )
  return finite


def _counts(xp: Any, chosen: Any, truth: Any, mask: Any, dtype: Any) -> Any:
  """Counts true and false positives and negatives of each emotion."""
  real = mask[:, None]

  def count(rows: Any) -> Any:
    return xp.sum(rows & real, axis=0).astype(dtype)

  return (
    count(chosen & truth),
    count(chosen & ~truth),
    count(~chosen & truth),
    count(~chosen & ~truth),
  )


def _ratio(xp: Any, top: Any, bottom: Any, empty: float) -> Any:
  """Divides, and takes `empty` where the denominator is 0."""
  some = bottom > 0
  safe = xp.where(some, bottom, xp.ones_like(bottom))
  return xp.where(some, top / safe, empty * xp.ones_like(safe))


def _one_against_rest(
  xp: Any, decision: str, probs: Any, chosen: Any, truth: Any, mask: Any
) -> dict[str, Any]:
  tp, fp, fn, tn = _counts(xp, chosen, truth, mask, probs.dtype)
  p, n = tp + fn, tn + fp
  total = p + n
  nan = float("nan")
  recall = _ratio(xp, tp, p, nan)
  specificity = _ratio(xp, tn, n, nan)
  balanced = (recall + specificity) / 2
  accuracy = _ratio(xp, tp + tn, total, nan)
  f1 = _ratio(xp, 2 * tp, 2 * tp + fp + fn, 0.0)
  f1_negative = _ratio(xp, 2 * tn, 2 * tn + fp + fn, 0.0)
  precision = _ratio(xp, tp, tp + fp, 0.0)
  precision_negative = _ratio(xp, tn, tn + fn, 0.0)
  areas = [auc(probs[:, k], truth[:, k], mask) for k in range(probs.shape[1])]
  return {
    "accuracy": accuracy,
    "weighted_accuracy": balanced,
    "f1": xp.where(p > 0, f1, xp.full_like(f1, nan)),
    "weighted_f1": _ratio(xp, p * f1 + n * f1_negative, total, nan),
    "auc": xp.stack(areas),
    "unweighted_accuracy": balanced if decision == "binary" else recall,
    "weighted_average_precision": _ratio(
      xp, p * precision + n * precision_negative, total, nan
    ),
    "mean_accuracy": accuracy,
    "support": p,
  }


def _softmax(probs: Any, labels: Any, mask: Any) -> dict[str, Any]:
  xp = probs.__array_namespace__()
  truth = labels > 0
  chosen = decide("softmax", probs, 0.0)
  rest = _one_against_rest(xp, "softmax", probs, chosen, truth, mask)
  tp, fp, fn, _ = _counts(xp, chosen, truth, mask, probs.dtype)
  support = tp + fn
  total = xp.sum(support)
  f1 = _ratio(xp, 2 * tp, 2 * tp + fp + fn, 0.0)
  precision = _ratio(xp, tp, tp + fp, 0.0)
  return {
    "accuracy": _ratio(xp, xp.sum(tp), total, 0.0),
    "weighted_accuracy": _mean_defined(rest["weighted_accuracy"], 0.5),
    "f1": _mean_defined(rest["f1"], 0.0),
    "weighted_f1": _ratio(xp, xp.sum(support * f1), total, 0.0),
    "auc": _mean_defined(rest["auc"], 0.5),
    "unweighted_accuracy": _mean_defined(rest["unweighted_accuracy"], 0.0),
    "weighted_average_precision": _ratio(
      xp, xp.sum(support * precision), total, 0.0
    ),
    "mean_accuracy": _mean_defined(rest["mean_accuracy"], 0.0),
  }


def _mean_defined(values: Any, empty: float) -> Any:
  """Averages over the emotions that the metric is defined on."""
  xp = values.__array_namespace__()
  defined = ~xp.isnan(values)
  total = xp.sum(xp.where(defined, values, xp.zeros_like(values)))
  count = xp.sum(defined).astype(values.dtype)
  return _ratio(xp, total, count, empty)


def probabilities(
  decision: str, logits: Float[Array, "*n k"]
) -> Float[Array, "*n k"]:
  """Applies the sigmoid of binary decisions, or the softmax over emotions.

  Of a regression, whose scores are the ratings, nothing.
  """
  if decision == "regression":
    return logits
  if decision == "binary":
    return jax.nn.sigmoid(logits)
  return jax.nn.softmax(logits, axis=-1)
