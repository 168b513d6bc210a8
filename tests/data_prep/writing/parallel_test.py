"""Several processes, parts and shards: the bytes of one process, and TFDS's."""

import dataclasses
import functools
import importlib.util
import json
import os
import signal
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer, naming
from tensorflow_datasets.core import writer as tfds_writer
from tensorflow_datasets.proto import tf_example_pb2

from data_prep.corpus import nonfinite
from data_prep.writing import examples as examples_lib
from data_prep.writing import pool, rows, statistics
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema
from tests.data_prep.conftest import make_corpus, make_example

_COUNT = 150


def draw(number, twice=(), deadly=None):
  """An utterance of mixed lengths and splits, some of it not finite."""
  if number == deadly:
    os.kill(os.getpid(), signal.SIGKILL)
  rng = np.random.default_rng([7, number])
  acoustic = 1e3 + rng.normal(size=(int(rng.integers(5)), 2))
  acoustic[rng.random(acoustic.shape) < 0.1] = rng.choice([np.nan, -np.inf])
  return make_example(
    "twice" if number in twice else f"u{number}",
    acoustic,
    rng.normal(size=(3, 3)) if rng.random() < 0.7 else None,
    label=rng.choice([0, 1, None]),
    split=str(rng.choice(["train", "train", "test", ""])),
    speaker=f"s{number % 5}",
  )


def drawn(made, make=draw, **changes):
  """A corpus that makes its examples by number, or in a pass alone."""
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


@pytest.mark.parametrize("policy", ["zero", "clip"])
def test_any_number_of_processes_writes_the_same_bytes(
  write_corpus, tmp_path, policy
):
  written = []
  for made, workers in ((False, 1), (True, 1), (True, 2), (False, 7)):
    name = f"{made}{workers}"
    write_corpus(drawn(made), name, policy, num_shards=3, workers=workers)
    written.append(files(tmp_path / name))
  manifest = json.loads(written[0]["manifest.json"])
  assert manifest["normalisation"]["acoustic"]["count"] > 100
  assert manifest["nonfinite"]["counts"]["acoustic"]["pitch"] > 10
  for other in written[1:]:
    assert other == written[0]


class _Task(NamedTuple):
  number: int


@pytest.mark.parametrize("cores", [1, 3])
def test_other_processes_start_where_this_one_takes_long(monkeypatch, cores):
  clock, here, there = [0.0], [], []

  def work(task):
    here.append(task.number)
    clock[0] += 2

  def others(function, tasks, workers):
    assert function is work and workers == cores == 3
    for task in tasks:
      there.append(task.number)
      yield task.number

  run = pool.run
  monkeypatch.setattr(pool, "cores", lambda: cores)
  monkeypatch.setattr(pool, "_worked", lambda: clock[0])
  monkeypatch.setattr(pool, "run", others)
  numbers = list(run(work, map(_Task, range(6)), 0))
  assert numbers == list(range(6))
  # Three of two seconds are more than five.
  few = 3 if cores == 3 else 6
  assert here == numbers[:few] and there == numbers[few:]


def test_ranges_and_counts_of_parts_are_those_of_the_whole():
  corpus = drawn(False)
  whole = nonfinite.Nonfinite("clip", corpus.modalities)
  merged = nonfinite.Nonfinite("clip", corpus.modalities)
  for start in (100, 0, 50):
    part = nonfinite.Nonfinite("clip", corpus.modalities)
    for number in range(start, start + 50):
      part.observe(draw(number))
      whole.observe(draw(number))
    merged.merge(part.state())
  state = merged.state()
  assert state.keys() == whole.state().keys() and len(state) == 11
  for name, values in whole.state().items():
    np.testing.assert_array_equal(state[name], values)
  assert merged.counts() == whole.counts()


def test_statistics_are_those_of_one_pass_to_the_last_bit(write_corpus):
  """The recurrence of Chan et al., written out row after row."""
  manifest, _ = write_corpus(drawn(True), workers=1)
  count, mean, squares = 0, np.zeros(2), np.zeros(2)
  for number in range(_COUNT):
    example = draw(number)
    frames = np.nan_to_num(example.streams["acoustic"], posinf=0, neginf=0)
    if example.split != "train" or not len(frames):
      continue
    frames = frames.astype(np.float64)
    delta = frames.mean(axis=0) - mean
    total = count + len(frames)
    mean = mean + delta * len(frames) / total
    squares = squares + ((frames - frames.mean(axis=0)) ** 2).sum(axis=0)
    squares = squares + delta**2 * count * len(frames) / total
    count = total
  entry = manifest["normalisation"]["acoustic"]
  assert entry["mean"] == mean.tolist() and entry["count"] == count
  assert entry["std"] == np.sqrt(squares / count).tolist()


