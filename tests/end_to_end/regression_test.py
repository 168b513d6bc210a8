"""Ratings from shards to values: trained, scored, served and shown."""

import csv
import json

import numpy as np
import pytest
import rich.console
import scipy.stats
import sklearn.metrics

from configs.own import dae_mmd, lf_lstm, m3er, mtee
from mmer_jax.base import errors, workdir
from mmer_jax.data import manifest
from mmer_jax.evaluation import evaluate, load, tables, train_and_evaluate
from mmer_jax.experiment import build, fit
from mmer_jax.reporting import figures, page, page_runs, word_maps
from mmer_jax.serving import export, predictions
from mmer_jax.serving import load as serving_load
from tests import own_shards

QUIET = rich.console.Console(quiet=True)
SCALES = (("sentiment", -3.0, 3.0), ("arousal", 1.0, 5.0))
SPLITS = ["train"] * 24 + ["validation"] * 9 + ["test"] * 9


def drawn():
  """Ratings of 42 utterances, of which two lack one; each split has zeros."""
  rng = np.random.default_rng(3)
  sentiment = rng.integers(-9, 10, size=42) / 3
  sentiment[[2, 26, 35]] = 0
  values = np.stack([sentiment, rng.uniform(1, 5, size=42)], axis=1)
  values[5, 0] = values[40, 1] = np.nan
  return values.astype(np.float32)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  """Utterances with an emotion, ratings and splits of their own."""
  return own_shards.convert(
    tmp_path_factory.mktemp("rated"),
    frames={"lexical": 1, "acoustic": 2},
    labels=[["a"], ["b"], None] * 14,
    scales=SCALES,
    ratings=list(drawn()),
    split=SPLITS,
  )


def config(shards, module=lf_lstm, **changes):
  made = module.get_config("smoke")
  with made.unlocked():
    made.data.dir = str(shards)
    made.protocol.decision = "regression"
    made.update_from_flattened_dict(changes)
  return made


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
  """One run of four epochs, and its result on the test split."""
  folder = tmp_path_factory.mktemp("run")
  changes = {"training.epochs": 4, "optimizer.learning_rate": 0.03}
  made = config(shards, **changes)
  train_and_evaluate.train_and_evaluate(made, folder, console=QUIET)
  return folder, evaluate.evaluate_workdir(folder, evaluate.Request("test"))


def test_the_config_is_settled_by_the_ratings(shards):
  made = config(shards)
  notes = fit.fit_to_corpus(made)
  assert made.data.ratings == ("sentiment", "arousal")
  assert made.training.select == "mae"
  assert made.data.emotions == ()
  assert "decision regression of sentiment, arousal" in notes[0]
  assert "not rated, and not learnt from: 2 of 42 utterances" in notes
  made = config(shards, **{"data.ratings": ("arousal",)})
  fit.fit_to_corpus(made)
  assert made.data.ratings == ("arousal",)


def test_the_result_is_what_libraries_make_of_the_predictions(
  shards, trained, tmp_path
):
  folder, result = trained
  count = predictions.predict_file(
    serving_load.load(folder), shards, tmp_path / "p.csv"
  )
  assert count == 42
  with (tmp_path / "p.csv").open() as file:
    rows = {row.pop("id"): row for row in csv.DictReader(file)}
  assert list(rows["u3"]) == ["value:sentiment", "value:arousal"]
  truth = drawn()
  test = [
    row
    for row in range(42)
    if SPLITS[row] == "test" and np.isfinite(truth[row]).all()
  ]
  (run,) = result["runs"]
  assert run["examples"] == len(test) == 8
  for column, (name, _, _) in enumerate(SCALES):
    values = [float(rows[f"u{row}"][f"value:{name}"]) for row in test]
    rated = truth[test, column]
    scores = run["per_emotion"][name]
    error = sklearn.metrics.mean_absolute_error(rated, values)
    assert scores["mae"] == pytest.approx(error, rel=1e-5)
    correlation = scipy.stats.pearsonr(rated, values).statistic
    assert scores["pearson"] == pytest.approx(correlation, rel=1e-4)
    counts = np.asarray(run["ratings"][name]["counts"])
    assert counts.sum() == scores["support"] == 8
  sign = np.mean(
    (np.array([float(rows[f"u{row}"]["value:sentiment"]) for row in test]) >= 0)
    == (truth[test, 0] >= 0)
  )
  assert run["metrics"]["acc2_has0"] == pytest.approx(sign)
  assert run["per_emotion"]["arousal"]["acc7"] is None
  mean = truth[:24][np.isfinite(truth[:24]).all(axis=1)].mean(axis=0)
  expected = np.abs(truth[test] - mean).mean()
  assert result["majority_baseline"]["mae"] == pytest.approx(expected)
  assert run["confusion"] is None and run["decisions"] is None


def test_the_epoch_of_the_smallest_error_is_selected(trained):
  folder, _ = trained
  lines = workdir.read_lines(folder / "metrics.jsonl")
  found = [line["validation_mae"] for line in lines]
  result = workdir.read_json(folder / "results" / "validation.json")
  assert result["runs"][0]["selection"] == pytest.approx(min(found), rel=1e-5)
  best = 1 + int(np.argmin(found))
  assert page_runs.selected_epochs(folder) == ("mae", {0: best})
  assert min(found) < max(found)


