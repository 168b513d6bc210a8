"""What a result holds, and what is left out of it."""

import json

import numpy as np

from mmer_jax.base import workdir
from mmer_jax.core import metrics
from mmer_jax.evaluation import results, tables
from tests.evaluation import made_up


def test_a_result_has_the_keys_that_others_read():
  got = made_up.result()
  assert {
    "system",
    "config_sha256",
    "dataset",
    "split",
    "protocol",
    "runs",
    "summary",
    "majority_baseline",
    "environment",
  } <= set(got)
  assert {"run", "seed", "fold", "metrics", "per_emotion", "confusion"} <= set(
    got["runs"][0]
  )
  assert set(got["summary"]) == set(metrics.NAMES)
  assert set(got["summary"]["auc"]) == {
    *("mean", "std", "ci95", "n"),
    *("ci95_hierarchical", "hierarchy"),
  }
  assert set(got["runs"][0]["per_emotion"]) == {"sad", "happy", "angry"}
  assert np.sum(got["runs"][0]["confusion"]) == 20
  # Undefined on a class that is not there: null, and legal JSON.
  assert got["runs"][3]["per_emotion"]["angry"]["auc"] is None
  json.dumps(workdir.finite(got), allow_nan=False)


def test_a_metric_that_no_emotion_defines_is_null_and_not_counted():
  """Chance in its place would enter the mean over runs."""
  probs = np.array([[0.9, 0.1], [0.3, 0.7]])
  one_class = np.array([[1.0, 0.0], [1.0, 0.0]])
  runs = [
    results.run_result(
      made_up.record(run),
      made_up.run_scores(probs, labels, ("sad", "happy")),
      decision="softmax",
      select="accuracy",
    )
    for run, labels in enumerate([one_class, np.eye(2)])
  ]
  assert runs[0]["metrics"]["auc"] is None
  assert runs[0]["metrics"]["weighted_accuracy"] is None
  assert runs[0]["metrics"]["accuracy"] == 0.5
  assert runs[0]["metrics"]["unweighted_accuracy"] == 0.5
  baseline = metrics.majority_baseline(one_class, one_class, "softmax")
  got = results.build_results(made_up.evaluated(), runs, [baseline])
  assert got["summary"]["auc"]["mean"] == 1.0
  assert got["summary"]["auc"]["n"] == 1
  assert got["majority_baseline"]["auc"] is None
  assert "| auc | 100.0 | - | 1 | - |" in tables.markdown(got)


def test_a_failed_run_is_listed_and_left_out():
  got = made_up.result(failed=1)
  assert got["failed"] == [1]
  assert got["summary"]["accuracy"]["n"] == 3
  kept = [r["metrics"]["accuracy"] for r in got["runs"] if r["run"] != 1]
  np.testing.assert_allclose(got["summary"]["accuracy"]["mean"], np.mean(kept))
  assert got["runs"][1]["metrics"]["accuracy"] is None
  assert "[1]" in tables.markdown(got)


def test_a_failed_run_has_no_number_at_all():
  """Its probabilities may be NaN: nothing may rank them."""
  probs = np.full((4, 3), np.nan)
  labels = np.eye(3)[[0, 1, 2, 0]]
  run = results.run_result(
    made_up.record(),
    made_up.run_scores(probs, labels),
    decision="softmax",
    select="accuracy",
    failure=made_up.FAILURE,
  )
  assert set(run["metrics"].values()) == {None}
  assert all(set(e.values()) == {None} for e in run["per_emotion"].values())
  assert run["confusion"] is run["decisions"] is run["selection"] is None
  assert (run["failed_step"], run["failure"]) == made_up.FAILURE


def test_only_where_every_run_failed_there_is_no_number():
  assert not results.every_run_failed(made_up.result())
  assert not results.every_run_failed(made_up.result(failed=1))
  everything = made_up.result(failed="all")
  assert results.every_run_failed(everything)
  assert everything["summary"]["accuracy"]["n"] == 0


def test_a_sweep_is_summarised_by_setting():
  got = made_up.result(sweep=True)
  assert [entry["setting"] for entry in got["settings"]] == [
    {"learning_rate": 0.0},
    {"learning_rate": 0.1},
  ]
  best = results.best_setting(got)
  means = {
    entry["setting"]["learning_rate"]: entry["summary"]["accuracy"]["mean"]
    for entry in got["settings"]
  }
  assert best["learning_rate"] == max(means, key=means.get)
  chosen = results.choose(got, {"learning_rate": 0.1})
  assert chosen["summary"] == got["settings"][1]["summary"]
  assert "learning_rate 0.1" in tables.markdown(chosen)


def test_transfer_by_hand():
  """Source a b, then c, then d; R by stages (rows) and tasks (columns).

  R = [[.7 .5 .4], [.6 .8 .5], [.65 .7 .9]], b = [.5 .45 .5].
  """

  def scores(a, b, c, d):
    return {
      name: {"weighted_accuracy": value}
      for name, value in zip("abcd", (a, b, c, d), strict=True)
    }

  got = results.transfer(
    [
      scores(0.8, 0.6, 0.5, 0.4),
      scores(0.5, 0.7, 0.8, 0.5),
      scores(0.7, 0.6, 0.7, 0.9),
    ],
    scores(0.4, 0.6, 0.45, 0.5),
    "abcd",
    ("c", "d"),
  )
  assert got["tasks"] == ["a b", "c", "d"]
  np.testing.assert_allclose(
    got["matrix"], [[0.7, 0.5, 0.4], [0.6, 0.8, 0.5], [0.65, 0.7, 0.9]]
  )
  np.testing.assert_allclose(got["average"], (0.65 + 0.7 + 0.9) / 3)
  np.testing.assert_allclose(
    got["backward_transfer"], ((0.65 - 0.7) + (0.7 - 0.8)) / 2
  )
  np.testing.assert_allclose(
    got["forward_transfer"], ((0.5 - 0.45) + (0.5 - 0.5)) / 2
  )
