"""Summaries over runs and their intervals, against SciPy."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mmer_jax.evaluation import statistics


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 14, 99, 1000])
def test_the_t_quantile_is_scipys(degrees):
  np.testing.assert_allclose(
    statistics.t_quantile(degrees), stats.t.ppf(0.975, degrees), rtol=1e-12
  )


def test_a_summary_is_the_t_interval_of_the_mean():
  values = np.random.default_rng(0).normal(0.6, 0.05, size=15)
  got = statistics.summarise(values.tolist())
  low, high = stats.t.interval(
    0.95, 14, loc=values.mean(), scale=stats.sem(values)
  )
  np.testing.assert_allclose(got["ci95"], [low, high], rtol=1e-9)
  np.testing.assert_allclose(got["std"], values.std(ddof=1))
  assert got["n"] == 15


def test_one_value_has_no_interval_and_none_is_not_counted():
  assert statistics.summarise([0.5, None]) == {
    "mean": 0.5,
    "std": None,
    "ci95": [None, None],
    "n": 1,
  }
  assert statistics.summarise([None])["mean"] is None


def test_two_values_have_a_deviation_and_no_interval():
  got = statistics.summarise([0.4, 0.6])
  assert got["ci95"] == [None, None]
  assert got["n"] == 2
  np.testing.assert_allclose(got["std"], 0.2 / 2**0.5)


def test_the_interval_of_shares_stays_between_0_and_1():
  values = [1.0, 1.0, 0.85]
  whole = statistics.summarise(values)
  assert whole["ci95"][1] > 1
  cut = statistics.summarise_shares(values)
  assert cut["ci95"] == [whole["ci95"][0], 1.0]
  low = statistics.summarise_shares([0.0, 0.01, 0.1])
  assert low["ci95"][0] == 0.0
  inside = [0.5, 0.51, 0.52]
  assert statistics.summarise_shares(inside) == statistics.summarise(inside)


@pytest.mark.parametrize("degrees", [2, 3, 4, 9, 40])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 2.0, 9.0])
def test_the_p_value_is_scipys(ratio, degrees):
  got = statistics.p_value(-0.02 * ratio, 0.02, degrees)
  expected = 2 * stats.t.sf(ratio, degrees)
  np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-14)


def test_what_does_not_vary_has_no_p_value():
  assert statistics.p_value(0.1, 0.0, 4) is None
  assert statistics.p_value(0.1, None, 4) is None


def rejected(p_values, level):
  """Holm's procedure as he wrote it: step by step, until one is kept."""
  left = dict(enumerate(p_values))
  gone = set()
  while left:
    smallest = min(left, key=lambda index: left[index])
    if left[smallest] * len(left) > level:
      break
    gone.add(smallest)
    del left[smallest]
  return gone


def test_an_adjusted_p_value_is_the_level_at_which_holm_rejects():
  rng = np.random.default_rng(0)
  for count in (1, 2, 3, 7, 20):
    p_values = (rng.random(count) ** 3).tolist()
    adjusted = statistics.holm(p_values)
    # Just above whatever a p-value may be multiplied to.
    for factor, p in itertools.product(range(1, count + 1), p_values):
      level = min(factor * p * (1 + 1e-9), 0.99)
      below = {i for i, value in enumerate(adjusted) if value <= level}
      assert below == rejected(p_values, level)


def test_holm_by_hand():
  # 3 x .01, 2 x .02, then .035 is raised to the one before it.
  got = statistics.holm([0.02, None, 0.01, 0.035])
  assert got[1] is None
  np.testing.assert_allclose([got[0], got[2], got[3]], [0.04, 0.03, 0.04])
  assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
  assert statistics.holm([]) == []