def test_an_export_gives_the_values_of_the_workdir(trained, tmp_path):
  folder, _ = trained
  spec = export.export(folder, tmp_path / "model", platforms=("cpu",))
  assert spec["decision"] == "regression"
  assert [e["range"] for e in spec["emotions"]] == [[-3.0, 3.0], [1.0, 5.0]]
  model, own = (serving_load.load(f) for f in (tmp_path / "model", folder))
  features = {"acoustic": np.full((2, 3), 0.3), "lexical": np.ones((1, 4))}
  a, b = (each.predict(features) for each in (model, own))
  np.testing.assert_allclose(a.values, b.values, rtol=1e-5)
  assert a.probs is None and a.chosen == [] and a.values.shape == (2,)
  assert model.predict(features, emotions=["arousal"]).values == pytest.approx(
    a.values[1:]
  )
  card = (tmp_path / "model" / "README.md").read_text("utf-8")
  assert 'outputs["values"]' in card and "arousal from 1 to 5" in card
  assert "mean rating" in card and "| rating | mae |" in card


def test_tables_and_pages_show_ratings(trained, tmp_path):
  folder, result = trained
  text = tables.markdown(result)
  assert "MAE in the ratings' units" in text and "| mean rating |" in text
  mae = result["summary"]["mae"]["mean"]
  assert f"| mae | {mae:.3f} |" in text
  (content,) = figures.of_result(result)
  assert content["figure"] == "ratings"
  assert content["targets"]["arousal"]["places"] == [1, 2, 3, 4, 5]
  html = page.write([folder], tmp_path).read_text("utf-8")
  assert "Ratings</h3>" in html and "<h3>Confusion" not in html
  assert f"{mae:.3f}" in html


def test_what_is_of_emotions_is_refused_after_training(trained):
  folder, _ = trained
  for request, message in (
    (evaluate.Request("test", thresholds="validation"), "binary decisions"),
    (evaluate.Request("test", emotions=("a",)), "learnt the ratings sent"),
  ):
    with pytest.raises(errors.UserError, match=message):
      evaluate.evaluate_workdir(folder, request)
  with pytest.raises(errors.UserError, match="word maps show the emotion"):
    word_maps.word_maps(folder, split="test", run=0, count=3)


def test_one_rating_alone_is_scored(trained):
  folder, whole = trained
  request = evaluate.Request("test", emotions=("arousal",))
  part = evaluate.evaluate_workdir(folder, request)
  assert list(part["summary"]) == ["mae", "pearson", "ccc"]
  assert part["summary"]["mae"]["mean"] == pytest.approx(
    whole["runs"][0]["per_emotion"]["arousal"]["mae"]
  )


def test_rows_without_a_rating_are_learnt_from_by_dae_mmd(shards):
  changes = {"unlabelled.use": True, "data.ratings": ("sentiment",)}
  made = config(shards, dae_mmd, **changes)
  fit.fit_to_corpus(made)
  experiment = build.build_experiment(made)
  (record,) = experiment.records
  ids = experiment.corpus.columns["id"]
  assert ids[record.pool].tolist() == ["u5"]
  assert "u5" not in ids[record.fold.train] and len(record.fold.train) == 23


@pytest.mark.parametrize("module", [mtee, m3er])
def test_a_system_that_scores_emotions_names_those_that_do_not(module):
  made = config("nowhere", module, **{"data.modalities": ("acoustic",)})
  message = f"{made.system} scores emotions and no ratings; .* lf_lstm"
  with pytest.raises(errors.UserError, match=message):
    build.build_system(made)


def test_shards_without_ratings_say_so(tmp_path):
  folder = own_shards.convert(
    tmp_path, frames={"acoustic": 2}, labels=[["a"], ["b"]] * 3
  )
  with pytest.raises(errors.UserError, match="own has no ratings"):
    fit.fit_to_corpus(config(folder))
  assert "ratings" not in manifest.load_manifest(folder)


def test_a_rating_that_never_varies_is_refused(tmp_path):
  values = np.tile(np.float32([[1.0]]), (9, 1))
  values[6:] = 2
  folder = own_shards.convert(
    tmp_path,
    frames={"acoustic": 2},
    labels=[["a"]] * 9,
    scales=SCALES[:1],
    ratings=list(values),
    split=["train"] * 6 + ["validation"] + ["test"] * 2,
  )
  made = config(folder)
  fit.fit_to_corpus(made)
  with pytest.raises(errors.UserError, match="all have sentiment 1, expected"):
    build.build_experiment(made)


def test_json_of_results_is_plain(trained):
  folder, _ = trained
  text = (folder / "results" / "test.json").read_text("utf-8")
  assert "NaN" not in text and json.loads(text)["select"] == "mae"
  assert load.load_workdir(folder, (), load.Inputs()).emotions == (
    "sentiment",
    "arousal",
  )
