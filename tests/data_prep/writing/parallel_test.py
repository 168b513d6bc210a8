"""Several processes, and conversions that were killed: the same result."""

import dataclasses
import functools
import json

import numpy as np
import pytest

from tests.data_prep.conftest import make_corpus, make_example

_COUNT = 150


def draw(number, bad=()):
  """An utterance of mixed lengths and splits, some of it not finite."""
  rng = np.random.default_rng([7, number])
  acoustic = 1e3 + rng.normal(size=(int(rng.integers(5)), 2))
  acoustic[rng.random(acoustic.shape) < 0.1] = rng.choice([np.nan, -np.inf])
  name = "twice" if number in bad else f"u{number}"
  return make_example(
    name,
    acoustic,
    rng.normal(size=(3, 3)) if rng.random() < 0.7 else None,
    label=rng.choice([0, 1, None]),
    split=str(rng.choice(["train", "train", "test", ""])),
    speaker=f"s{number % 5}",
  )


def drawn(made, bad=(), **changes):
  """A corpus that makes its examples by number, or in a pass alone."""
  make = functools.partial(draw, bad=bad)
  return dataclasses.replace(
    make_corpus(()),
    examples=lambda: map(make, range(_COUNT)),
    total=_COUNT,
    make=make if made else None,
    **changes,
  )


def files(folder):
  """Every file of a folder by name."""
  return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("nonfinite", ["zero", "clip"])
def test_any_number_of_processes_writes_the_same_bytes(
  write_corpus, tmp_path, nonfinite
):
  written = []
  for made, workers in ((False, 1), (True, 1), (True, 2), (False, 7)):
    name = f"{made}{workers}"
    write_corpus(drawn(made), name, nonfinite, num_shards=3, workers=workers)
    written.append(files(tmp_path / name))
  manifest = json.loads(written[0]["manifest.json"])
  assert manifest["normalisation"]["acoustic"]["count"] > 100
  assert manifest["nonfinite"]["counts"]["acoustic"]["pitch"] > 10
  for other in written[1:]:
    assert other == written[0]
