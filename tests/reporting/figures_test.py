"""The data of figures, and the pictures that are drawn of it."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import scipy.stats

from mmer_jax.base import workdir
from mmer_jax.reporting import figures, plots
from tests import toy_model


def test_the_figures_are_drawn_from_the_data_beside_them(filled):
  folder = filled / "figures" / "mtee"
  for name in ("distances", "threshold_curves", "losses"):
    assert (folder / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    ElementTree.parse(folder / f"{name}.svg")
  distances = json.loads((folder / "distances.json").read_text())
  assert list(distances["spaces"]) == ["lexical", "acoustic", "visual"]
  described = workdir.read_json(filled / "mtee" / "run.json")["emotions"]
  vectors = np.array([emotion["vector"] for emotion in described])
  apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
  np.testing.assert_allclose(distances["spaces"]["lexical"], apart, rtol=1e-5)
  for matrix in distances["spaces"].values():
    np.testing.assert_allclose(matrix, np.transpose(matrix), rtol=1e-6)
    assert np.diag(matrix).max() == 0 and np.max(matrix) > 0
  assert distances["rank_correlation"]["acoustic"]["n"] == 7

  curves = json.loads((folder / "threshold_curves.json").read_text())
  rows = [
    json.loads(line)
    for line in (filled / "mtee" / "metrics.jsonl").read_text().splitlines()
  ]
  assert curves["epochs"] == [1, 2] and curves["runs"] == [7, 7]
  middle = curves["thresholds"].index(0.5)
  for name, values in curves["metrics"].items():
    # At the config's threshold the curve is the metric that is logged anyway.
    expected = [
      np.mean([r[f"validation_{name}"] for r in rows if r["epoch"] == epoch])
      for epoch in (1, 2)
    ]
    np.testing.assert_allclose(
      [row[middle] for row in values], expected, rtol=1e-5
    )
    assert np.ptp(values[0]) > 0


def test_losses_confusion_and_sweeps_are_drawn_of_what_is_there(tmp_path):
  """A workdir's files by hand: two stages, two settings of a number."""
  rows = [
    {
      "stage_name": stage,
      "epoch": epoch,
      "run": run_,
      "train_loss": float(epoch + run_),
      "validation_loss": 1.0,
      **({"train_mmd": 0.5 * run_} if stage == "semi" else {}),
    }
    for stage in ("vanilla", "semi")
    for epoch in (1, 2)
    for run_ in (0, 1)
  ]
  rows.append({"stage_name": "semi", "epoch": 2, "run": 2, "failed_step": 3})
  (tmp_path / "metrics.jsonl").write_text(
    "".join(json.dumps(row) + "\n" for row in rows)
  )
  found = figures.losses(tmp_path)["stages"]
  assert list(found) == ["vanilla", "semi"]
  assert found["vanilla"]["terms"]["train_loss"] == [1.5, 2.5]
  assert found["semi"]["terms"]["train_mmd"] == [0.25, 0.25]

  summary = {
    name: {"mean": 0.5, "std": 0.1, "ci95": [0.4, 0.6], "n": 2}
    for name in ("weighted_average_precision", "unweighted_accuracy")
  }
  outcome = {
    "split": "test",
    "runs": [
      {
        "setting": {"unlabelled": float(count)},
        "confusion": [[3, 1], [count, 0]],
        "per_emotion": {"sad": {}, "happy": {}},
      }
      for count in (2, 2, 4)
    ],
    "settings": [
      {"setting": {"unlabelled": count}, "summary": summary}
      for count in (2.0, 4.0)
    ],
  }
  content = figures.confusion(outcome)
  assert [entry["shares"] for entry in content["settings"]] == [
    [[0.75, 0.25], [1.0, 0.0]],
    [[0.75, 0.25], [1.0, 0.0]],
  ]
  assert [entry["counts"] for entry in content["settings"]] == [[8, 4], [4, 4]]
  assert figures.sweep(outcome)["values"] == [2.0, 4.0]
  words = [{"setting": {"words": word}} for word in ("", "a=b")]
  assert figures.sweep({"settings": words}) is None
  assert figures.sweep({}) is None
  assert figures.decisions(outcome) is None
  binary = {
    "split": "test",
    "runs": [
      {
        **outcome["runs"][0],
        "confusion": None,
        "decisions": [[[3, 1], [count, 0]], [[0, 0], [1, 1]]],
      }
      for count in (1, 3)
    ],
  }
  assert figures.confusion(binary) is None
  answers = figures.decisions(binary)
  (entry,) = answers["settings"]
  assert entry["shares"] == [
    [[0.75, 0.25], [1.0, 0.0]],
    [[0.0, 0.0], [0.5, 0.5]],
  ]
  assert entry["counts"] == [[8, 4], [0, 4]]
  sweep = figures.sweep(outcome)
  for drawn in (figures.losses(tmp_path), content, answers, sweep):
    assert plots.save(drawn, tmp_path / "out").stat().st_size > 5000


def test_rank_correlation_is_spearmans():
  rng = np.random.default_rng(0)
  for _ in range(20):
    a, b = rng.integers(6, size=(2, 15)).astype(float)
    np.testing.assert_allclose(
      figures.rank_correlation(a, b),
      scipy.stats.spearmanr(a, b).statistic,
      atol=1e-12,
    )
  assert figures.rank_correlation(np.ones(4), np.arange(4.0)) is None


def test_a_folder_that_is_no_workdir_is_named(tmp_path):
  done = toy_model.verb("mmer_jax.figures", f"--workdir={tmp_path}")
  assert done.returncode == 2
  assert (
    done.stderr.count("\n") == 1 and "config.json is missing" in done.stderr
  )