def record(rng, has_words=True):
  """A corpus and a record of it, strings and empty arrays among the fields."""
  corpus = make_corpus(
    (), has_words=has_words, has_acoustic_word=True, emotions=("a", "b", "c")
  )
  corpus.modalities["lexical"] = corpus.modalities["visual"]
  length = int(rng.integers(4))
  example = make_example("é", rng.normal(size=(40 * length, 2)), label=None)
  example.streams["lexical"] = rng.normal(size=(length, 3))
  example.words = ["wörd", "", "x" * 300][:length]
  example.acoustic_word = rng.integers(-1, 3, 40 * length).astype(np.int32)
  example.labels = rng.normal(size=3).astype(np.float32)
  return corpus, examples_lib.encode(corpus, example)


def test_records_are_serialised_as_by_tfds():
  rng = np.random.default_rng(0)
  for has_words in (True, False) * 5:
    corpus, made = record(rng, has_words)
    features = examples_lib.features(corpus)
    theirs = example_serializer.ExampleSerializer(
      features.get_serialized_info()
    ).get_tf_example(features.encode_example(made))
    ours = rows.Serializer(corpus)(made)
    assert ours == theirs.SerializeToString(deterministic=True)


class _Deterministic(tfds_writer.ExampleWriter):
  def write(self, path, examples):
    def ordered():
      for key, data in examples:
        message = tf_example_pb2.Example.FromString(data)
        yield key, message.SerializeToString(deterministic=True)

    return super().write(path, ordered())


def test_shards_are_cut_and_ordered_as_by_tfds(write_corpus, tmp_path):
  corpus = drawn(True)
  manifest, _ = write_corpus(corpus, num_shards=4)
  features = examples_lib.features(corpus)
  template = naming.ShardedFileTemplate(
    data_dir=tmp_path,
    dataset_name="small",
    split=schema.TFDS_SPLIT,
    filetype_suffix="array_record",
  )
  writer = tfds_writer.Writer(
    example_serializer.ExampleSerializer(features.get_serialized_info()),
    template,
    hash_salt=schema.TFDS_SPLIT,
    disable_shuffling=False,
    example_writer=_Deterministic(
      tfds.core.FileFormat.from_value("array_record")
    ),
    shard_config=tfds.core.utils.shard_utils.ShardConfig(num_shards=4),
  )
  for example in corpus.examples():
    for name, frames in example.streams.items():
      finite = np.isfinite(frames)
      example.streams[name] = np.where(finite, frames, np.float32(0))
    encoded = features.encode_example(examples_lib.encode(corpus, example))
    writer.write(example.id, encoded)
  lengths, _ = writer.finalize()
  assert [shard["examples"] for shard in manifest["shards"]] == lengths
  for shard in manifest["shards"]:
    theirs = (tmp_path / shard["file"]).read_bytes()
    assert (tmp_path / "shards" / shard["file"]).read_bytes() == theirs


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_error_in_the_order_of_the_corpus_is_raised(
  write_corpus, tmp_path, workers
):
  def passed(twice, wrong):
    def examples():
      for number in range(_COUNT):
        if number == wrong:
          raise UserError("row 140 is damaged")
        yield draw(number, twice)

    corpus = dataclasses.replace(drawn(False), examples=examples)
    with pytest.raises(UserError) as caught:
      write_corpus(corpus, workers=workers)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)

  # In chunks 0 and 2; the source ends in chunk 2.
  assert "id 'twice' is in split" in passed((3, 139), 140)
  assert passed((3, 141), 140) == "row 140 is damaged"


def test_an_error_of_an_example_comes_behind_ids_before_it(write_corpus):
  def examples():
    yield draw(0)
    yield draw(0)
    yield make_example("bad", [[1, 2, 3]])

  with pytest.raises(UserError, match="id 'u0' is used at"):
    write_corpus(dataclasses.replace(drawn(False), examples=examples))


def test_ids_that_tfds_does_not_tell_apart_are_refused(write_corpus):
  corpus = make_corpus([make_example("a/b", [[1, 2]]), make_example("a\\b")])
  with pytest.raises(UserError, match="same but for /"):
    write_corpus(corpus)


def test_a_process_that_is_killed_is_one_line_and_what_is_done_stays(
  write_corpus, tmp_path
):
  corpus = drawn(True, functools.partial(draw, deadly=140))
  with pytest.raises(UserError, match="was there too little memory"):
    write_corpus(corpus, workers=2, identity="one")
  folder = tmp_path / ".shards.incomplete" / "one" / "rows"
  assert folder.is_dir() and not (tmp_path / "shards").exists()
  with pytest.raises(UserError, match="was there too little memory"):
    write_corpus(corpus, "other", workers=2)
  assert [path.name for path in tmp_path.iterdir()] == [".shards.incomplete"]


def test_a_format_without_its_package_is_refused_at_once(
  write_corpus, tmp_path, monkeypatch
):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(UserError, match="tfrecord needs the package tensorflow"):
    write_corpus(drawn(True, make=None), file_format="tfrecord")
  assert list(tmp_path.iterdir()) == []


def test_a_row_keeps_what_json_does():
  row = statistics.Row(
    *("é", "w", "", "", "", [True, False], {"visual": 3}, "0f"), ratings=[1.5]
  )
  assert statistics.Row(**json.loads(json.dumps(row._asdict()))) == row
