"""A tiny trained workdir, and commands as a user calls them."""

import os
import pathlib
import subprocess
import sys

import rich.console

from configs import quickstart
from mmer_jax.evaluation import train_and_evaluate
from tests import made_once, synthetic_shards

ROOT = pathlib.Path(__file__).parents[1]


def run(*words, **environment):
  return subprocess.run(
    [sys.executable, *map(str, words)],
    cwd=ROOT,
    check=False,
    capture_output=True,
    text=True,
    env={**os.environ, **environment},
  )


def verb(name, *words):
  return run("-m", name, *words)


def train(shards, folder):
  """Trains two folds of MTEE for an epoch."""
  config = quickstart.get_config()
  with config.unlocked():
    config.data.dir = str(shards)
    config.seeds = (0,)
    config.protocol.folds = (1, 2)
    config.training.epochs = 1
    config.model.layers = 1
    config.model.hidden.update(acoustic=4, visual=3)
  assert train_and_evaluate.train_and_evaluate(
    config, folder, console=rich.console.Console(quiet=True)
  )
  return folder


def shards_once(factory):
  """Converts 120 synthetic utterances, once for all workers."""
  return synthetic_shards.synthetic(factory, count=120)


def trained_once(factory):
  """A copy of the workdir, which is trained once for all workers."""
  shards = shards_once(factory)
  folder = made_once.made_once(
    factory, "mtee", lambda folder: train(shards, folder)
  )
  return made_once.copy_of(factory, folder)


def streams(examples, *modalities):
  modalities = modalities or ("lexical", "acoustic", "visual")
  return {m: [example[m] for example in examples] for m in modalities}
