"""The hierarchical bootstrap: hand values, a loop, and how often it covers."""

import time

import numpy as np
import pytest
from scipy import stats

from mmer_jax.evaluation import hierarchical, statistics


def table(rng, folds, runs, between, within):
  """Runs of folds: a mean of 0, and known deviations on both levels."""
  values = between * rng.normal(size=(folds, 1))
  values = values + within * rng.normal(size=(folds, runs))
  return values.ravel().tolist(), np.repeat(np.arange(folds), runs).tolist()


@pytest.mark.parametrize("over_folds", [True, False])
def test_the_weights_are_those_of_a_loop_over_the_same_draws(over_folds):
  rng = np.random.default_rng(3)
  counts = (3, 1, 4, 2)
  runs = [rng.normal(0.6, 0.1, size=count) for count in counts]
  drawn_folds, drawn_runs = hierarchical.draw(counts, over_folds)
  means = []
  for resample in range(300):
    of_folds = []
    for place, fold in enumerate(drawn_folds[resample]):
      own = runs[fold]
      picked = [own[i] for i in drawn_runs[resample, place, : len(own)]]
      of_folds.append(sum(picked) / len(picked))
    means.append(sum(of_folds) / len(of_folds))
  got = hierarchical.weights(counts, over_folds)[:300] @ np.concatenate(runs)
  np.testing.assert_allclose(got, means, rtol=1e-12)
  if not over_folds:
    assert (drawn_folds == np.arange(4)).all()


@pytest.mark.parametrize("between", [0.0, 0.03])
@pytest.mark.parametrize("counts", [(10, 10, 10, 10, 10), (1, 4, 2, 6)])
def test_the_error_is_that_of_the_folds_means(between, counts):
  """By hand: what is drawn has their variance, or that of runs if larger."""
  rng = np.random.default_rng(0)
  runs = [between * rng.normal() + rng.normal(0, 0.02, n) for n in counts]
  folds = np.repeat(np.arange(len(counts)), counts).tolist()
  made = hierarchical.summarise(np.concatenate(runs).tolist(), folds)
  centres = [each.mean() for each in runs]
  of_runs = [
    each.var(ddof=1) / len(each) if len(each) > 1 else 0.0 for each in runs
  ]
  error = np.sqrt(max(np.var(centres, ddof=1), np.mean(of_runs)) / len(counts))
  assert made["hierarchy"]["over"] == hierarchical.OVER_FOLDS
  assert made["hierarchy"]["degrees"] == len(counts) - 1
  got = made["hierarchy"]["error"]
  np.testing.assert_allclose(got, error, rtol=0.03)
  half = stats.t.ppf(0.975, len(counts) - 1) * got
  mean = np.mean(centres)
  np.testing.assert_allclose(
    made["ci95_hierarchical"], [mean - half, mean + half]
  )


def test_the_interval_covers_where_that_of_all_runs_does_not():
  """Five folds of ten seeds; folds differ three times as much as seeds."""
  rng = np.random.default_rng(1)
  covered = {"hierarchical": 0, "student": 0}
  trials = 400
  for _ in range(trials):
    values, folds = table(rng, 5, 10, 0.03, 0.01)
    low, high = hierarchical.summarise(values, folds)["ci95_hierarchical"]
    covered["hierarchical"] += low < 0 < high
    low, high = statistics.summarise(values)["ci95"]
    covered["student"] += low < 0 < high
  assert 0.92 <= covered["hierarchical"] / trials <= 0.98
  assert covered["student"] / trials < 0.6


def test_where_folds_do_not_differ_it_is_wide_and_not_narrow():
  rng = np.random.default_rng(2)
  covered = 0
  for _ in range(200):
    values, folds = table(rng, 5, 4, 0.0, 0.02)
    low, high = hierarchical.summarise(values, folds)["ci95_hierarchical"]
    covered += low < 0 < high
  assert covered >= 190


def test_one_fold_is_students_interval_of_its_seeds():
  values = np.random.default_rng(4).normal(0.6, 0.02, size=8).tolist()
  made = hierarchical.summarise(values, ["1"] * 8)
  assert made["hierarchy"]["over"] == hierarchical.OVER_RUNS
  assert made["hierarchy"]["degrees"] == 7
  np.testing.assert_allclose(
    np.diff(made["ci95_hierarchical"]),
    np.diff(statistics.summarise(values)["ci95"]),
    rtol=0.03,
  )
  assert "nothing else" in hierarchical.explain(made["hierarchy"])


