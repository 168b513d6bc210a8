"""Text to words, words to vectors."""

import gzip
from collections import Counter

import numpy as np
import pytest

from data_prep import text
from mmer_jax.errors import UserError


@pytest.mark.parametrize(
  ("written", "words"),
  [
    ("Excuse me.", ["Excuse", "me", "."]),
    ("I don't know...", ["I", "don't", "know", "..."]),
    ("You’re ‘Number 27’?!", ["You're", "'", "Number", "27", "'", "?", "!"]),
    ("Mm-hmm . {vocalsound} Um", ["Mm-hmm", ".", "{vocalsound}", "Um"]),
    ("husband.[LAUGHTER]", ["husband", ".", "[LAUGHTER]"]),
    ("$1,000, or 2.5%", ["$", "1,000", ",", "or", "2.5", "%"]),
    ("wait\x97no\x85", ["wait", "--", "no", "..."]),
    ("I'll-  I guess", ["I'll", "-", "I", "guess"]),
    ("", []),
  ],
)
def test_words_stay_whole_and_marks_stand_alone(written, words):
  assert text.tokenise(written) == words


@pytest.mark.parametrize(
  ("word", "pieces"),
  [
    ("don't", ["do", "n't"]),
    ("You're", ["You", "'re"]),
    ("mm-hmm", ["mm", "hmm"]),
    ("[LAUGHTER]", ["LAUGHTER"]),
    ("oh.so", ["oh", "so"]),
    ("happy", []),
    ("...", []),
  ],
)
def test_compounds_fall_into_treebank_pieces(word, pieces):
  assert text.pieces(word) == pieces


def lexicon(written, words):
  vectors = text.WordVectors(
    2, {word: np.array([i, 1], np.float32) for i, word in enumerate(words, 1)}
  )
  return text.Lexicon(Counter(text.tokenise(written)), vectors)


def test_a_word_is_whole_where_the_vectors_have_it_whole():
  written = "I don't, Phoebe"
  whole = lexicon(written, ["i", "don't", "do", "n't"])
  assert whole.embed(written, "skip")[0] == ["i", "don't"]
  pieces = lexicon(written, ["i", "do", "n't", "Phoebe"])
  assert pieces.embed(written, "skip")[0] == ["i", "do", "n't", "Phoebe"]


def test_numbers_fall_back_on_the_number_token():
  assert lexicon("27", ["<number>"]).embed("27", "skip")[0] == ["<number>"]
  assert lexicon("27", ["27", "<number>"]).embed("27", "skip")[0] == ["27"]


def test_out_of_vocabulary_words_are_counted_and_skipped_or_zero():
  written = "i can't i sing, sing"
  # Tokens: i ca n't i sing , sing; without a vector: ca n't sing , sing.
  found = lexicon(written, ["i"])
  assert (found.tokens, found.oov_tokens, found.oov_types) == (7, 5, 4)
  words, rows = found.embed(written, "skip")
  assert words == ["i", "i"]
  np.testing.assert_array_equal(rows, [[1, 1], [1, 1]])
  words, rows = found.embed(written, "zero")
  assert words == ["i", "ca", "n't", "i", "sing", ",", "sing"]
  np.testing.assert_array_equal(rows.any(axis=1), [1, 0, 0, 1, 0, 0, 0])


def test_a_text_without_known_words_has_no_rows():
  words, rows = lexicon("uh", ["i"]).embed("uh", "skip")
  assert words == []
  assert rows.shape == (0, 2)


def test_vectors_are_read_whatever_the_variety_of_the_format(tmp_path):
  path = tmp_path / "vectors.txt"
  # A word2vec header, a trailing space, a word with spaces, a repeated word,
  # bytes that are no UTF-8.
  path.write_bytes(
    b"5 2\nhappy 1 2\nsad 3 4 \n. . 5 6\nhappy 9 9\n\xff\xfe 7 8\n"
  )
  vectors = text.read_word_vectors(path, {"happy", "sad", ". ."})
  assert vectors.dim == 2
  assert {k: v.tolist() for k, v in vectors.vectors.items()} == {
    "happy": [1, 2],
    "sad": [3, 4],
    ". .": [5, 6],
  }
  packed = tmp_path / "vectors.txt.gz"
  packed.write_bytes(gzip.compress(path.read_bytes()))
  assert text.read_word_vectors(packed, {"sad"}).vectors["sad"].tolist() == [
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
    text.read_word_vectors(path, {"happy", "sad"})


def test_only_wanted_words_are_kept(word_vectors):
  assert set(text.read_word_vectors(word_vectors, {"sad"}).vectors) == {"sad"}


def test_an_emotion_takes_the_first_word_that_has_a_vector():
  vectors = text.WordVectors(2, {"sad": np.array([1, 2], np.float32)})
  found = text.emotion_vectors(
    ("sadness", "disgust"),
    {"sadness": ("sadness", "sad"), "disgust": ("disgust",)},
    vectors,
  )
  assert found.words == ("sad", "")
  np.testing.assert_array_equal(found.vectors, [[1, 2], [0, 0]])
  assert text.without_vector(found) == ["disgust"]


def test_the_real_vectors_describe_themselves(data_dir):
  path = data_dir / "glove" / "glove.twitter.27B.25d.subset.txt"
  described = text.describe(path)
  assert (described["words"], described["dim"]) == (11925, 25)
