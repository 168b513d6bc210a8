"""The choice of thresholds of binary decisions."""

import numpy as np

from mmer_jax.core import metrics


def best_thresholds(
  probs: np.ndarray, labels: np.ndarray, seen: np.ndarray
) -> np.ndarray:
  """Chooses the thresholds with the best weighted accuracy on some rows.

  A seen emotion has its own. An unseen one has no labels to choose by: it
  takes the one threshold that is best on average over the seen emotions.

  Args:
    probs: (n, k), of validation rows.
    labels: (n, k); only the columns of seen emotions are read.
    seen: (k,) bool.

  Returns:
    (k,). Midpoints between neighbouring scores, the lowest of equally good
    ones; 0.5 for an emotion without a positive or without a negative.

  Raises:
    UserError: A score is not finite.
  """
  metrics.all_finite(probs)
  truth = labels > 0
  defined = seen & truth.any(axis=0) & ~truth.all(axis=0)
  chosen = np.full(len(seen), 0.5)

  def gains(candidates: np.ndarray, column: int) -> np.ndarray:
    """Sums recall and specificity at each candidate."""
    positives = np.sort(probs[truth[:, column], column])
    negatives = np.sort(probs[~truth[:, column], column])
    above = 1 - np.searchsorted(positives, candidates, "right") / len(positives)
    below = np.searchsorted(negatives, candidates, "right") / len(negatives)
    return above + below

  def midpoints(scores: np.ndarray) -> np.ndarray:
    ordered = np.unique(scores)
    return (ordered[1:] + ordered[:-1]) / 2 if len(ordered) > 1 else ordered

  columns = np.flatnonzero(defined).tolist()
  for column in columns:
    candidates = midpoints(probs[:, column])
    chosen[column] = candidates[np.argmax(gains(candidates, column))]
  if len(columns):
    candidates = midpoints(probs[:, columns])
    total = sum(gains(candidates, column) for column in columns)
    chosen[~seen] = candidates[np.argmax(total)]
  return chosen
