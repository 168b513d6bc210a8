"""The train verb: what it writes, refuses, survives."""

import filecmp
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import rich.console

from configs import quickstart
from mmer_jax.base import errors, workdir
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.evaluation import evaluate, train_and_evaluate
from mmer_jax.experiment import build
from mmer_jax.training import checkpoints, mesh
from mmer_jax.training import session as session_lib
from tests import synthetic_shards

ROOT = pathlib.Path(__file__).parents[2]
QUIET = rich.console.Console(quiet=True)

# So that a command takes seconds; dropout stays, to test its random stream.
SMALL = (
  "--config.seeds=(0, 1)",
  "--config.protocol.folds=(1, 2)",
  "--config.training.epochs=4",
  "--config.training.batch_size=64",
  "--config.training.steps_per_dispatch=2",
  "--config.training.early_stopping=0",
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> pathlib.Path:
  """The synthetic corpus of the quickstart, smaller."""
  return synthetic_shards.synthetic(tmp_path_factory)


def small(tiny, **changes):
  config = quickstart.get_config()
  with config.unlocked():
    config.data.dir = str(tiny)
    config.seeds = (0, 1)
    config.protocol.folds = (1, 2)
    config.training.epochs = 3
    config.training.batch_size = 64
    config.training.early_stopping = 0
    for key, value in changes.items():
      config.update_from_flattened_dict({key: value})
  return config


def command(tiny, folder, *flags, devices=1):
  """The arguments and environment of one call of the verb."""
  environment = dict(os.environ, JAX_NUM_CPU_DEVICES=str(devices))
  arguments = [
    sys.executable,
    "-m",
    "mmer_jax.train",
    f"--config={ROOT / 'configs' / 'quickstart.py'}",
    f"--config.data.dir={tiny}",
    f"--workdir={folder}",
    *SMALL,
    *flags,
  ]
  return arguments, environment


def start(tiny, folder, *flags, **options):
  arguments, environment = command(tiny, folder, *flags, **options)
  return subprocess.Popen(
    arguments,
    cwd=ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def call(tiny, folder, *flags, **options):
  process = start(tiny, folder, *flags, **options)
  output, _ = process.communicate(timeout=300)
  return process.returncode, output


def parameters(folder, tiny):
  config = workdir.read_config(folder)
  with config.unlocked():
    config.data.dir = str(tiny)
  experiment = build.build_experiment(config)
  session = session_lib.open_session(experiment)
  store = checkpoints.Checkpoints(folder)
  compiled = session.program(0)
  sample = build.sample_batch(config, experiment.corpus)
  from mmer_jax.training import program

  target = program.abstract_state(
    compiled, session.place_runs(experiment.runs), sample
  )
  restored = store.restore(target)
  store.close()
  return mesh.fetch(restored)


def same_bits(a, b, tiny):
  import jax

  jax.tree.map(
    np.testing.assert_array_equal, parameters(a, tiny), parameters(b, tiny)
  )
  assert filecmp.cmp(a / "metrics.jsonl", b / "metrics.jsonl", shallow=False)
  results = [
    json.loads((folder / "results" / "validation.json").read_text())
    for folder in (a, b)
  ]
  assert results[0] == results[1]


@pytest.fixture(scope="module")
def unbroken(tiny, tmp_path_factory):
  """A workdir that was never interrupted."""
  folder = tmp_path_factory.mktemp("unbroken")
  status, output = call(tiny, folder)
  assert status == 0, output
  return folder


def test_a_workdir_holds_what_the_contract_says(tiny, unbroken):
  assert {path.name for path in unbroken.iterdir()} == {
    "checkpoints",
    "config.json",
    "metrics.jsonl",
    "results",
    "run.json",
  }
  rows = [
    json.loads(line)
    for line in (unbroken / "metrics.jsonl").read_text().splitlines()
  ]
  assert len(rows) == 4 * 4
  assert {(row["run"], row["epoch"]) for row in rows} == {
    (run, epoch) for run in range(4) for epoch in range(1, 5)
  }
  for row in rows:
    assert row["train_loss"] > 0
    assert row["validation_loss"] > 0
    assert 0 <= row["validation_unweighted_accuracy"] <= 1
  description = workdir.read_json(unbroken / "run.json")
  manifest = manifest_lib.load_manifest(tiny)
  assert description["dataset"]["fingerprint"] == manifest["fingerprint"]
  assert [(run["fold"], run["seed"]) for run in description["runs"]] == [
    (fold, seed)
    for fold in sorted({run["fold"] for run in description["runs"]})
    for seed in (0, 1)
  ]
  outcome = workdir.read_json(unbroken / "results" / "validation.json")
  assert outcome["dataset"]["fingerprint"] == manifest["fingerprint"]
  assert len(outcome["runs"]) == 4
  assert outcome["split"] == "validation"
  assert (unbroken / "results" / "validation.md").exists()


def test_the_table_is_that_of_the_epoch_validation_selected(unbroken):
  rows = [
    json.loads(line)
    for line in (unbroken / "metrics.jsonl").read_text().splitlines()
  ]
  outcome = workdir.read_json(unbroken / "results" / "validation.json")
  for run in outcome["runs"]:
    best = max(
      row["validation_unweighted_accuracy"]
      for row in rows
      if row["run"] == run["run"]
    )
    np.testing.assert_allclose(
      run["metrics"]["unweighted_accuracy"], best, atol=1e-6
    )


def test_a_finished_workdir_is_left_as_it_is(tiny, unbroken):
  before = (unbroken / "metrics.jsonl").read_bytes()
  status, output = call(tiny, unbroken)
  assert status == 0, output
  assert (unbroken / "metrics.jsonl").read_bytes() == before


@pytest.mark.long
def test_sigterm_saves_and_the_same_command_ends_with_the_same_bits(
  tiny, unbroken, tmp_path
):
  folder = tmp_path / "w"
  process = start(tiny, folder)
  _wait_for(folder / "metrics.jsonl", process)
  process.send_signal(signal.SIGTERM)
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 0, output
  assert "the same command resumes" in output
  assert not (folder / "results").exists()
  with pytest.raises(errors.UserError, match="has not finished"):
    evaluate.evaluate_workdir(folder, evaluate.Request("validation"))
  status, output = call(tiny, folder)
  assert status == 0, output
  same_bits(unbroken, folder, tiny)


def _wait_for(path, process):
  """Until the file exists, or the process has ended."""
  while not path.exists() and process.poll() is None:
    time.sleep(0.01)


def killed_at_random(tiny, folder, seed, kills, longest):
  """Starts the command again and again, each time killing it at random."""
  rng = random.Random(seed)
  for _ in range(kills):
    process = start(tiny, folder)
    _wait_for(folder / "run.json", process)
    time.sleep(rng.uniform(0, longest))
    process.kill()
    process.communicate()
  status, output = call(tiny, folder)
  assert status == 0, output


def test_kill_9_and_the_same_command_end_with_the_same_bits(
  tiny, unbroken, tmp_path
):
  killed_at_random(tiny, tmp_path / "w", seed=0, kills=2, longest=6.0)
  same_bits(unbroken, tmp_path / "w", tiny)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_ten_random_kills(tiny, unbroken, tmp_path, seed):
  killed_at_random(tiny, tmp_path / "w", seed=seed, kills=1, longest=10.0)
  same_bits(unbroken, tmp_path / "w", tiny)


@pytest.mark.long
def test_two_processes_train_what_one_does(tiny, tmp_path):
  with socket.socket() as free:
    free.bind(("localhost", 0))
    port = free.getsockname()[1]
  short = ("--config.training.epochs=2",)
  status, output = call(tiny, tmp_path / "one", *short)
  assert status == 0, output
  processes = [
    start(
      tiny,
      tmp_path / "two",
      *short,
      "--config.mesh.runs=1",
      f"--coordinator=localhost:{port}",
      "--num_processes=2",
      f"--process_id={index}",
    )
    for index in range(2)
  ]
  outputs = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [0, 0], outputs
  description = workdir.read_json(tmp_path / "two" / "run.json")
  assert description["mesh"] == {"runs": 1, "data": 2}
  rows = [
    [
      (row["train_loss"], row["validation_loss"])
      for row in map(
        json.loads, (folder / "metrics.jsonl").read_text().splitlines()
      )
    ]
    for folder in (tmp_path / "one", tmp_path / "two")
  ]
  assert len(rows[0]) == 2 * 4
  np.testing.assert_allclose(rows[0], rows[1], rtol=1e-5)


@pytest.mark.long
def test_swept_values_become_runs(tiny, tmp_path):
  config = small(tiny, **{"sweep.learning_rate": (1e-3, 1e-2)})
  with config.unlocked():
    config.training.epochs = 1
  train_and_evaluate.train_and_evaluate(config, tmp_path, console=QUIET)
  description = workdir.read_json(tmp_path / "run.json")
  assert [run["setting"] for run in description["runs"]] == (
    [{"learning_rate": 1e-3}] * 4 + [{"learning_rate": 1e-2}] * 4
  )
  outcome = workdir.read_json(tmp_path / "results" / "validation.json")
  assert len(outcome["settings"]) == 2


@pytest.mark.long
def test_streaming_shards_trains_as_resident_does(tiny, tmp_path):
  losses = []
  for resident in (True, False):
    config = small(tiny)
    with config.unlocked():
      config.training.epochs = 1
      config.data.resident = resident
    folder = tmp_path / str(resident)
    train_and_evaluate.train_and_evaluate(config, folder, console=QUIET)
    losses.append(
      [
        json.loads(line)["train_loss"]
        for line in (folder / "metrics.jsonl").read_text().splitlines()
      ]
    )
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.long
def test_a_run_that_diverges_is_named_and_the_others_are_scored(
  tiny, tmp_path, caplog
):
  config = small(tiny, **{"sweep.learning_rate": (1e-3, 1e30)})
  with config.unlocked():
    config.seeds = (0,)
    config.protocol.folds = (1,)
    config.training.epochs = 2
  train_and_evaluate.train_and_evaluate(config, tmp_path, console=QUIET)
  assert "not finite at step" in caplog.text
  assert "learning_rate 1e+30" in caplog.text
  outcome = workdir.read_json(tmp_path / "results" / "validation.json")
  assert outcome["runs"][0]["metrics"]["accuracy"] is not None
  assert [run["failed_step"] is None for run in outcome["runs"]] == [
    True,
    False,
  ]
  assert workdir.read_json(tmp_path / "run.json")["failed"] == [1]


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("system", "mtea", "config.system is 'mtea', expected one of"),
    ("data.emotions", ("joyous",), "data.emotions names 'joyous'"),
    ("data.modalities", ("audio",), "data.modalities names 'audio'"),
    ("data.modalities", (), "data.modalities is empty"),
    ("data.dir", "", "config.data.dir is empty"),
    ("data.dir", "/nowhere", "/nowhere"),
    ("protocol.folds", (6,), "fold must be 1..5, got 6"),
    ("protocol.split", "leave_one_out", "leave_one_out"),
    ("protocol.decision", "softmin", "'softmin', expected one of"),
    ("loss.class_weight", "even", "'even', expected one of"),
    ("compute_dtype", "float8", "'float8', expected one of"),
    ("training.select", "test_f1", "selection sees validation"),
    ("training.select", "f2", "f2"),
    ("training.batch_size", 0, "batch_size is 0"),
    ("mesh.runs", 64, "config.mesh"),
    ("sweep.learning_rate", (1e-3, "a"), "'a', expected a finite number"),
    ("sweep.learning_rate", (1e-3, 1e-3), "expected different numbers"),
    ("seeds", (), "expected different seeds"),
    ("seeds", (1, 1), "expected different seeds"),
    ("model.hidden.lexical", 7, "hidden.lexical"),
  ],
)
def test_a_mistake_in_the_config_is_named_and_nothing_is_trained(
  tiny, tmp_path, key, value, message
):
  config = small(tiny, **{key: value})
  with pytest.raises(errors.UserError, match=message) as caught:
    train_and_evaluate.train_and_evaluate(config, tmp_path / "w", console=QUIET)
  assert "\n" not in str(caught.value)
  assert not (tmp_path / "w" / "checkpoints").exists()


