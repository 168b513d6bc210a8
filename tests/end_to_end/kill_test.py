"""Kill -9 at random moments leaves nothing half-written and changes no bit.

`MMER_KILLS` says how many kills there are in all (100): a third each of
conversion, training and export.
"""

import filecmp
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

from mmer_jax.training import checkpoints

ROOT = pathlib.Path(__file__).parents[2]
KILLS = int(os.environ.get("MMER_KILLS", "100"))
CONVERSIONS, TRAININGS, EXPORTS = (range((KILLS + i) // 3) for i in (2, 1, 0))

pytestmark = pytest.mark.long


def convert(folder):
  return [
    "data_prep.convert",
    "--source=synthetic",
    "--preset=tiny",
    "--num_examples=300",
    f"--output={folder}",
  ]


def train(shards, folder):
  return [
    "mmer_jax.train",
    f"--config={ROOT / 'configs' / 'quickstart.py'}",
    f"--config.data.dir={shards}",
    f"--workdir={folder}",
    "--config.seeds=(0, 1)",
    "--config.protocol.folds=(1, 2)",
    "--config.training.epochs=6",
    "--config.training.batch_size=64",
    "--config.training.steps_per_dispatch=1",
    "--config.training.early_stopping=0",
  ]


def export(workdir, folder):
  return [
    "mmer_jax.export",
    f"--workdir={workdir}",
    f"--out={folder}",
    "--platforms=cpu",
  ]


def start(arguments):
  return subprocess.Popen(
    [sys.executable, "-m", *arguments],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finish(arguments):
  """Runs a command to its end; returns the seconds that it took."""
  begun = time.monotonic()
  process = start(arguments)
  output, _ = process.communicate(timeout=600)
  assert process.returncode == 0, output
  return time.monotonic() - begun


def kill(arguments, parent, seed, seconds):
  """Starts a command and kills it at random.

  Every other kill comes soon after the first file is written: most of a
  command's time goes to what it imports.

  Args:
    arguments: The command.
    parent: An empty folder, where the command writes.
    seed: Draws the moment.
    seconds: How long the command takes.
  """
  rng = random.Random(seed)
  process = start(arguments)
  if seed % 2:
    while not any(parent.iterdir()) and process.poll() is None:
      time.sleep(0.01)
    seconds = seconds / 2
  time.sleep(rng.uniform(0, seconds))
  process.kill()
  process.communicate()


def same_files(a, b, but=()):
  """Compares all files of two folders, apart from those that are named."""
  names = [
    sorted(
      str(path.relative_to(folder))
      for path in folder.rglob("*")
      if path.is_file() and path.name not in but
    )
    for folder in (a, b)
  ]
  assert names[0] == names[1]
  different = filecmp.cmpfiles(a, b, names[0], shallow=False)[1:]
  assert different == ([], [])


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
  """Shards of a conversion that was never interrupted, and its seconds."""
  folder = tmp_path_factory.mktemp("unbroken") / "shards"
  return folder, finish(convert(folder))


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
  """A workdir that was never interrupted, and its seconds."""
  folder = tmp_path_factory.mktemp("unbroken") / "w"
  return folder, finish(train(shards[0], folder))


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
  """An export that was never interrupted, and its seconds."""
  folder = tmp_path_factory.mktemp("unbroken") / "export"
  return folder, finish(export(trained[0], folder))


@pytest.mark.parametrize("seed", CONVERSIONS)
def test_a_conversion_that_is_killed_writes_all_or_nothing(
  shards, tmp_path, seed
):
  whole, seconds = shards
  folder = tmp_path / "shards"
  kill(convert(folder), tmp_path, seed, seconds)
  # What is there is finished, and would not be written over.
  if not folder.exists():
    finish(convert(folder))
  same_files(whole, folder)


@pytest.mark.parametrize("seed", TRAININGS)
def test_a_training_that_is_killed_ends_with_the_same_bits(
  shards, trained, tmp_path, seed
):
  whole, seconds = trained
  folder = tmp_path / "w"
  kill(train(shards[0], folder), tmp_path, seed, seconds)
  for name in ("config.json", "run.json", "results/validation.json"):
    if (folder / name).exists():
      json.loads((folder / name).read_text())
  finish(train(shards[0], folder))
  # These say when, by which command and for how long it ran.
  for name in ("metrics.jsonl", "results/validation.json"):
    assert filecmp.cmp(whole / name, folder / name, shallow=False), name
  assert checksums(folder) == checksums(whole)


def checksums(folder):
  """Reads the checksums of the newest checkpoint, of a finished training."""
  store = checkpoints.Checkpoints(folder)
  number = store.latest()
  assert store.position().done
  store.close()
  path = folder / "checkpoints" / str(number) / "digests" / "metadata"
  return number, json.loads(path.read_text())


@pytest.mark.parametrize("seed", EXPORTS)
def test_an_export_that_is_killed_writes_all_or_nothing(
  trained, exported, tmp_path, seed
):
  whole, seconds = exported
  folder = tmp_path / "export"
  kill(export(trained[0], folder), tmp_path, seed, seconds)
  if folder.exists():
    same_files(whole, folder)
  finish(export(trained[0], folder))
  same_files(whole, folder)
