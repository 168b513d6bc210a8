"""The metrics and losses of ratings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from mmer_jax.base import errors
from mmer_jax.core import losses, regression_metrics

SEVEN, FIVE = (-3.0, 3.0), (1.0, 5.0)


def drawn(seed=0, rows=41):
  """Sentiment in thirds, which rounding meets, and valence off zero."""
  rng = np.random.default_rng(seed)
  truth = np.stack(
    [rng.integers(-9, 10, size=rows) / 3, rng.uniform(1, 5, size=rows)], axis=1
  )
  values = truth * [0.8, 0.5] + rng.normal(0.3, 0.9, size=truth.shape)
  values[:4, 0] = [3.4, -3.6, 0.5, -2.5]
  return values, truth, rng.random(rows) < 0.8


def plain(values, truth):
  """MMSA's metrics of one target, and the three of any, by the libraries."""
  # Lin 1989, with the moments of a population.
  covariance = np.mean((values - values.mean()) * (truth - truth.mean()))
  apart = (values.mean() - truth.mean()) ** 2
  not_zero = truth != 0
  kept = [each[not_zero] > 0 for each in (truth, values)]
  signs = [each >= 0 for each in (truth, values)]
  return {
    "mae": sklearn.metrics.mean_absolute_error(truth, values),
    "pearson": scipy.stats.pearsonr(values, truth).statistic,
    "ccc": 2 * covariance / (values.var() + truth.var() + apart),
    "acc2_has0": sklearn.metrics.accuracy_score(*signs),
    "f1_has0": sklearn.metrics.f1_score(*signs, average="weighted"),
    "acc2_non0": sklearn.metrics.accuracy_score(*kept),
    "f1_non0": sklearn.metrics.f1_score(*kept, average="weighted"),
    "acc5": np.mean(
      np.round(np.clip(values, -2, 2)) == np.round(np.clip(truth, -2, 2))
    ),
    "acc7": np.mean(
      np.round(np.clip(values, -3, 3)) == np.round(np.clip(truth, -3, 3))
    ),
  }


@pytest.mark.parametrize("seed", range(4))
def test_every_metric_is_that_of_the_libraries(seed):
  values, truth, mask = drawn(seed)
  each = regression_metrics.per_target(values, truth, mask, (SEVEN, SEVEN))
  for column in range(2):
    expected = plain(values[mask, column], truth[mask, column])
    for name, value in expected.items():
      np.testing.assert_allclose(
        each[name][column], value, rtol=1e-12, err_msg=name
      )
  np.testing.assert_array_equal(each["support"], mask.sum())


@pytest.mark.parametrize("seed", range(2))
def test_the_compiled_program_computes_the_same(seed):
  values, truth, mask = drawn(seed)
  ranges = (SEVEN, FIVE)
  host = regression_metrics.compute(values, truth, mask, ranges)
  compiled = jax.jit(
    lambda *arrays: regression_metrics.compute(*arrays, ranges)
  )(*(jnp.asarray(each, jnp.float32) for each in (values, truth)), mask)
  assert tuple(host) == regression_metrics.NAMES
  for name, value in host.items():
    np.testing.assert_allclose(compiled[name], value, rtol=2e-5, err_msg=name)


def test_hand_values():
  # Off by 0.5 each: the covariance is 2/3 and so are both variances;
  # ccc = (4/3) / (4/3 + 1/4) = 16/19.
  truth = np.array([[-1.0], [0.0], [1.0]])
  got = regression_metrics.score(truth - 0.5, truth, (SEVEN,))
  assert got["mae"] == 0.5
  assert got["pearson"] == pytest.approx(1)
  assert got["ccc"] == pytest.approx(16 / 19)
  # -1.5, -0.5, 0.5: 0 is not negative and -0.5 is; without 0 both are right.
  assert got["acc2_has0"] == pytest.approx(2 / 3)
  assert got["acc2_non0"] == got["f1_non0"] == 1
  # Halves round to even numbers: -2, 0, 0 for -1, 0, 1.
  assert got["acc7"] == got["acc5"] == pytest.approx(1 / 3)


def test_values_beyond_the_ends_count_as_the_ends():
  truth = np.array([[3.0], [2.0], [-3.0], [-2.0]])
  values = np.array([[3.9], [3.0], [-9.0], [-3.0]])
  got = regression_metrics.score(values, truth, (SEVEN,))
  assert got["acc7"] == 0.5 and got["acc5"] == 1
  assert got["mae"] == pytest.approx((0.9 + 1 + 6 + 1) / 4)


