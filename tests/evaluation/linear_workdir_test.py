"""Linear baselines in workdirs: the folds, metrics and files of any system."""

import json

import numpy as np
import pytest
import rich.console

from configs.baselines import linear as linear_config
from data_prep.sources import synthetic
from mmer_jax.base import errors, workdir
from mmer_jax.evaluation import evaluate, load, published, train_and_evaluate
from mmer_jax.experiment import build, records
from mmer_jax.reporting import page, plots
from tests import word_shards

QUIET = rich.console.Console(quiet=True)


@pytest.fixture(name="shards", scope="module")
def fixture_shards(tmp_path_factory):
  folder = tmp_path_factory.mktemp("linear") / "words"
  return word_shards.converted(synthetic.build("words", 0, 120), folder)


def config_of(variant, shards, **changes):
  config = linear_config.get_config(variant).unlock()
  config.data.dir = str(shards)
  config.update_from_flattened_dict(
    {key.replace("__", "."): value for key, value in changes.items()}
  )
  return config.lock()


def train(config, folder):
  return train_and_evaluate.train_and_evaluate(config, folder, console=QUIET)


@pytest.fixture(name="folder", scope="module")
def fixture_folder(shards, tmp_path_factory):
  folder = tmp_path_factory.mktemp("linear") / "both"
  train(config_of("both", shards, seeds=(0, 1)), folder)
  return folder


@pytest.fixture(name="result", scope="module")
def fixture_result(folder):
  evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  return json.loads((folder / "results" / "test.json").read_text())


def test_a_result_is_of_the_folds_of_any_system(folder, result):
  config = workdir.read_config(folder)
  corpus = build.read_corpora(config)
  laid_out = records.make_records(config, corpus)
  assert [run["examples"] for run in result["runs"]] == [
    len(record.fold.test) for record in laid_out
  ]
  assert [(run["fold"], run["seed"]) for run in result["runs"]] == [
    (record.fold.name, record.seed) for record in laid_out
  ]
  summary, majority = result["summary"], result["majority_baseline"]
  metric = "unweighted_accuracy"
  assert summary[metric]["mean"] > majority[metric] + 0.1
  assert result["system"] == "linear" and not result["failed"]
  page = (folder / "results" / "test.md").read_text()
  assert "word for word in the training rows" in page


def test_seeds_that_draw_no_fold_are_one_fit(result):
  by_fold = {}
  for run in result["runs"]:
    by_fold.setdefault(run["utterances_sha256"], []).append(run["metrics"])
  for runs in by_fold.values():
    assert runs == [runs[0]] * 2


def test_evaluating_fits_again_what_validation_chose(folder):
  """Other penalties would be other numbers: run.json has those of training."""
  before = json.loads((folder / "results" / "validation.json").read_text())
  again = evaluate.evaluate_workdir(folder, evaluate.Request("validation"))
  assert again["runs"] == before["runs"]
  description = workdir.read_json(folder / "run.json")
  assert {run["c"] for run in description["runs"]} <= {0.1, 1.0, 10.0, 100.0}


def test_the_majority_is_the_number_that_every_result_has(shards, tmp_path):
  train(config_of("majority", shards), tmp_path / "m")
  result = evaluate.evaluate_workdir(tmp_path / "m", evaluate.Request("test"))
  for name, value in result["majority_baseline"].items():
    if value is None:
      assert result["summary"][name]["mean"] is None
    else:
      np.testing.assert_allclose(result["summary"][name]["mean"], value)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"model__features": ("bert",)}, "config.model.features is .*tfidf"),
    ({"model__c": (0.0,)}, "config.model.c is .*above 0"),
    ({"noise__kind": "gaussian"}, "config.noise.kind is set, but a linear"),
    ({"sweep__learning_rate": (0.1, 0.2)}, "config.sweep.learning_rate"),
    ({"unlabelled__use": True}, "config.unlabelled.use is set"),
  ],
)
def test_what_is_not_linear_is_one_line_and_writes_nothing(
  shards, tmp_path, changes, message
):
  with pytest.raises(errors.UserError, match=message) as caught:
    train(config_of("both", shards, **changes), tmp_path / "no")
  assert "\n" not in str(caught.value)
  assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
  ("request_", "inputs", "flag"),
  [
    (evaluate.Request("test", modalities=("lexical",)), {}, "modalities"),
    (evaluate.Request("test", emotions=("sad",)), {}, "emotions"),
    (evaluate.Request("test"), {"data_dir": "x"}, "data_dir"),
    (
      evaluate.Request("test"),
      {"input_transform": {"noise.kind": "gaussian"}},
      "input_transform",
    ),
  ],
)
def test_what_it_cannot_be_asked_for_is_one_line(
  folder, request_, inputs, flag
):
  with pytest.raises(errors.UserError, match=f"--{flag} is given"):
    evaluate.evaluate_workdir(folder, request_, load.Inputs(**inputs))


def test_a_report_shows_it_without_curves(
  folder, result, tmp_path, monkeypatch
):
  monkeypatch.setattr(plots, "save_all", lambda contents, out: [])
  text = page.write([folder], tmp_path).read_text()
  assert "stand word for word in the training rows" in text
  assert "3 folds do not tell" in text or "folds and then their runs" in text


def test_what_needs_a_network_says_that_there_is_none(folder):
  config = workdir.read_config(folder)
  with pytest.raises(errors.UserError, match="which scikit-learn fits"):
    build.build_system(config)


def test_its_runs_pair_with_those_of_the_same_folds_and_seeds(result):
  column = published.of_all("UA", "unweighted_accuracy")
  other = [
    {**run, "metrics": {**run["metrics"], "unweighted_accuracy": 0.25}}
    for run in result["runs"]
  ]
  made = published.summarise_difference(column, result["runs"], other)
  assert made["n"] == len(result["runs"])
  np.testing.assert_allclose(
    made["mean"], result["summary"]["unweighted_accuracy"]["mean"] - 0.25
  )
