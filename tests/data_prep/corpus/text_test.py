"""Text to words, words to vectors."""

import unicodedata
from collections import Counter

import numpy as np
import pytest

from data_prep.corpus import text
from mmer_jax.data import word_vectors


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
  ("written", "words"),
  [
    ("a café, über", ["a", "café", ",", "über"]),
    ("ยิ้ม", ["ยิ้ม"]),
    ("मैं हिन्दी", ["मैं", "हिन्दी"]),
    ("क्\u200dष", ["क्\u200dष"]),
    ("don\u02bct don\u2019t", ["don't", "don't"]),
    ("\u02bbOkina", ["\u02bbOkina"]),
    ("x\u0323y", ["x\u0323y"]),
    ("\u2764\ufe0f ok", ["\u2764", "ok"]),
    ("one\u200btwo so\u00adft", ["one", "two", "soft"]),
  ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_marks_belong_to_words_however_text_is_composed(written, words, form):
  got = text.tokenise(unicodedata.normalize(form, written))
  assert got == [unicodedata.normalize("NFC", word) for word in words]


def test_words_and_vectors_meet_however_either_is_composed(tmp_path):
  path = tmp_path / "vectors.txt"
  path.write_text(unicodedata.normalize("NFD", "café 1 2\n"))
  (form,) = text.composed([unicodedata.normalize("NFD", "café")])
  vectors = word_vectors.read(path, {form})
  lexicon = text.Lexicon(Counter(text.tokenise("café")), vectors)
  assert lexicon.embed("cafe\u0301", "skip")[0] == ["café"]


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
  vectors = word_vectors.WordVectors(
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
  words, rows, _ = found.embed(written, "skip")
  assert words == ["i", "i"]
  np.testing.assert_array_equal(rows, [[1, 1], [1, 1]])
  words, rows, _ = found.embed(written, "zero")
  assert words == ["i", "ca", "n't", "i", "sing", ",", "sing"]
  np.testing.assert_array_equal(rows.any(axis=1), [1, 0, 0, 1, 0, 0, 0])


def test_a_text_without_known_words_has_no_rows():
  words, rows, _ = lexicon("uh", ["i"]).embed("uh", "skip")
  assert words == []
  assert rows.shape == (0, 2)


def test_an_emotion_takes_the_first_word_that_has_a_vector():
  vectors = word_vectors.WordVectors(2, {"sad": np.array([1, 2], np.float32)})
  found = text.emotion_vectors(
    ("sadness", "disgust"),
    {"sadness": ("sadness", "sad"), "disgust": ("disgust",)},
    vectors,
  )
  assert found.words == ("sad", "")
  np.testing.assert_array_equal(found.vectors, [[1, 2], [0, 0]])
  assert text.without_vector(found) == ["disgust"]
