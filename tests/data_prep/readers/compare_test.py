"""Two folders side by side."""

import json
import pathlib

import numpy as np
import pytest

from data_prep.corpus import corpus as corpus_lib
from data_prep.readers import compare, describe
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema
from tests.data_prep.conftest import make_corpus, make_example


def vectors(value):
  table = np.full((2, 3), value, np.float32)
  return schema.EmotionVectors(("happy", "sad"), ("glad", "sad"), table)


def differing(a, b):
  facts = compare.compare(a, b)
  return {
    fact["what"]: (fact["a"], fact["b"]) for fact in facts if not fact["same"]
  }


def test_the_same_corpus_does_not_differ(write_corpus, tmp_path):
  corpus = make_corpus([make_example("1", [[1, 2]])], vectors=vectors(1))
  write_corpus(corpus, "one")
  write_corpus(corpus, "two")
  assert differing(tmp_path / "one", tmp_path / "two") == {}


def test_columns_splits_vectors_and_policies_that_differ_are_named(
  write_corpus, tmp_path
):
  rows = [make_example("1", [[1, 2]], split="train")]
  one = make_corpus(rows, vectors=vectors(1))
  modalities = dict(one.modalities)
  modalities["acoustic"] = corpus_lib.Modality(("pitch", "loudness"), "none")
  rows = [make_example("1", [[1, 2]], split="test", label=1)]
  two = make_corpus(rows, vectors=vectors(2), modalities=modalities)
  write_corpus(one, "one")
  write_corpus(two, "two", nonfinite="clip")
  found = differing(tmp_path / "one", tmp_path / "two")
  assert found["acoustic columns"] == ("pitch, energy", "pitch, loudness")
  assert found["utterances of train"] == ("1", "")
  assert found["utterances of happy"] == ("1", "0")
  assert found["policy of values not finite"] == ("zero", "clip")
  assert "'glad'" in found["vectors of words"][0]
  assert {"fingerprint", "word_vectors_sha256"} <= found.keys()
  assert "emotions" not in found


def test_the_verb_compares_two_paths(write_corpus, tmp_path, inspect):
  write_corpus(make_corpus([make_example("1", [[1, 2]])]), "one")
  write_corpus(make_corpus([make_example("1", [[1, 3]])]), "two")
  one, two = tmp_path / "one", tmp_path / "two"
  done = inspect("--diff", one, two)
  assert done.returncode == 0, done.stderr
  assert "1 of" in done.stdout and "differs" in done.stdout
  facts = json.loads(inspect("--json", "--diff", one, two).stdout)
  assert any(fact["what"] == "fingerprint" for fact in facts)
  done = inspect("--diff", one)
  assert done.returncode == 2
  assert "expected two paths, got 1" in done.stderr


def test_what_is_neither_shards_nor_an_export_is_refused(tmp_path):
  with pytest.raises(UserError, match="neither a folder of shards nor an"):
    compare.compare(tmp_path, tmp_path)
  (tmp_path / "feature_spec.json").write_text("[]")
  with pytest.raises(UserError, match="is not the feature_spec.json"):
    compare.compare(tmp_path, tmp_path)


def test_inspect_reports_what_stands_on_two_sides(write_corpus, tmp_path):
  rows = [
    make_example("1", [[1, 2]], split="train"),
    make_example("2", [[1, 2]], split="test", label=1),
    make_example("3", [[3, 4]], split="test"),
  ]
  write_corpus(make_corpus(rows))
  found = describe.describe(pathlib.Path(tmp_path / "shards"))["duplicates"]
  assert found["acoustic"] == {
    "train in test": [1, 1],
    "test in train": [1, 2],
  }
