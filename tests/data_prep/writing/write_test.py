"""Shards: what is in them, that they repeat, that half of them never appear."""

import dataclasses
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data_prep.corpus import corpus as corpus_lib
from data_prep.writing import manifest as writing_manifest
from data_prep.writing import statistics
from mmer_jax.base.errors import UserError
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import schema
from tests.data_prep.conftest import ROOT, make_corpus, make_example


def test_every_field_comes_back(write_corpus):
  frames = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
  corpus = make_corpus(
    [
      make_example(
        "é 1",
        frames,
        [[1, 2, 3]],
        label=1,
        speaker="Ses01_F",
        session="1",
        dialogue="d",
        split="train",
        acoustic_word=np.array([0, 0, -1], np.int32),
      ),
      make_example("2", label=None),
    ],
    has_acoustic_word=True,
    vectors=schema.EmotionVectors(
      ("happy", "sad"), ("happy", ""), np.array([[1, 2], [0, 0]], np.float32)
    ),
  )
  manifest, read = write_corpus(corpus)
  full, bare = read["é 1"], read["2"]
  assert (full["speaker"], full["session"]) == ("Ses01_F", "1")
  assert (full["dialogue"], full["split"]) == ("d", "train")
  np.testing.assert_array_equal(full["acoustic"], frames)
  assert full["acoustic"].dtype == np.float32
  np.testing.assert_array_equal(full["visual"], [[1, 2, 3]])
  np.testing.assert_array_equal(full["acoustic_word"], [0, 0, -1])
  np.testing.assert_array_equal(full["labels"], [0, 1])
  assert full["labelled"] and not bare["labelled"]
  assert bare["acoustic"].shape == (0, 2)
  assert bare["speaker"] == bare["split"] == ""
  assert manifest["modalities"]["acoustic"] == {
    "dim": 2,
    "columns": ["pitch", "energy"],
    "max_length": 3,
    "padding": "none",
  }


def test_the_manifest_counts_what_was_written(write_corpus):
  corpus = make_corpus(
    [
      make_example("1", [[1, 2]], label=0, split="train", speaker="a"),
      make_example("2", None, [[1, 2, 3]], label=1, split="train", speaker="b"),
      make_example("3", [[3, 4]], label=1, split="test", speaker="a"),
      make_example("4", [[5, 6]], label=None, split="test", session="x"),
    ]
  )
  manifest, _ = write_corpus(corpus)
  assert manifest["counts"] == {
    "examples": 4,
    "labelled": 3,
    "by_split": {"test": 2, "train": 2},
    "by_emotion": {"happy": 1, "sad": 2},
    "by_split_emotion": {
      "test": {"happy": 0, "sad": 1},
      "train": {"happy": 1, "sad": 1},
    },
    "present": {"acoustic": 3, "visual": 1},
    "speakers": 2,
    "sessions": 1,
  }


def test_normalisation_sees_real_frames_of_training_rows_only(write_corpus):
  rng = np.random.default_rng(1)
  train = [5 + rng.normal(size=(t, 2)) * [1, 100] for t in (3, 1, 7)]
  padded = np.concatenate([train[0], np.zeros((1, 2)), train[1]])
  corpus = make_corpus(
    [
      make_example("1", padded, split="train"),
      make_example("2", train[2], split="train"),
      make_example("3", [[1e6, 1e6]], split="test"),
    ],
    modalities={
      "acoustic": corpus_lib.Modality(("pitch", "energy"), "zero_rows")
    },
  )
  manifest, _ = write_corpus(corpus)
  entry = manifest["normalisation"]["acoustic"]
  rows = np.concatenate(train).astype(np.float32).astype(np.float64)
  assert entry["count"] == 11
  np.testing.assert_allclose(entry["mean"], rows.mean(axis=0), rtol=1e-12)
  np.testing.assert_allclose(entry["std"], rows.std(axis=0), rtol=1e-12)


def test_without_a_training_split_there_is_no_normalisation(write_corpus):
  manifest, _ = write_corpus(make_corpus([make_example("1", [[1, 2]])]))
  assert manifest["normalisation"] is None


