"""Word vectors in GloVe's text format, and word forms."""

import gzip

import numpy as np
import pytest

from mmer_jax.base.errors import UserError
from mmer_jax.data import word_vectors


def test_vectors_are_read_whatever_the_variety_of_the_format(tmp_path):
  path = tmp_path / "vectors.txt"
  # A word2vec header, a trailing space, a word with spaces, a repeated word,
  # bytes that are no UTF-8.
  path.write_bytes(
    b"5 2\nhappy 1 2\nsad 3 4 \n. . 5 6\nhappy 9 9\n\xff\xfe 7 8\n"
  )
  vectors = word_vectors.read(path, {"happy", "sad", ". ."})
  assert vectors.dim == 2
  assert {k: v.tolist() for k, v in vectors.vectors.items()} == {
    "happy": [1, 2],
    "sad": [3, 4],
    ". .": [5, 6],
  }
  packed = tmp_path / "vectors.txt.gz"
  packed.write_bytes(gzip.compress(path.read_bytes()))
  assert word_vectors.read(packed, {"sad"}).vectors["sad"].tolist() == [
    3,
    4,
  ]


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("happy 1 2\nsad 3\n", "line 2: a word and 2 numbers"),
    ("happy 1 2\nsad 3 x\n", "line 2: expected 2 finite numbers"),
    ("happy 1 2\nsad 3 nan\n", "line 2: expected 2 finite numbers"),
    ("", "no line"),
    ("happy\t1\t2\n", "line 1: expected a word and its numbers"),
  ],
)
def test_a_malformed_line_is_named(tmp_path, content, message):
  path = tmp_path / "vectors.txt"
  path.write_text(content)
  with pytest.raises(UserError, match=message):
    word_vectors.read(path, {"happy", "sad"})


def test_only_wanted_words_are_kept(tmp_path):
  path = tmp_path / "vectors.txt"
  path.write_text("happy 1 2\nsad 3 4\n")
  assert set(word_vectors.read(path, {"sad"}).vectors) == {"sad"}


def test_forms_are_read_and_the_later_wins():
  assert word_vectors.parse_forms(
    ["", "sad=gloomy", "angry=mad", "sad=Sadness"], ("sad", "angry")
  ) == {"sad": "Sadness", "angry": "mad"}


@pytest.mark.parametrize("form", ["sad", "sad=", "bored=dull", "=sad"])
def test_a_malformed_form_is_named(form):
  with pytest.raises(UserError, match=f"{form!r} is not of the kind"):
    word_vectors.parse_forms([form], ("sad", "angry"))


def test_a_byte_order_mark_loses_no_word(tmp_path):
  path = tmp_path / "vectors.txt"
  path.write_bytes(b"\xef\xbb\xbfsad 1 2\nglad 3 4\n")
  assert set(word_vectors.read(path, {"sad", "glad"}).vectors) == {
    "sad",
    "glad",
  }
  path.write_bytes("sad 1 2\n".encode("utf-16"))
  with pytest.raises(UserError, match="UTF-16 text; expected UTF-8"):
    word_vectors.read(path, {"sad"})


def test_samples_of_vectors_name_a_word_that_differs():
  ours = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
  theirs = {"b": np.array([3.0, 4.0]), "c": np.array([5.0, 6.0])}
  sample = word_vectors.sample
  assert word_vectors.different_word(sample(ours), sample(theirs)) == ""
  theirs["b"] = np.array([3.0, 4.5])
  assert word_vectors.different_word(sample(ours), sample(theirs)) == "b"
  reordered = dict(reversed(ours.items()))
  assert word_vectors.digest(ours) == word_vectors.digest(reordered)
  assert word_vectors.digest(ours) != word_vectors.digest(theirs)
