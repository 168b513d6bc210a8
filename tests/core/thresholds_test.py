"""Thresholds against a search over a grid."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.core import metrics, thresholds


def test_thresholds_have_the_best_weighted_accuracy_of_a_grid():
  """The oracle tries every threshold between two scores."""
  rng = np.random.default_rng(4)
  probs = rng.random((40, 3))
  labels = (probs + 0.4 * rng.normal(size=probs.shape) > 0.7).astype(float)
  seen = np.array([True, True, False])
  mask = np.ones(40, bool)

  def each(threshold):
    return metrics.per_emotion("binary", probs, labels, mask, threshold)[
      "weighted_accuracy"
    ]

  got = thresholds.best_thresholds(probs, labels, seen)
  grid = np.linspace(0, 1, 4001)
  best = np.max([each(value) for value in grid], axis=0)
  np.testing.assert_allclose(each(got)[:2], best[:2])
  # The unseen emotion's labels are not looked at: the seen ones decide.
  shared = np.max([each(value)[:2].mean() for value in grid])
  np.testing.assert_allclose(each(got[2])[:2].mean(), shared)
  other = labels.copy()
  other[:, 2] = 1 - other[:, 2]
  np.testing.assert_array_equal(
    thresholds.best_thresholds(probs, other, seen), got
  )


def test_an_emotion_without_a_positive_keeps_the_usual_threshold():
  probs = np.array([[0.2, 0.1], [0.9, 0.3]])
  labels = np.array([[0.0, 0.0], [1.0, 0.0]])
  got = thresholds.best_thresholds(probs, labels, np.array([True, True]))
  np.testing.assert_allclose(got, [0.55, 0.5])


def test_scores_that_are_not_finite_have_no_threshold():
  probs = np.array([[0.2], [np.nan]])
  labels = np.array([[0.0], [1.0]])
  with pytest.raises(errors.UserError, match="a score is not finite"):
    thresholds.best_thresholds(probs, labels, np.array([True]))