def test_moments_survive_a_large_mean():
  rng = np.random.default_rng(2)
  rows = 1e6 + rng.normal(size=(5000, 3))
  moments = statistics.Moments(3)
  for part in np.array_split(rows, 700):
    moments.add(statistics.Moment.of(part))
  np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
  np.testing.assert_allclose(moments.std, rows.std(axis=0), rtol=1e-7)


def zero_rows(*names):
  dims = {"acoustic": ("pitch", "energy"), "visual": ("x", "y", "z")}
  return {name: corpus_lib.Modality(dims[name], "zero_rows") for name in names}


def test_padding_of_all_modalities_is_trimmed_and_the_rest_stays(write_corpus):
  acoustic = [[0, 0], [1, 2], [0, 0], [0, 0], [0, 0]]
  visual = [[1, 1, 1], [0, 0, 0], [0, 0, 0], [2, 2, 2], [0, 0, 0]]
  corpus = make_corpus(
    [
      make_example("1", acoustic, visual),
      make_example("2", np.zeros((5, 2)), visual),
      make_example("3", np.zeros((5, 2)), np.zeros((5, 3))),
    ],
    modalities=zero_rows("acoustic", "visual"),
  )
  manifest, read = write_corpus(corpus)
  assert read["1"]["acoustic"].tolist() == acoustic[:4]
  assert read["1"]["visual"].tolist() == visual[:4]
  assert read["2"]["acoustic"].shape == (0, 2)
  assert read["2"]["visual"].tolist() == visual[:4]
  assert read["3"]["visual"].shape == (0, 3)
  assert manifest["counts"]["present"] == {"acoustic": 1, "visual": 2}
  assert manifest["modalities"]["visual"]["max_length"] == 4


def test_all_zero_rows_are_real_where_the_corpus_has_no_padding(write_corpus):
  corpus = make_corpus([make_example("1", [[1, 2], [0, 0]])])
  _, read = write_corpus(corpus)
  assert read["1"]["acoustic"].shape == (2, 2)


def test_the_nonfinite_policy_and_its_counts_are_recorded(write_corpus):
  corpus = make_corpus([make_example("1", [[1, -np.inf], [np.nan, 2]])])
  manifest, read = write_corpus(corpus)
  assert read["1"]["acoustic"].tolist() == [[1, 0], [0, 2]]
  assert manifest["nonfinite"] == {
    "policy": "zero",
    "counts": {"acoustic": {"pitch": 1, "energy": 1}},
  }


@pytest.mark.parametrize(
  ("examples", "message"),
  [
    (
      [make_example("1", [[1, 2]]), make_example("1", [[1, 2]])],
      "made.csv line 1: id '1' is used at made.csv line 1 already",
    ),
    (
      [make_example("1", split="train"), make_example("1", split="test")],
      "id '1' is in split 'test' and, at made.csv line 1, in split 'train'",
    ),
    ([make_example("")], "the id is empty"),
    ([make_example("1", split="dev")], "split 'dev', expected one of train"),
    (
      [make_example("1", [[1, 2]]), make_example("2", [[1, 2, 3]])],
      r"made.csv line 2: acoustic features of shape \(1, 3\), expected rows of"
      " 2",
    ),
    ([make_example("1", [1, 2])], r"acoustic features of shape \(2,\)"),
    ([], "small holds no utterances"),
  ],
)
def test_an_unsound_corpus_is_refused_before_anything_is_written(
  write_corpus, tmp_path, examples, message
):
  with pytest.raises(UserError, match=message):
    write_corpus(make_corpus(examples))
  assert list(tmp_path.iterdir()) == []


def test_a_single_label_corpus_has_one_emotion_per_row(write_corpus):
  example = make_example("1", [[1, 2]])
  example.labels = np.ones(2, np.float32)
  with pytest.raises(UserError, match="2 emotions are present, expected exact"):
    write_corpus(make_corpus([example]))
  manifest, _ = write_corpus(make_corpus([example], label_type="multi"))
  assert manifest["counts"]["by_emotion"] == {"happy": 1, "sad": 1}


def test_more_shards_than_utterances_are_refused(write_corpus):
  with pytest.raises(UserError, match="--num_shards=2 for 1 utterances"):
    write_corpus(make_corpus([make_example("1", [[1, 2]])]), num_shards=2)