@pytest.mark.parametrize("guess", [0.0, 0.1, -2.7])
def test_a_constant_prediction_has_no_correlation_and_no_concordance(guess):
  _, truth, _ = drawn()
  # The mean of as many 0.1 is not 0.1: rounding is no variance.
  values = np.full_like(truth, guess)
  got = regression_metrics.score(values, truth, (SEVEN, FIVE))
  assert got["pearson"] is None and got["ccc"] == 0
  assert got["mae"] == pytest.approx(np.abs(guess - truth).mean())


def test_where_everything_is_one_number_there_is_no_correlation():
  truth = np.full((5, 1), 2.0)
  same = regression_metrics.score(truth, truth, (SEVEN,))
  assert same["pearson"] is None and same["ccc"] is None
  assert same["mae"] == 0 and same["acc7"] == 1
  other = regression_metrics.score(truth + 1, truth, (SEVEN,))
  assert other["pearson"] is None and other["ccc"] == 0


def test_one_row_has_an_error_and_no_correlation():
  got = regression_metrics.score(np.array([[0.4]]), np.array([[0.0]]), (SEVEN,))
  assert got["mae"] == pytest.approx(0.4)
  assert got["pearson"] is None and got["ccc"] == 0
  # Nothing is left without the zero.
  assert got["acc2_non0"] is None and got["f1_non0"] is None
  assert got["acc2_has0"] == got["acc7"] == 1


def test_signs_and_steps_are_of_scales_that_have_them():
  assert regression_metrics.names((FIVE,)) == ("mae", "pearson", "ccc")
  halves = regression_metrics.names(((-1.0, 1.0),))
  assert "f1_non0" in halves and "acc7" not in halves
  assert regression_metrics.names((FIVE, SEVEN)) == regression_metrics.NAMES
  values, truth, mask = drawn()
  both = regression_metrics.per_target(values, truth, mask, (SEVEN, FIVE))
  assert np.isnan(both["acc7"][1]) and np.isnan(both["acc2_has0"][1])
  mean = regression_metrics.compute(values, truth, mask, (SEVEN, FIVE))
  assert mean["acc7"] == both["acc7"][0]
  assert mean["mae"] == pytest.approx(both["mae"].mean())


def test_masked_rows_do_not_exist():
  values, truth, mask = drawn()
  dirty = np.where(mask[:, None], values, np.nan)
  a = regression_metrics.compute(dirty, truth, mask, (SEVEN, FIVE))
  b = regression_metrics.compute(
    values[mask], truth[mask], mask[mask], (SEVEN, FIVE)
  )
  for name, value in a.items():
    np.testing.assert_allclose(value, b[name], rtol=1e-12, err_msg=name)


def test_what_is_not_finite_is_refused_or_the_worst():
  values, truth, mask = drawn()
  values[np.flatnonzero(mask)[0], 0] = np.nan
  with pytest.raises(errors.UserError, match="not finite"):
    regression_metrics.compute(values, truth, mask, (SEVEN, FIVE))
  compiled = jax.jit(
    lambda *arrays: regression_metrics.compute(*arrays, (SEVEN, FIVE))
  )(*(jnp.asarray(each, jnp.float32) for each in (values, truth)), mask)
  assert compiled["mae"] == np.inf and compiled["ccc"] == 0


def test_the_baseline_is_the_mean_of_the_training_rows():
  train, truth = np.array([[1.0], [4.0]]), np.array([[2.0], [3.5]])
  got = regression_metrics.mean_baseline(train, truth, (FIVE,))
  assert got == {"mae": 0.75, "pearson": None, "ccc": 0.0}


@pytest.mark.parametrize("name", ["accuracy", "test_mae", "rmse"])
def test_selection_is_by_a_metric_of_ratings(name):
  with pytest.raises(errors.UserError, match="training.select.*mae"):
    regression_metrics.check_selectable("training.select", name)
  regression_metrics.check_selectable("training.select", "ccc")


def test_the_losses_are_means_over_the_targets():
  values, truth, _ = drawn()
  for loss, power in ((losses.absolute_error, 1), (losses.squared_error, 2)):
    got = loss(jnp.asarray(values), jnp.asarray(truth))
    expected = (np.abs(values - truth) ** power).mean(axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_gradient_of_the_concordance_is_that_of_differences():
  values, truth, mask = drawn(rows=9)
  with jax.enable_x64(True):
    gradient = jax.jit(
      jax.grad(lambda *each: regression_metrics.concordance(*each).sum())
    )(values, truth, mask)
  step = 1e-6
  for row in range(9):
    for column in range(2):
      moved = [values.copy(), values.copy()]
      moved[0][row, column] += step
      moved[1][row, column] -= step
      up, down = (
        regression_metrics.concordance(each, truth, mask).sum()
        for each in moved
      )
      np.testing.assert_allclose(
        gradient[row, column], (up - down) / (2 * step), atol=1e-8
      )
