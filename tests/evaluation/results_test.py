"""Summaries, intervals and what is written of them."""

import json

import numpy as np
import pytest
from scipy import stats

from mmer_jax.base import environment, workdir
from mmer_jax.core import metrics
from mmer_jax.evaluation import results, statistics, tables


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


def outcome(failed=None, sweep=False):
  rng = np.random.default_rng(0)
  runs, baselines = [], []
  for run in range(4):
    labels = np.eye(3)[rng.integers(3, size=20)]
    labels[:, 2] = 0 if run == 3 else labels[:, 2]
    probs = rng.dirichlet(np.ones(3), size=20)
    runs.append(
      results.run_result(
        run=run,
        seed=run % 2,
        fold="1",
        setting={"learning_rate": 0.1 * (run // 2)} if sweep else {},
        unseen=(),
        taught=np.ones(3, bool),
        select="accuracy",
        emotions=("sad", "happy", "angry"),
        decision="softmax",
        probs=probs,
        labels=labels,
        threshold=0.5,
        failed_step=3 if run == failed else None,
      )
    )
    baselines.append(metrics.majority_baseline(labels, labels, "softmax"))
  return results.build_results(
    system="mtee",
    config_sha256="0" * 64,
    dataset={"name": "toy", "fingerprint": "f" * 64},
    split="test",
    protocol={
      "split": "corpus",
      "decision": "softmax",
      "modalities": ["lexical"],
    },
    select="accuracy",
    runs=runs,
    baselines=baselines,
  )


def test_a_result_has_the_keys_that_others_read():
  got = outcome()
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
  assert set(got["summary"]["auc"]) == {"mean", "std", "ci95", "n"}
  assert set(got["runs"][0]["per_emotion"]) == {"sad", "happy", "angry"}
  assert np.sum(got["runs"][0]["confusion"]) == 20
  # Undefined on a class that is not there: null, and legal JSON.
  assert got["runs"][3]["per_emotion"]["angry"]["auc"] is None
  json.dumps(workdir.finite(got), allow_nan=False)


def test_a_metric_that_no_emotion_defines_is_null_and_not_counted():
  """Chance in its place would enter the mean over runs."""
  probs = np.array([[0.9, 0.1], [0.3, 0.7]])
  common = {
    "seed": 0,
    "fold": "1",
    "setting": {},
    "unseen": (),
    "taught": np.ones(2, bool),
    "select": "accuracy",
    "emotions": ("sad", "happy"),
    "decision": "softmax",
    "threshold": 0.5,
    "failed_step": None,
  }
  one_class = np.array([[1.0, 0.0], [1.0, 0.0]])
  runs = [
    results.run_result(run=run, probs=probs, labels=labels, **common)
    for run, labels in enumerate([one_class, np.eye(2)])
  ]
  assert runs[0]["metrics"]["auc"] is None
  assert runs[0]["metrics"]["weighted_accuracy"] is None
  assert runs[0]["metrics"]["accuracy"] == 0.5
  assert runs[0]["metrics"]["unweighted_accuracy"] == 0.5
  got = results.build_results(
    system="mtee",
    config_sha256="0" * 64,
    dataset={"name": "toy", "fingerprint": "f" * 64},
    split="test",
    protocol={"split": "corpus", "decision": "softmax", "modalities": ["a"]},
    select="accuracy",
    runs=runs,
    baselines=[metrics.majority_baseline(one_class, one_class, "softmax")],
  )
  assert got["summary"]["auc"]["mean"] == 1.0
  assert got["summary"]["auc"]["n"] == 1
  assert got["majority_baseline"]["auc"] is None
  assert "| auc | 100.0 | 1 | - |" in tables.markdown(got)


def test_a_failed_run_is_listed_and_left_out():
  got = outcome(failed=1)
  assert got["failed"] == [1]
  assert got["summary"]["accuracy"]["n"] == 3
  kept = [r["metrics"]["accuracy"] for r in got["runs"] if r["run"] != 1]
  np.testing.assert_allclose(got["summary"]["accuracy"]["mean"], np.mean(kept))
  assert got["runs"][1]["metrics"]["accuracy"] is None
  assert "[1]" in tables.markdown(got)


def test_a_sweep_is_summarised_by_setting():
  got = outcome(sweep=True)
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


def test_tables_are_percent_with_one_decimal():
  got = outcome()
  page = tables.markdown(got)
  entry = got["summary"]["accuracy"]
  half = 100 * (entry["ci95"][1] - entry["mean"])
  cell = f"{100 * entry['mean']:.1f} ± {half:.1f}"
  baseline = 100 * got["majority_baseline"]["accuracy"]
  assert f"| accuracy | {cell} | 4 | {baseline:.1f} |" in page
  assert "| sad |" in page
  assert "percent" in str(tables.to_rich(got).caption)


def test_the_environment_names_versions_and_no_machine():
  import os
  import platform

  text = json.dumps(environment.environment())
  assert platform.node() not in text
  assert os.getcwd() not in text
  assert {"jax", "flax", "numpy", "device_kind"} <= set(
    environment.environment()
  )


def test_files_are_replaced_whole(tmp_path):
  path = tmp_path / "a" / "x.json"
  workdir.write_json(path, {"value": float("nan")})
  assert json.loads(path.read_text()) == {"value": None}
  with pytest.raises(TypeError):
    workdir.write_json(path, {"value": object()})
  assert json.loads(path.read_text()) == {"value": None}
  assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_lines_of_a_resumed_run_are_dropped_with_a_cut_one(tmp_path):
  path = tmp_path / "metrics.jsonl"
  workdir.append_lines(path, [{"epoch": n} for n in range(4)])
  with path.open("a") as file:
    file.write('{"epoch": 4, "los')
  workdir.keep_lines(path, lambda row: row["epoch"] < 3)
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  assert rows == [{"epoch": 0}, {"epoch": 1}, {"epoch": 2}]


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