def test_two_folds_keep_their_rows_and_pool_their_seeds():
  """Folds that lie apart make no interval wider that is of seeds alone."""
  near = [0.50, 0.52, 0.54]
  far = [value + 0.3 for value in near]
  one = hierarchical.summarise(near, ["1"] * 3)
  two = hierarchical.summarise(near + far, ["1"] * 3 + ["2"] * 3)
  assert two["hierarchy"]["degrees"] == 4
  np.testing.assert_allclose(
    two["hierarchy"]["error"], one["hierarchy"]["error"] / 2**0.5, rtol=0.05
  )
  np.testing.assert_allclose(two["hierarchy"]["mean"], 0.67)


@pytest.mark.parametrize(
  ("values", "folds", "mean", "ends"),
  [
    # All equal.
    ([0.7] * 6, ["1", "1", "2", "2", "3", "3"], 0.7, [0.7, 0.7]),
    # One run says nothing of others, nor do two of one fold.
    ([0.7], ["1"], 0.7, [None, None]),
    ([0.6, 0.8], ["1", "1"], 0.7, [None, None]),
    # Runs that failed are left out: a fold of them is none.
    ([0.6, None, 0.8, None], ["1", "2", "1", "3"], 0.7, [None, None]),
  ],
)
def test_values_by_hand(values, folds, mean, ends):
  made = hierarchical.summarise(values, folds)
  np.testing.assert_allclose(made["hierarchy"]["mean"], mean)
  if ends[0] is None:
    assert made["ci95_hierarchical"] == ends
  else:
    np.testing.assert_allclose(made["ci95_hierarchical"], ends, rtol=1e-12)


def test_nothing_has_neither_interval_nor_hierarchy():
  made = hierarchical.summarise([None, None], ["1", "2"])
  assert made == {"ci95_hierarchical": [None, None], "hierarchy": None}
  assert hierarchical.summarise_shares([None], ["1"])["n"] == 0


def test_folds_weigh_alike_however_many_of_their_runs_failed():
  values = [0.9, 0.9, 0.9, 0.9, 0.6, None, None, None, 0.3, 0.3]
  folds = ["1"] * 4 + ["2"] * 4 + ["3"] * 2
  made = hierarchical.summarise(values, folds)["hierarchy"]
  np.testing.assert_allclose(made["mean"], 0.6)
  assert (made["folds"], made["runs_per_fold"]) == (3, 4)


def test_seeds_that_divide_the_rows_anew_make_no_interval_narrower():
  """Ten divisions into five folds know no more speakers than one."""
  rng = np.random.default_rng(5)
  runs = [
    {
      "fold": str(fold),
      "seed": seed,
      "utterances_sha256": f"{seed} {fold}",
      "value": rng.normal(0.6, 0.05),
    }
    for seed in range(10)
    for fold in range(5)
  ]
  values = [run["value"] for run in runs]
  folds, divisions = hierarchical.levels(runs)
  assert divisions == [run["seed"] for run in runs]
  made = hierarchical.summarise(values, folds, divisions)["hierarchy"]
  assert made["over"] == hierarchical.OVER_DIVISIONS
  one = [
    hierarchical.summarise(values[5 * i : 5 * i + 5], folds[:5])["hierarchy"]
    for i in range(10)
  ]
  expected = np.mean([each["error"] ** 2 for each in one]) ** 0.5
  np.testing.assert_allclose(made["error"], expected)
  same = [{**run, "utterances_sha256": run["fold"]} for run in runs]
  assert hierarchical.levels(same) == (folds, None)
  older = [{"fold": run["fold"], "seed": run["seed"]} for run in runs]
  assert hierarchical.levels(older) == (folds, None)


def test_a_random_split_for_each_seed_is_over_those_splits_alone():
  values = [0.5, 0.6, 0.7, 0.8]
  made = hierarchical.summarise(values, ["1"] * 4, [0, 1, 2, 3])["hierarchy"]
  assert made["over"] == hierarchical.OVER_RUNS
  assert made["degrees"] == 3


def test_the_interval_of_shares_stays_between_0_and_1_and_is_repeated():
  values = [1.0, 0.99, 0.6, 0.65, 1.0, 1.0]
  folds = ["1", "1", "2", "2", "3", "3"]
  made = hierarchical.summarise_shares(values, folds)
  assert made["ci95_hierarchical"][1] == 1.0
  hierarchical.weights.cache_clear()
  assert hierarchical.summarise_shares(values, folds) == made


def test_it_takes_a_fraction_of_a_second():
  rng = np.random.default_rng(6)
  hierarchical.weights.cache_clear()
  started = time.process_time()
  hierarchical.summarise(*table(rng, 5, 10, 0.03, 0.01))
  assert time.process_time() - started < 1.0