def many(count=30):
  rng = np.random.default_rng(3)
  return make_corpus(
    [make_example(f"{i}", rng.normal(size=(4, 2))) for i in range(count)]
  )


def test_shards_are_as_many_as_asked_and_listed_with_checksums(
  write_corpus, tmp_path
):
  manifest, read = write_corpus(many(), num_shards=3)
  assert len(read) == 30
  assert [shard["examples"] for shard in manifest["shards"]] == [10, 10, 10]
  names = {path.name for path in (tmp_path / "shards").iterdir()}
  assert names == {
    "dataset_info.json",
    "features.json",
    "manifest.json",
    *(shard["file"] for shard in manifest["shards"]),
  }
  for shard in manifest["shards"]:
    path = tmp_path / "shards" / shard["file"]
    assert path.stat().st_size == shard["bytes"]
    assert writing_manifest.checksum(path) == shard["crc32c"]
  assert manifest["fingerprint"] == manifest_lib.fingerprint(manifest)
  on_disk = json.loads(
    (tmp_path / "shards" / manifest_lib.MANIFEST).read_text()
  )
  assert on_disk == manifest


def test_a_changed_value_changes_the_fingerprint(write_corpus):
  one, _ = write_corpus(make_corpus([make_example("1", [[1, 2]])]), "one")
  two, _ = write_corpus(make_corpus([make_example("1", [[1, 3]])]), "two")
  assert one["fingerprint"] != two["fingerprint"]


def test_the_fingerprint_is_of_content_not_of_names_nor_of_the_format(
  write_corpus,
):
  """Neither options (names of files) nor the cut into shards are content."""
  prints = set()
  for number, (changes, shards, examples) in enumerate(
    [
      ({}, 1, ("1", "2")),
      (
        {"options": {"word_vectors": "other.txt"}, "name": "other"},
        1,
        ("1", "2"),
      ),
      ({}, 2, ("2", "1")),
    ]
  ):
    rows = [make_example(name, [[1, int(name)]]) for name in examples]
    corpus = make_corpus(rows, **changes)
    manifest, _ = write_corpus(corpus, str(number), num_shards=shards)
    prints.add(manifest["fingerprint"])
  assert len(prints) == 1


@pytest.mark.parametrize(
  "changes",
  [
    {"split": "train"},
    {"speaker": "a"},
    {"label": 1},
    {"label": None},
    {"name": "2"},
  ],
)
def test_whatever_a_record_says_changes_the_fingerprint(write_corpus, changes):
  changed = {"name": "1", "acoustic": [[1, 2]], **changes}
  one, _ = write_corpus(make_corpus([make_example("1", [[1, 2]])]), "one")
  two, _ = write_corpus(make_corpus([make_example(**changed)]), "two")
  assert one["fingerprint"] != two["fingerprint"]


def test_columns_and_policies_change_the_fingerprint(write_corpus):
  rows = [make_example("1", [[1, 2]])]
  one, _ = write_corpus(make_corpus(rows), "one")
  modalities = dict(make_corpus(rows).modalities)
  modalities["acoustic"] = corpus_lib.Modality(("energy", "pitch"), "none")
  two, _ = write_corpus(make_corpus(rows, modalities=modalities), "two")
  three, _ = write_corpus(make_corpus(rows), "three", nonfinite="drop")
  prints = {manifest["fingerprint"] for manifest in (one, two, three)}
  assert len(prints) == 3
  assert one["identity"]["columns"]["acoustic"] == ["pitch", "energy"]


def test_an_edited_manifest_is_refused(write_corpus, tmp_path):
  write_corpus(make_corpus([make_example("1", [[1, 2]])]), "one")
  path = tmp_path / "one" / manifest_lib.MANIFEST
  text = path.read_text()
  for old, new, key in (
    ('"examples": 1', '"examples": 2', "checksum"),
    ('"pitch"', '"itch"', "fingerprint"),
  ):
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=f"does not match its own {key}"):
      manifest_lib.load_manifest(path.parent)


