"""The evaluate verb: subsets, new emotions, other shards."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import rich.console

import mmer_jax
from configs import quickstart
from configs.baselines import lf_lstm_mosei
from mmer_jax.base import errors, workdir
from mmer_jax.core import metrics
from mmer_jax.data import manifest
from mmer_jax.evaluation import evaluate, load, scores, train_and_evaluate
from tests import synthetic_shards, toy_workdir

ROOT = pathlib.Path(__file__).parents[2]
QUIET = rich.console.Console(quiet=True)
SEEN = ("neutral", "happy", "sad")


def trained(shards, folder, module=quickstart, **changes):
  """A workdir of two runs that never saw `angry`."""
  config = module.get_config()
  with config.unlocked():
    config.data.dir = str(shards)
    config.data.emotions = SEEN
    config.seeds = (0,)
    config.training.epochs = 2
    config.training.batch_size = 32
    config.training.early_stopping = 0
    config.training.select = "unweighted_accuracy"
    config.protocol.split = "leave_one_session_out"
    config.protocol.folds = (1, 2)
    config.protocol.decision = "softmax"
    config.model.layers = 1
    config.model.hidden.update(lexical=25, acoustic=8, visual=6)
    config.update_from_flattened_dict(changes)
  train_and_evaluate.train_and_evaluate(config, folder, console=QUIET)
  return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  return synthetic_shards.synthetic(tmp_path_factory)


@pytest.fixture(scope="module")
def folder(shards, tmp_path_factory):
  return trained(shards, tmp_path_factory.mktemp("mtee"))


def test_the_test_split_is_scored_and_written(folder):
  outcome = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  on_disk = workdir.read_json(folder / "results" / "test.json")
  assert on_disk == json.loads(json.dumps(workdir.finite(outcome)))
  page = (folder / "results" / "test.md").read_text()
  assert "| neutral |" in page
  for run in outcome["runs"]:
    assert np.sum(run["confusion"]) == run["examples"]
    np.testing.assert_allclose(
      run["metrics"]["accuracy"],
      np.trace(run["confusion"]) / run["examples"],
    )
  assert set(outcome["summary"]) == set(metrics.NAMES)


@pytest.mark.parametrize(
  "key, match",
  [
    ("noise", "has no noise, which this version"),
    ("noise.snr", "has no noise.snr, which this version"),
    ("training.curve_thresholds", "has no training.curve_thresholds, which"),
    ("unlabelled", "has no unlabelled, which this version"),
    ("model.layers", "config.model has not the keys of this version's mtee"),
    ("model.multiplicative", "config.model has not the keys .*'multiplicat"),
  ],
)
def test_a_workdir_of_an_older_version_is_one_line(
  folder, tmp_path, key, match
):
  for name in ("run.json", "config.json"):
    shutil.copy(folder / name, tmp_path / name)
  config = workdir.read_json(tmp_path / "config.json")
  part, *path = key.split(".")
  config[part].pop(*path) if path else config.pop(part)
  toy_workdir.write_config(tmp_path, config)
  for read in (
    lambda: evaluate.evaluate_workdir(tmp_path, evaluate.Request("test")),
    lambda: mmer_jax.load(tmp_path),
  ):
    with pytest.raises(errors.UserError, match=match) as caught:
      read()
    assert "\n" not in str(caught.value)
  now = workdir.read_config(folder)
  with pytest.raises(errors.UserError, match=f"config.{key} was None, now"):
    train_and_evaluate.train_and_evaluate(now, tmp_path, console=QUIET)


def test_scores_do_not_depend_on_what_the_split_is_padded_to(folder):
  """Runs of unequal test splits: each is scored on its own rows alone."""
  outcome = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  rows = [
    run["rows"]["test"]
    for run in workdir.read_json(folder / "run.json")["runs"]
  ]
  assert [run["examples"] for run in outcome["runs"]] == rows
  assert len(set(rows)) == 2


def test_a_run_whose_prediction_is_not_finite_has_failed(folder, monkeypatch):
  """NaN is ranked last, and is no class: its numbers would look like any."""
  whole = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  predict = scores.predict_splits

  def broken(*args):
    logits = predict(*args)
    for splits in logits:
      splits["test"] = splits["test"].copy()
      splits["test"][1, 0] = np.nan
    return logits

  monkeypatch.setattr(scores, "predict_splits", broken)
  got = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  assert got["failed"] == [1]
  assert got["summary"]["accuracy"]["n"] == len(whole["runs"]) - 1
  assert set(got["runs"][1]["metrics"].values()) == {None}
  assert "not finite for 1 rows of the test" in got["runs"][1]["failure"]
  assert [run for run in got["runs"] if run["run"] != 1] == [
    run for run in whole["runs"] if run["run"] != 1
  ]


def test_a_subset_of_modalities_is_named_in_the_file(folder):
  whole = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  lexical = evaluate.evaluate_workdir(
    folder, evaluate.Request("test", modalities=("lexical",))
  )
  assert (folder / "results" / "test-lexical.json").exists()
  assert lexical["protocol"]["modalities"] == ["lexical"]
  assert lexical["runs"][0]["metrics"] != whole["runs"][0]["metrics"]


def test_an_emotion_that_was_never_trained_is_judged_by_its_word(folder):
  outcome = evaluate.evaluate_workdir(
    folder, evaluate.Request("test", emotions=("angry", "happy", "sad"))
  )
  assert list(outcome["runs"][0]["per_emotion"]) == ["angry", "happy", "sad"]
  assert outcome["runs"][0]["per_emotion"]["angry"]["support"] > 0
  assert (folder / "results" / "test-angry+happy+sad.json").exists()


def vector_file(folder, path, **renamed):
  """The shards' vectors in GloVe's format, under other words."""
  config = workdir.read_json(folder / "config.json")
  known = manifest.load_emotion_vectors(pathlib.Path(config["data"]["dir"]))
  rows = dict(zip(known.names, known.vectors.tolist(), strict=True))
  lines = [
    f"{word} {' '.join(map(repr, rows[name]))}\n"
    for word, name in renamed.items()
  ]
  path.write_text("".join(lines))
  return str(path)


def test_a_new_emotion_is_read_from_a_file_of_word_vectors(folder, tmp_path):
  file = vector_file(
    folder, tmp_path / "v.txt", angry="angry", mad="angry", calm="sad"
  )
  judged = ("angry", "happy", "sad")
  plain = evaluate.evaluate_workdir(
    folder, evaluate.Request("test", emotions=judged)
  )["runs"]

  def read(word):
    return evaluate.evaluate_workdir(
      folder,
      evaluate.Request(
        "test", emotions=(f"angry={word}" if word else "angry", "happy", "sad")
      ),
      load.Inputs(word_vectors=file),
    )["runs"]

  assert read("") == plain
  assert read("mad") == plain
  assert read("calm") != plain
  assert (folder / "results" / "test-angry=mad+happy+sad.json").exists()


def test_word_vectors_that_do_not_fit_are_refused(folder, tmp_path):
  file = vector_file(folder, tmp_path / "v.txt", mad="angry")
  (tmp_path / "narrow.txt").write_text("mad 1 2 3\n")
  for emotions, vectors, message in (
    (("angry=cross",), file, "has no vector for cross"),
    (("angry",), file, "has no vector for angry"),
    (("sad=mad",), file, "was trained with a word for sad"),
    (("angry=mad",), "", "config.data.word_vectors is empty"),
    (("angry=mad",), str(tmp_path / "narrow.txt"), "vectors of 3 dimensions"),
    (("angry=mad",), str(tmp_path / "none.txt"), "cannot read word vectors"),
  ):
    with pytest.raises(errors.UserError, match=message):
      evaluate.evaluate_workdir(
        folder,
        evaluate.Request("test", emotions=emotions),
        load.Inputs(word_vectors=vectors),
      )


def test_judging_fewer_emotions_renormalises_among_them(folder):
  outcome = evaluate.evaluate_workdir(
    folder, evaluate.Request("test", emotions=("sad", "happy"))
  )
  assert outcome["majority_baseline"]["unweighted_accuracy"] == 0.5
  total = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  for few, all_ in zip(outcome["runs"], total["runs"], strict=True):
    support = all_["per_emotion"]
    assert few["examples"] == (
      support["sad"]["support"] + support["happy"]["support"]
    )


@pytest.mark.parametrize(
  ("request_", "message"),
  [
    ({"modalities": ("audio",)}, "--modalities names 'audio'"),
    ({"emotions": ("bored",)}, "emotions names 'bored'"),
  ],
)
def test_a_request_that_does_not_fit_is_refused(folder, request_, message):
  with pytest.raises(errors.UserError, match=message):
    evaluate.evaluate_workdir(folder, evaluate.Request("test", **request_))


@pytest.mark.parametrize(
  ("asked", "message"),
  [
    (("angry",), "emotions has 'angry', but the workdir was loaded with"),
    (("happy=glad",), "emotions has 'happy=glad', but the workdir was loaded"),
  ],
)
def test_a_loaded_workdir_is_only_asked_for_what_it_holds(
  folder, asked, message
):
  """The result is named by the request: it cannot name what was not read."""
  trained_workdir = load.load_workdir(folder, (), load.Inputs())
  request_ = evaluate.Request("test", emotions=asked)
  with pytest.raises(errors.UserError, match=message):
    evaluate.evaluate(trained_workdir, request_)


def test_a_folder_that_is_no_workdir_is_refused(tmp_path):
  with pytest.raises(errors.UserError, match="run.json is missing"):
    evaluate.evaluate_workdir(tmp_path, evaluate.Request("test"))


def test_a_baseline_guesses_a_new_emotion_and_says_so(shards, tmp_path, caplog):
  at = trained(shards, tmp_path, lf_lstm_mosei)
  known = evaluate.evaluate_workdir(
    at, evaluate.Request("test", emotions=("sad", "happy"))
  )
  assert list(known["runs"][0]["per_emotion"]) == ["sad", "happy"]
  caplog.clear()
  guessed = evaluate.evaluate_workdir(
    at, evaluate.Request("test", emotions=("sad", "happy", "angry"))
  )
  assert "guesses" in caplog.text
  # The trained outputs are those of the checkpoint.
  for before, after in zip(known["runs"], guessed["runs"], strict=True):
    for emotion in ("sad", "happy"):
      assert after["per_emotion"][emotion]["auc"] is not None
      assert (
        before["per_emotion"][emotion]["support"]
        == (after["per_emotion"][emotion]["support"])
      )


@pytest.mark.long
def test_other_shards_only_on_purpose(shards, tmp_path, tmp_path_factory):
  other = synthetic_shards.synthetic(tmp_path_factory, count=120)
  moved = tmp_path / "w"
  trained(shards, moved)
  config = json.loads((moved / "config.json").read_text())
  config["data"]["dir"] = str(other)
  toy_workdir.write_config(moved, config)
  with pytest.raises(errors.UserError, match="--data_dir=DIR"):
    evaluate.evaluate_workdir(moved, evaluate.Request("test"))
  outcome = evaluate.evaluate_workdir(
    moved, evaluate.Request("test"), load.Inputs(data_dir=str(other))
  )
  before = workdir.read_json(moved / "run.json")["dataset"]["fingerprint"]
  assert outcome["dataset"]["fingerprint"] != before


@pytest.mark.long
def test_binary_decisions_count_rows_without_any_emotion(shards, tmp_path):
  at = trained(shards, tmp_path, **{"protocol.decision": "binary"})
  outcome = evaluate.evaluate_workdir(at, evaluate.Request("test"))
  run = outcome["runs"][0]
  support = sum(entry["support"] for entry in run["per_emotion"].values())
  assert run["examples"] > support
  assert run["confusion"] is None
  assert np.sum(run["decisions"]) == run["examples"] * len(run["per_emotion"])

  fewer = trained(
    shards,
    tmp_path / "fewer",
    **{
      "protocol.decision": "binary",
      "data.without_emotion": "unlabelled",
      "training.epochs": 1,
    },
  )
  run = evaluate.evaluate_workdir(fewer, evaluate.Request("test"))["runs"][0]
  support = sum(entry["support"] for entry in run["per_emotion"].values())
  assert run["examples"] == support


def test_results_do_not_depend_on_the_devices(folder, shards, tmp_path):
  """Trained on four, evaluated on one."""
  here = evaluate.evaluate_workdir(folder, evaluate.Request("test"))
  assert len(jax.devices()) == 4
  code = (
    "import pathlib, sys\n"
    "from mmer_jax.evaluation import evaluate\n"
    "request = evaluate.Request('test')\n"
    "evaluate.evaluate_workdir(pathlib.Path(sys.argv[1]), request)\n"
  )
  subprocess.run(
    [sys.executable, "-c", code, str(folder)],
    cwd=ROOT,
    check=True,
    env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
  )
  there = workdir.read_json(folder / "results" / "test.json")
  assert there["environment"]["devices"] == 1
  for a, b in zip(here["runs"], there["runs"], strict=True):
    for name, value in a["metrics"].items():
      np.testing.assert_allclose(b["metrics"][name], value, atol=1e-6)
