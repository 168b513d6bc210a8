"""Descriptions of files and folders; pickles are not trusted."""

import collections
import json
import os
import pickle

import h5py
import numpy as np
import pytest
import rich.console

from data_prep.readers import describe, describe_tables, unpickle
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema
from tests.data_prep.conftest import make_corpus, make_example


@pytest.fixture
def shard_folder(write_corpus, tmp_path):
  vectors = schema.EmotionVectors(
    ("happy", "sad"), ("happy", ""), np.ones((2, 3), np.float32)
  )
  examples = [
    make_example(f"{i}", [[i, np.nan]], label=i % 2, split="train")
    for i in range(9)
  ]
  write_corpus(make_corpus(examples, vectors=vectors), num_shards=2)
  return tmp_path / "shards"


def test_shards_tell_counts_and_agree_with_their_manifest(shard_folder):
  described = describe.describe(shard_folder)
  assert described["kind"] == "shards"
  assert described["counts"]["by_emotion"] == {"happy": 5, "sad": 4}
  assert described["nonfinite"]["counts"] == {"acoustic": {"energy": 9}}
  assert described["emotion_vectors"] == {"words": ["happy", ""], "dim": 3}
  assert described["damaged"] == []
  json.dumps(described)


def test_a_flipped_byte_is_seen_and_the_shard_named(shard_folder):
  path = max(shard_folder.glob("*.array_record*"))
  data = bytearray(path.read_bytes())
  data[99] ^= 1
  path.write_bytes(data)
  (sentence,) = describe.describe(shard_folder)["damaged"]
  assert path.name in sentence and "CRC32C" in sentence


def test_other_emotion_vectors_are_not_the_shards_own(shard_folder):
  np.savez(
    shard_folder / "emotions.npz",
    names=np.array(["happy", "sad"]),
    words=np.array(["happy", ""]),
    vectors=np.zeros((2, 3), np.float32),
  )
  with pytest.raises(UserError, match="emotions.npz"):
    describe.describe(shard_folder)


def test_every_kind_of_file_is_described(tmp_path, word_vectors):
  rng = np.random.default_rng(0)
  values = rng.normal(size=(5, 3))
  values[2, 1] = np.inf
  np.savez(tmp_path / "a.npz", x=values, name=np.array(["a", "b", "a"]))
  (tmp_path / "a.csv").write_text("id,emotion\n1,sad\n2,sad\n")
  (tmp_path / "a.jsonl").write_text('{"id": 1}\n')
  with h5py.File(tmp_path / "a.h5", "w") as file:
    file["group/x"] = values
  with open(tmp_path / "a.pkl", "wb") as file:
    pickle.dump({"train": {"x": values, "id": ["a", "b"]}}, file)
  described = {
    name: describe.describe(tmp_path / name)
    for name in ("a.npz", "a.csv", "a.jsonl", "a.h5", "a.pkl", "vectors.txt")
  }
  assert described["a.npz"]["columns"]["x"]["nonfinite"] == 1
  assert described["a.npz"]["columns"]["name"]["values"] == {"a": 2, "b": 1}
  assert described["a.csv"]["columns"]["emotion"]["values"] == {"sad": 2}
  assert described["a.jsonl"]["rows"] == 1
  assert described["a.h5"]["columns"]["group/x"]["shape"] == [5, 3]
  assert described["a.pkl"]["columns"]["/train/x"]["nonfinite"] == 1
  assert described["vectors.txt"]["dim"] == 3
  for description in described.values():
    json.dumps(description)


def rendered(description):
  console = rich.console.Console(record=True, width=200, quiet=True)
  for table in describe_tables.tables_of(description):
    console.print(table)
  return console


def test_tables_can_be_drawn_of_all_kinds(shard_folder, tmp_path, word_vectors):
  (tmp_path / "a.csv").write_text("id,[bold]\n1,[red]\n")
  for path in (shard_folder, tmp_path / "a.csv", word_vectors):
    rendered(describe.describe(path))


def test_real_files_are_described(data_dir):
  mmmo = describe.describe(data_dir / "mmmo")
  assert mmmo["splits"]["train"]["without"] == ["lexical"]
  youtube = describe.describe(data_dir / "youtube")
  assert youtube["splits"]["train"]["modalities"]["acoustic"]["present"] == 48
  # -inf in audio column 7 of 195 videos.
  mosei = describe.describe(data_dir / "mosei" / "val_data.pkl")
  assert mosei["columns"]["/acoustic"]["nonfinite"] == 195
  rendered(mmmo)
  rendered(mosei)


class Evil:
  def __reduce__(self):
    return os.system, ("touch broken_into",)


@pytest.mark.parametrize(
  "content",
  [
    pickle.dumps(Evil()),
    pickle.dumps([Evil()], protocol=0),
    pickle.dumps({"x": np.array([Evil()], object)}),
    # getattr, eval and friends of the built-in module.
    b"cbuiltins\neval\n(S'1'\ntR.",
    b"cnumpy\nload\n(S'x'\ntR.",
    pickle.dumps(collections.Counter()),
  ],
)
def test_a_pickle_that_calls_anything_is_refused(
  tmp_path, monkeypatch, content
):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / "a.pkl"
  path.write_bytes(content)
  with pytest.raises(UserError, match="is refused: it calls"):
    unpickle.load(path)
  assert not (tmp_path / "broken_into").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x04\x95", b"]q"])
def test_a_broken_pickle_is_one_line(tmp_path, content):
  path = tmp_path / "a.pkl"
  path.write_bytes(content)
  with pytest.raises(UserError, match="a.pkl is"):
    unpickle.load(path)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_in_containers_come_back(tmp_path, protocol):
  path = tmp_path / "a.pkl"
  saved = {
    "x": np.arange(6.0).reshape(2, 3),
    "y": [np.float32(2), ("a", b"b")],
    "z": np.array(["a", "bc"]),
  }
  path.write_bytes(pickle.dumps(saved, protocol))
  loaded = unpickle.load(path)
  np.testing.assert_array_equal(loaded["x"], saved["x"])
  assert loaded["y"] == saved["y"]
  assert loaded["z"].tolist() == ["a", "bc"]


def test_unknown_files_are_refused(tmp_path):
  (tmp_path / "a.wav").write_bytes(b"")
  with pytest.raises(UserError, match="unknown kind of file"):
    describe.describe(tmp_path / "a.wav")
  with pytest.raises(UserError, match="does not exist"):
    describe.describe(tmp_path / "b.npz")


def test_the_verb_prints_json_and_ends_badly_on_damage(shard_folder, inspect):
  done = inspect("--json", shard_folder)
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout)["name"] == "small"
  shard = min(shard_folder.glob("*.array_record*"))
  data = bytearray(shard.read_bytes())
  data[50] ^= 4
  shard.write_bytes(data)
  done = inspect(shard_folder)
  assert done.returncode == 2
  assert "DAMAGED" in done.stdout
  (line,) = done.stderr.splitlines()
  assert line.startswith("error: ") and shard.name in line


def test_the_verb_wants_one_path(inspect):
  done = inspect()
  assert done.returncode == 2
  assert (
    done.stderr
    == "error: expected one path, got 0; see --help for an example\n"
  )


def test_the_real_vectors_describe_themselves(data_dir):
  path = data_dir / "glove" / "glove.twitter.27B.25d.subset.txt"
  described = describe.describe(path)
  assert (described["words"], described["dim"]) == (11925, 25)