def test_a_mistake_ends_the_command_with_one_line_and_status_2(tiny, tmp_path):
  status, output = call(
    tiny, tmp_path / "w", "--config.training.select=test_f1"
  )
  assert status == 2
  lines = [line for line in output.splitlines() if line]
  assert len(lines) == 1, output
  assert lines[0].startswith("error: ")


def test_another_config_in_the_same_workdir_is_refused(tiny, unbroken):
  status, output = call(
    tiny, unbroken, "--config.optimizer.learning_rate=0.123"
  )
  assert status == 2
  assert "config.optimizer.learning_rate was" in output
  assert "now 0.123" in output


def test_other_shards_in_the_same_workdir_are_refused(
  tiny, unbroken, tmp_path_factory
):
  other = synthetic_shards.synthetic(tmp_path_factory, count=120)
  config = workdir.read_config(unbroken)
  with config.unlocked():
    config.data.dir = str(other)
  with pytest.raises(errors.UserError, match="fingerprint"):
    train_and_evaluate.train_and_evaluate(config, unbroken, console=QUIET)
  with config.unlocked():
    config.data.dir = str(tiny)


def test_a_flipped_byte_in_a_shard_trains_nothing(tiny, tmp_path):
  copy = tmp_path / "copy"
  shutil.copytree(tiny, copy)
  shard = next(copy.glob("*-of-*"))
  content = bytearray(shard.read_bytes())
  content[len(content) // 2] ^= 1
  shard.write_bytes(content)
  with pytest.raises(errors.UserError, match="record"):
    train_and_evaluate.train_and_evaluate(
      small(copy), tmp_path / "w", console=QUIET
    )
  assert not (tmp_path / "w").exists()


def test_training_and_evaluating_import_neither_tensorflow_nor_torch():
  code = (
    "import sys, mmer_jax.benchmark, mmer_jax.evaluate, mmer_jax.figures\n"
    "import mmer_jax.table, mmer_jax.train, mmer_jax.export, mmer_jax.predict\n"
    "import mmer_jax.report\n"
    "bad = {'tensorflow', 'torch', 'data_prep'} & set(sys.modules)\n"
    "sys.exit(', '.join(bad) or 0)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
