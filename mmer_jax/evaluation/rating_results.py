"""Scores a run whose labels are ratings."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.core import regression_metrics
from mmer_jax.evaluation import scores as scores_lib


def numbers(scores: scores_lib.RunScores, select: str) -> dict[str, Any]:
  """Computes the metrics of a run, of all and of each target, and counts.

  Args:
    scores: What the run predicts.
    select: The metric by which training selects.

  Returns:
    What `results.run_result` says of a run. `ratings` has of each target the
    places of its scale and the counts of `regression_metrics.counts`.
  """
  values = np.asarray(scores.probs, np.float64)
  truth = np.asarray(scores.labels, np.float64)
  mask = np.ones(len(truth), bool)
  each = regression_metrics.per_target(values, truth, mask, scores.ranges)
  # A number where a metric is undefined, as training selects by.
  chosen = regression_metrics.compute(values, truth, mask, scores.ranges)
  return {
    "metrics": regression_metrics.score(values, truth, scores.ranges),
    "per_emotion": {
      name: {
        key: scores_lib.number(value[index]) for key, value in each.items()
      }
      for index, name in enumerate(scores.emotions)
    },
    "confusion": None,
    "decisions": None,
    "ratings": _ratings(scores.emotions, values, truth, scores.ranges),
    "selection": float(chosen["mae" if select == "loss" else select]),
  }


def _ratings(
  names: Sequence[str],
  values: np.ndarray,
  truth: np.ndarray,
  ranges: Sequence[regression_metrics.Range],
) -> dict[str, Any]:
  """Counts which rating was predicted for which, target by target."""
  counted = {}
  for index, (name, each) in enumerate(zip(names, ranges, strict=True)):
    places, table = regression_metrics.counts(
      values[:, index], truth[:, index], each
    )
    counted[name] = {"places": places.tolist(), "counts": table.tolist()}
  return counted
