"""Noise, check and proxies on the whole road, in front of two systems."""

import json
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.export
import numpy as np
import pytest
import rich.console

from configs.baselines import lf_lstm_mosei
from configs.m3er import ablation
from mmer_jax.base import errors, workdir
from mmer_jax.evaluation import (
  evaluate,
  load,
  restore,
  scores,
  train_and_evaluate,
)
from mmer_jax.experiment import build, input_repair
from mmer_jax.reporting import figures, plots
from mmer_jax.serving import stablehlo
from mmer_jax.serving import workdir as workdir_lib
from mmer_jax.training import checkpoints
from mmer_jax.training import session as session_lib
from tests import synthetic_shards, toy_workdir

ROOT = pathlib.Path(__file__).parents[2]
QUIET = rich.console.Console(quiet=True)
NOISY = {"noise.kind": "gaussian"}
LIKELY = {**NOISY, "repair.score": "likelihood"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  return synthetic_shards.synthetic(tmp_path_factory, "tiny_mosei")


def make(module, shards, **changes):
  config = module.get_config("smoke")
  with config.unlocked():
    config.data.dir = str(shards)
    config.seeds = (0, 1)
    config.training.batch_size = 32
    config.training.epochs = 2
    config.training.select = "auc"
    config.protocol.split = "random"
    config.protocol.allow_speaker_overlap = True
    config.repair.components = 8
    config.repair.neighbours = 4
    config.update_from_flattened_dict(changes)
  return config


@pytest.fixture(scope="module")
def plain(shards, tmp_path_factory):
  """A baseline that knows nothing of noise."""
  folder = tmp_path_factory.mktemp("lf_lstm")
  config = make(lf_lstm_mosei, shards)
  with config.unlocked():
    config.model.layers = 1
  train_and_evaluate.train_and_evaluate(config, folder, console=QUIET)
  return folder


@pytest.fixture(scope="module")
def m3er(shards, tmp_path_factory):
  folder = tmp_path_factory.mktemp("m3er")
  proxies = {"repair.inference": "proxy", "repair.proxy": "linear"}
  config = make(ablation, shards, seeds=(0,), **LIKELY, **proxies)
  train_and_evaluate.train_and_evaluate(config, folder, console=QUIET)
  return folder


def judge(folder, method):
  return evaluate.evaluate_workdir(
    folder,
    evaluate.Request("test"),
    load.Inputs(
      input_transform={
        **LIKELY,
        "repair.inference": method,
        "repair.proxy": "linear",
      }
    ),
  )


@pytest.fixture(scope="module")
def proxied(plain):
  """The baseline under noise, behind check and linear proxies."""
  return judge(plain, "proxy")


def test_a_check_in_front_of_a_baseline_finds_what_fails(proxied):
  found = proxied["robustness"]
  assert found["check_precision"]["mean"] > 0.8
  assert found["check_recall"]["mean"] > 0.8
  assert found["check_recall"]["n"] == 2
  for run in proxied["runs"]:
    numbers = run["robustness"]
    caught = numbers["check_precision"] * numbers["check_flagged"]
    failing = caught / numbers["check_recall"]
    lost = (numbers["check_flagged"] - caught) / (1 - failing)
    np.testing.assert_allclose(numbers["check_false_alarm"], lost, atol=1e-9)
  # Noise is ten times as long as what it hides; a proxy about as long.
  assert 8 < found["noise_distance_visual"]["mean"] < 12
  assert 0.5 < found["distance_visual"]["mean"] < 1.5
  assert not any(name.startswith("weight") for name in found)


def test_what_was_asked_for_is_in_name_and_content(plain, proxied):
  name = "test-kind=gaussian-inference=proxy-proxy=linear-score=likelihood"
  on_disk = workdir.read_json(plain / "results" / f"{name}.json")
  assert on_disk == json.loads(json.dumps(workdir.finite(proxied)))
  assert on_disk["protocol"]["noise"]["kind"] == "gaussian"
  assert on_disk["protocol"]["repair"]["inference"] == "proxy"
  assert "| check recall |" in (plain / "results" / f"{name}.md").read_text()
  clean = workdir.read_json(plain / "results" / "validation.json")
  assert "robustness" not in clean and "noise" not in clean["protocol"]


def test_it_is_fitted_once(plain, proxied):
  (path,) = (plain / "repair").iterdir()
  before = path.stat().st_mtime_ns
  again = judge(plain, "check")
  assert path.stat().st_mtime_ns == before
  assert list((plain / "repair").iterdir()) == [path]
  with np.load(path) as arrays:
    assert arrays["tau"].shape == (2,)
  for name in ("check_precision", "check_recall", "check_flagged"):
    assert again["robustness"][name] == proxied["robustness"][name]
  assert again["robustness"]["distance_visual"]["mean"] is None


def test_it_is_fitted_to_the_shards_of_the_training_alone(plain):
  config = workdir.read_config(plain)
  with config.unlocked():
    config.repair.inference = "check"
  experiment = build.build_experiment(config)
  with pytest.raises(errors.UserError, match="leave --data_dir or --repair"):
    input_repair.attach_repair(experiment, plain, "0" * 64)


@pytest.mark.long
def test_m3er_is_trained_behind_noise_and_check(m3er):
  outcome = workdir.read_json(m3er / "results" / "validation.json")
  found = outcome["robustness"]
  assert found["check_recall"]["mean"] > 0.8
  assert outcome["protocol"]["repair"]["training"] == "check"
  for when in ("before", "after"):
    for name in ("acoustic", "lexical", "visual"):
      assert 0 < found[f"weight_{when}_{name}"]["mean"] < 1
  # The file beside them holds what was fitted; a checkpoint does not.
  store = checkpoints.Checkpoints(m3er)
  saved = store.folder / str(store.latest()) / "runs"
  store.close()
  size = sum(p.stat().st_size for p in saved.rglob("*") if p.is_file())
  fitted = sum(p.stat().st_size for p in (m3er / "repair").iterdir())
  assert size < fitted


@pytest.mark.long
def test_regenerated_vectors_are_drawn(m3er, tmp_path):
  outcome = workdir.read_json(m3er / "results" / "validation.json")
  content = figures.regenerated(outcome)
  assert {each["modality"] for each in content["examples"]} == {
    "acoustic",
    "lexical",
    "visual",
  }
  for each in content["examples"]:
    assert len(each["original"]) == len(each["regenerated"])
    assert each["distance"] > 0
  path = plots.save(content, tmp_path)
  assert path.stat().st_size > 1000
  assert figures.regenerated({}) is None


def test_a_flag_that_makes_no_sense_is_one_line(plain):
  done = subprocess.run(
    [
      sys.executable,
      "-m",
      "mmer_jax.evaluate",
      f"--workdir={plain}",
      "--noise=gaussian",
      "--snr=0",
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert done.stderr.strip().count("\n") == 0
  assert "config.noise.snr is 0.0" in done.stderr


def test_a_served_model_checks_and_regenerates_too(plain, tmp_path):
  folder = tmp_path / "repaired"
  shutil.copytree(plain, folder)
  config = workdir.read_config(folder)
  with config.unlocked():
    config.repair.update(
      inference="proxy",
      score="pearson",
      proxy="linear",
      tau_from="config",
      tau=0.2,
    )
  toy_workdir.write_config(folder, config.to_dict())
  served = workdir_lib.from_workdir(folder, run=0)
  prints = workdir.read_json(folder / "run.json")["dataset"]["fingerprint"]
  experiment = input_repair.attach_repair(
    build.build_experiment(config), folder, prints
  )
  session = session_lib.open_session(experiment)
  restored = restore.restore(folder, session, len(experiment.corpus.emotions))
  logits = scores.predict_splits(session, restored, ("test",), (), 0)[-1][
    "test"
  ][0]

  rows = experiment.records[0].fold.test.astype(np.int32)
  streams = experiment.corpus.table.take(rows).streams
  inputs = {
    "features": {m: np.asarray(each.features) for m, each in streams.items()},
    "mask": {m: np.asarray(each.mask) for m, each in streams.items()},
  }
  outputs = jax.jit(served.call)(served.tensors, inputs)
  np.testing.assert_allclose(
    outputs["probs"], 1 / (1 + np.exp(-logits[: len(rows)])), atol=1e-5
  )
  flags = np.stack([outputs["explain"][f"proxied_{m}"] for m in streams])
  assert 0 < flags.mean() < 1
  # The same where time is symbolic, and as long as the longest given.
  exported = jax.export.deserialize(
    bytearray(stablehlo.to_stablehlo(served, ("cpu",)))
  )
  length = {m: mask.sum(axis=1).max() for m, mask in inputs["mask"].items()}
  cut = {
    kind: {m: array[:, : length[m]] for m, array in arrays.items()}
    for kind, arrays in inputs.items()
  }
  again = jax.jit(exported.call)(served.tensors, cut)
  np.testing.assert_allclose(again["probs"], outputs["probs"], atol=1e-6)

  with config.unlocked():
    config.repair.proxy = "knn"
  toy_workdir.write_config(folder, config.to_dict())
  with pytest.raises(errors.UserError, match="config.repair.proxy is 'knn'"):
    workdir_lib.from_workdir(folder)
