"""A small corpus, and ways to convert and read it."""

import pathlib
import subprocess
import sys

import ml_collections
import numpy as np
import pytest
import rich.console

from data_prep.corpus import corpus as corpus_lib
from data_prep.writing import options, write
from mmer_jax.data import shards

ROOT = pathlib.Path(__file__).parents[2]


def run(module, *arguments):
  """A verb, as its user starts it."""
  return subprocess.run(
    [sys.executable, "-m", f"data_prep.{module}", *map(str, arguments)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture
def convert():
  return lambda *arguments: run("convert", *arguments)


@pytest.fixture
def inspect():
  return lambda *arguments: run("inspect", *arguments)


@pytest.fixture
def write_corpus(tmp_path):
  """Writes a corpus without TensorFlow and reads it back, by id."""

  def writer(
    corpus,
    name="shards",
    nonfinite="zero",
    num_shards=1,
    file_format="array_record",
    workers=0,
    beam=None,
    **changes,
  ):
    folder = tmp_path / name
    manifest = write.write(
      corpus,
      folder,
      options.Options(nonfinite, num_shards, file_format, workers, beam),
      rich.console.Console(quiet=True),
      **changes,
    )
    examples = {
      example["id"]: example for _, example in shards.read_examples(folder)
    }
    return manifest, examples

  return writer


def make_corpus(examples, **changes):
  """Two acoustic and three visual features, unless told otherwise."""
  fields = {
    "name": "small",
    "source": "test",
    "layout": "made by hand",
    "emotions": ("happy", "sad"),
    "label_type": "single",
    "modalities": {
      "acoustic": corpus_lib.Modality(("pitch", "energy"), "none"),
      "visual": corpus_lib.Modality(("x", "y", "z"), "none"),
    },
    "examples": lambda: iter(examples),
    "total": len(examples),
    "options": {},
  }
  return corpus_lib.Corpus(**{**fields, **changes})


def make_example(name, acoustic=None, visual=None, label=0, **changes):
  streams = {"acoustic": acoustic, "visual": visual}
  return corpus_lib.Example(
    id=name,
    where=f"made.csv line {name}",
    streams={
      key: np.asarray(value, np.float32)
      for key, value in streams.items()
      if value is not None
    },
    labels=None if label is None else np.eye(2, dtype=np.float32)[label],
    **changes,
  )


@pytest.fixture
def word_vectors(tmp_path):
  path = tmp_path / "vectors.txt"
  path.write_text(
    "i 1 0 0\nam 0 1 0\nhappy 0 0 1\nsad 1 1 0\ndo 2 0 0\nn't 0 2 0\n",
    encoding="utf-8",
  )
  return path


def make_spec(**changes):
  """A spec for rows with id, text, emotion and a vector."""
  return ml_collections.ConfigDict(
    {
      "name": "own",
      "label_type": "single",
      "files": (),
      "id": "{id}",
      "speaker": "",
      "session": "",
      "dialogue": "",
      "split": "",
      "split_values": (),
      "text": "{text}",
      "label": "{emotion}",
      "label_values": (("hap", "happy"), ("exc", "happy"), ("sad", "sad")),
      "unlabelled": ("xxx",),
      "label_columns": (),
      "emotions": ("happy", "sad"),
      "emotion_words": (("happy", ("joyous", "happy")), ("sad", ("sad",))),
      "crop": {"min_words": 0, "max_words": 0},
      "features": {
        "acoustic": {"columns": ("mfcc",), "names": (), "padding": "none"}
      },
      **changes,
    }
  ).lock()
