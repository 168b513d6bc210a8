"""Real feature files, end to end: converted, trained on, evaluated."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import rich.console

from configs.baselines import lf_lstm_mosei
from configs.mtee import iemocap, mosei, zero_shot_iemocap
from mmer_jax.base import workdir
from mmer_jax.evaluation import evaluate, train_and_evaluate

ROOT = pathlib.Path(__file__).parents[2]
QUIET = rich.console.Console(quiet=True)


def convert(source, data_dir, output, *flags):
  vectors = data_dir / "glove" / "glove.twitter.27B.25d.subset.txt"
  subprocess.run(
    [
      sys.executable,
      "-m",
      "data_prep.convert",
      f"--source={source}",
      f"--word_vectors={vectors}",
      f"--output={output}",
      *flags,
    ],
    cwd=ROOT,
    check=True,
    capture_output=True,
  )
  return output


def small(config, shards):
  with config.unlocked():
    config.data.dir = str(shards)
    config.seeds = (0, 1)
    config.training.epochs = 2
    config.model.hidden.update(lexical=25, acoustic=8, visual=8)
  return config


@pytest.mark.parametrize(
  ("corpus", "module"),
  [
    pytest.param("youtube", mosei, marks=pytest.mark.long),
    pytest.param("youtube", lf_lstm_mosei, marks=pytest.mark.long),
    pytest.param("mmmo", mosei, marks=pytest.mark.long),
    pytest.param("mmmo", lf_lstm_mosei, marks=pytest.mark.long),
  ],
)
def test_naturally_missing_modalities_train_and_evaluate(
  data_dir, tmp_path, corpus, module
):
  """Their training files have no text: the validation split trains here."""
  shards = convert(
    "cmu_processed", data_dir, tmp_path / "s", f"--input={data_dir / corpus}"
  )
  config = small(module.get_config(), shards)
  with config.unlocked():
    config.protocol.train = "validation"
    config.protocol.validation = "train"
    config.protocol.decision = "softmax"
    config.training.batch_size = 16
  folder = tmp_path / config.system
  assert train_and_evaluate.train_and_evaluate(config, folder, console=QUIET)
  for modalities in ((), ("acoustic", "visual")):
    outcome = evaluate.evaluate_workdir(
      folder, evaluate.Request("test", modalities=modalities)
    )
    assert outcome["failed"] == []
    assert outcome["summary"]["accuracy"]["n"] == 2
    assert outcome["runs"][0]["examples"] == {"youtube": 60, "mmmo": 80}[corpus]


def test_iemocap_learns_something_in_two_epochs(data_dir, tmp_path):
  shards = convert(
    "utterances",
    data_dir,
    tmp_path / "s",
    f"--spec={ROOT / 'data_prep' / 'specs' / 'iemocap.py'}:4",
    f"--input={data_dir / 'iemocap' / 'iemocap_utterances.npz'}",
  )
  config = small(iemocap.get_config("utterances"), shards)
  with config.unlocked():
    config.seeds = (0,)
    config.protocol.folds = (5,)
    config.data.max_length.lexical = 12
  train_and_evaluate.train_and_evaluate(config, tmp_path / "w", console=QUIET)
  outcome = evaluate.evaluate_workdir(tmp_path / "w", evaluate.Request("test"))
  assert outcome["summary"]["unweighted_accuracy"]["mean"] > 0.4
  assert outcome["majority_baseline"]["unweighted_accuracy"] == 0.25
  rows = workdir.read_json(tmp_path / "w" / "run.json")["runs"][0]["rows"]
  assert sum(rows.values()) == 5531


@pytest.mark.long
def test_iemocap_excited_and_surprised_are_left_out_and_learnt(
  data_dir, tmp_path
):
  """Table 5's protocol on real rows, one fold, and GEM behind it."""
  shards = convert(
    "utterances",
    data_dir,
    tmp_path / "s",
    f"--spec={ROOT / 'data_prep' / 'specs' / 'iemocap.py'}:all",
    f"--input={data_dir / 'iemocap' / 'iemocap_utterances.npz'}",
  )
  config = small(zero_shot_iemocap.get_config("utterances"), shards)
  with config.unlocked():
    config.seeds = (0,)
    config.protocol.folds = (5,)
    config.data.max_length.lexical = 12
    config.few_shot.method = "gem"
    config.few_shot.epochs = 2
  train_and_evaluate.train_and_evaluate(config, tmp_path / "w", console=QUIET)
  run = evaluate.evaluate_workdir(tmp_path / "w", evaluate.Request("test"))[
    "runs"
  ][0]
  assert run["unseen"] == ["excited", "surprised"]
  for name in run["unseen"]:
    assert run["per_emotion"][name]["support"] > 0
  assert np.shape(run["transfer"]["matrix"]) == (3, 3)
  described = workdir.read_json(tmp_path / "w" / "run.json")["runs"][0]
  # 1 % of the positives of four sessions, rounded up, and as many negatives.
  assert [len(ids) for ids in described["samples"]] == [16, 2]
  # Rows of the four source emotions alone are trained on.
  assert described["rows"]["train"] < 4490
