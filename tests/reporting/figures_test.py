"""The data of figures, and the pictures that are drawn of it."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import scipy.stats
from matplotlib import figure

from mmer_jax.base import workdir
from mmer_jax.reporting import colours, figures, layouts, plots
from tests import toy_model
from tests.reporting import made_up


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
  found = figures.losses(tmp_path, runs=[1])["stages"]
  assert found["vanilla"]["terms"]["train_loss"] == [2.0, 3.0]

  summary = {
    name: {"mean": 0.5, "std": 0.1, "ci95": [0.4, 0.6], "n": 2}
    for name in ("weighted_average_precision", "unweighted_accuracy")
  }
  outcome = {
    "split": "test",
    "protocol": {"decision": "softmax"},
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


def test_where_every_run_failed_there_are_no_figures(tmp_path):
  row = {"stage_name": "supervised", "epoch": 1, "run": 0, "failed_step": 3}
  (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
  assert figures.losses(tmp_path) is None
  assert figures.threshold_curves(tmp_path, "supervised", (0.5,)) is None
  assert figures.of_result(made_up.result(failed="all")) == []
  example = {"modality": "acoustic", "original": [1.0]}
  nothing = {"mean": None}
  robustness = dict.fromkeys(
    ("distance_acoustic", "noise_distance_acoustic"), nothing
  )
  assert (
    figures.regenerated({"regenerated": [example], "robustness": robustness})
    is None
  )


def summary(mean):
  return {"mean": mean, "std": 0.1, "ci95": [mean - 0.1, mean + 0.1], "n": 2}


CONTENTS = {
  "losses": {
    "stages": {"a": {"epochs": [1, 2], "terms": {"train_loss": [2.0, None]}}}
  },
  "threshold_curves": {
    "thresholds": [0.1, 0.5],
    "epochs": [1, 2],
    "runs": [2, 1],
    "metrics": {"f1": [[0.1, 0.2], [0.3, 0.4]]},
  },
  "distances": {
    "emotions": ["sad", "happy"],
    "runs": 2,
    "spaces": {"lexical": [[0, 1.5], [1.5, 0]], "visual": [[0, 2], [2, 0]]},
    "rank_correlation": {"visual": summary(0.5)},
  },
  "confusion": {
    "split": "validation",
    "emotions": ["sad", "happy"],
    "settings": [
      {"setting": {}, "shares": [[1, 0], [0.5, 0.5]], "counts": [3, 14]}
    ],
  },
  "decisions": {
    "split": "validation",
    "emotions": ["sad"],
    "settings": [
      {"setting": {}, "shares": [[[1, 0], [0.5, 0.5]]], "counts": [[3, 14]]}
    ],
  },
  "ratings": {
    "split": "validation",
    "targets": {
      "valence": {
        "places": [1.0, 2.0],
        "settings": [
          {"setting": {}, "shares": [[1, 0], [0.5, 0.5]], "counts": [3, 14]}
        ],
      }
    },
  },
  "sweep": {
    "split": "validation",
    "key": "learning_rate",
    "values": [1e-4, 1e-2],
    "metrics": {"f1": [summary(0.4), summary(0.5)]},
  },
  "lengths": {
    "counts": {"frames_per_word": [0, 2, 1]},
    "summary": {"frames_per_word": {"mean": 1.3, "std": 0.5, "n": 3}},
  },
  "regenerated": {
    "examples": [
      {
        "modality": "visual",
        "original": [0.0, 1.0],
        "corrupted": [1.0, 0.0],
        "regenerated": [0.5, 1.0],
        "distance": 0.5,
        "noise_distance": 0.7,
      }
    ]
  },
}


@pytest.mark.parametrize("name", list(layouts.LAYOUTS))
def test_axes_have_labels_and_a_split_is_named(name):
  layout = layouts.LAYOUTS[name]({"figure": name, **CONTENTS[name]})
  for panel in layout.panels:
    axis = figure.Figure().subplots()
    panel.draw(axis)
    assert axis.get_xlabel() and axis.get_ylabel()
    if name == "distances":
      assert [t.get_text() for t in axis.get_yticklabels()] == ["sad", "happy"]
  if "split" in CONTENTS[name]:
    assert layout.title.startswith("Validation split")
  if name == "distances":
    assert "with the lexical distances\n0.50 ± 0.10" in layout.panels[1].title


def test_an_interval_of_correlations_is_cut_where_they_end():
  assert layouts.correlation(summary(0.5)) == "0.50 ± 0.10"
  cut = {**summary(0.95), "ci95": [0.85, 1.0]}
  assert layouts.correlation(cut) == "0.95 (0.85 to 1.00)"
  alone = {**summary(0.95), "ci95": [None, None]}
  assert layouts.correlation(alone) == "0.95"
  assert layouts.correlation({**alone, "mean": None}) == ""


@pytest.mark.parametrize("epochs", [[1, 2], [1, 2, 3], list(range(1, 51))])
def test_epochs_are_whole(epochs):
  stage = {"epochs": epochs, "terms": {"train_loss": [1.0] * len(epochs)}}
  (panel,) = layouts.LAYOUTS["losses"]({"stages": {"a": stage}}).panels
  axis = figure.Figure().subplots()
  panel.draw(axis)
  ticks = axis.get_xticks()
  np.testing.assert_array_equal(ticks, np.round(ticks))


def test_rows_of_a_matrix_say_how_many_they_are_of():
  (panel,) = layouts.LAYOUTS["confusion"](CONTENTS["confusion"]).panels
  axis = figure.Figure().subplots()
  panel.draw(axis)
  rows = [label.get_text() for label in axis.get_yticklabels()]
  assert rows == ["sad (3)", "happy (14)"]


def test_panels_follow_the_readers_mode_and_files_do_not(tmp_path):
  content = {"figure": "losses", **CONTENTS["losses"]}
  plots.save(content, tmp_path)
  assert "var(--" not in (tmp_path / "losses.svg").read_text()
  ((title, svg),) = plots.draw_panels(content)
  assert title == "train loss" and "prefers-color-scheme: dark" in svg
  ElementTree.fromstring(svg)
  # Nothing is left in the colours of one mode.
  drawn = svg[svg.index("</style>") :]
  for name in ("text", "page", "line"):
    assert f"var(--{name})" in drawn
    assert colours.LIGHT[name] not in drawn
  assert colours.SERIES[0] in drawn


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