def test_a_folder_of_the_first_fingerprints_still_loads(write_corpus, tmp_path):
  """As conversions before version 2 wrote them."""
  manifest, _ = write_corpus(make_corpus([make_example("1", [[1, 2]])]), "one")
  new = ("fingerprint_version", "checksum", "identity", "content")
  old = {k: v for k, v in manifest.items() if k not in new}
  old = manifest_lib.sign(old)
  assert "checksum" not in old and old["fingerprint"] != manifest["fingerprint"]
  path = tmp_path / "one" / manifest_lib.MANIFEST
  path.write_text(json.dumps(old))
  assert manifest_lib.load_manifest(path.parent) == old


def test_another_emotion_vector_changes_the_fingerprint(write_corpus):
  found = set()
  for value in (1, 2):
    vectors = schema.EmotionVectors(
      ("happy", "sad"), ("happy", "sad"), np.full((2, 3), value, np.float32)
    )
    corpus = make_corpus([make_example("1", [[1, 2]])], vectors=vectors)
    found.add(write_corpus(corpus, str(value))[0]["fingerprint"])
  assert len(found) == 2


def test_an_output_with_something_in_it_is_refused(write_corpus, tmp_path):
  (tmp_path / "shards").mkdir()
  (tmp_path / "shards" / "thesis.tex").write_text("years")
  with pytest.raises(UserError, match="exists and is not empty"):
    write_corpus(many())
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="is a file"):
    write_corpus(many(), "file")


def test_an_empty_output_folder_is_taken(write_corpus, tmp_path):
  (tmp_path / "shards").mkdir()
  _, read = write_corpus(many())
  assert len(read) == 30


def test_a_failure_while_writing_leaves_nothing(write_corpus, tmp_path):
  def examples():
    yield from many().examples()
    raise UserError("the file changed meanwhile")

  with pytest.raises(UserError, match="the file changed meanwhile"):
    write_corpus(dataclasses.replace(many(), examples=examples))
  assert list(tmp_path.iterdir()) == []


def test_what_a_killed_conversion_left_is_cleared(write_corpus, tmp_path):
  stale = tmp_path / ".shards.incomplete"
  (stale / "tfds").mkdir(parents=True)
  (stale / "tfds" / "bucket.tmp").write_text("half")
  (stale / "old.tfrecord").write_text("half")
  _, read = write_corpus(many())
  assert len(read) == 30
  assert [path.name for path in tmp_path.iterdir()] == ["shards"]
  assert not list((tmp_path / "shards").glob("old*"))


def test_two_conversions_to_one_output_do_not_meet(write_corpus, tmp_path):
  busy = tmp_path / ".shards.incomplete"
  busy.mkdir()
  lock = os.open(busy, os.O_RDONLY)
  fcntl.flock(lock, fcntl.LOCK_EX)
  with pytest.raises(UserError, match="another conversion is writing"):
    write_corpus(many())
  assert busy.exists()
  os.close(lock)
  _, read = write_corpus(many())
  assert len(read) == 30


_SLOW = """
import dataclasses, pathlib, sys, time
import rich.console
from data_prep.writing import options, write
from tests.data_prep.writing.write_test import many
def examples():
  for i, example in enumerate(many(200).examples()):
    if i == 150:
      pathlib.Path(sys.argv[1] + ".begun").touch()
      time.sleep(600)
    yield example
write.write(
  dataclasses.replace(many(200), examples=examples), pathlib.Path(sys.argv[1]),
  options.Options("zero", 1, "array_record"), rich.console.Console(quiet=True),
  identity="same",
)
"""


def test_a_killed_conversion_looks_like_nothing_and_goes_on(
  write_corpus, tmp_path
):
  output = tmp_path / "shards"
  with subprocess.Popen(
    [sys.executable, "-c", _SLOW, str(output)], cwd=ROOT
  ) as process:
    while not pathlib.Path(f"{output}.begun").exists():
      assert process.poll() is None
      time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
  assert not output.exists()
  parts = tmp_path / ".shards.incomplete" / "same" / "rows"
  assert len(list(parts.glob("*.npz"))) == 2
  _, read = write_corpus(many(200), identity="same")
  assert len(read) == 200
  assert not (tmp_path / ".shards.incomplete").exists()
  write_corpus(many(200), "unbroken")
  for path in output.iterdir():
    assert path.read_bytes() == (tmp_path / "unbroken" / path.name).read_bytes()
