"""Frames of sound and the words they are in."""

import pickle

import numpy as np
import pytest

from data_prep.corpus import corpus as corpus_lib
from data_prep.features import alignment
from mmer_jax.base.errors import UserError
from tests.data_prep.conftest import make_corpus, make_example


def test_a_frame_is_in_the_word_that_holds_its_middle():
  # Middles at 5, 15, 25, ... ms. The end is not a part of the word.
  word = alignment.word_of_frames(8, 100, [0.0, 0.025, 0.06], [0.02, 0.05, 0.9])
  np.testing.assert_array_equal(word, [0, 0, 1, 1, 1, -1, 2, 2])
  assert word.dtype == np.int32
  # Frames that begin later, at another rate: middles at 0.11, 0.13, ...
  word = alignment.word_of_frames(3, 50, [0.0, 0.12], [0.115, 0.14], first=0.1)
  np.testing.assert_array_equal(word, [0, 1, -1])
  assert alignment.word_of_frames(0, 100, [0.0], [1.0]).shape == (0,)


@pytest.mark.parametrize("seed", range(4))
def test_whole_frames_are_those_of_a_plain_loop(seed):
  rng = np.random.default_rng(seed)
  borders = np.sort(rng.choice(700, 24, replace=False))
  first, last = borders[::2], borders[1::2]
  expected = np.full(650, -1)
  for frame in range(650):
    for number in range(12):
      if first[number] <= frame <= last[number]:
        expected[frame] = number
  word = alignment.word_of_frames(650, 100, first * 0.01, (last + 1) * 0.01)
  np.testing.assert_array_equal(word, expected)


def test_the_word_that_is_named_first_has_the_frame():
  word = alignment.word_of_frames(4, 100, [0.01, 0.0], [0.03, 0.04])
  np.testing.assert_array_equal(word, [1, 0, 0, 1])
  # Before the sound, behind it, and one that ends before it starts.
  word = alignment.word_of_frames(3, 100, [-1.0, 5.0, 0.02], [-0.5, 6.0, 0.01])
  np.testing.assert_array_equal(word, [-1, -1, -1])


def test_frames_find_the_first_row_of_their_word():
  # The words 0, 1 (in two pieces), 2 (left out), 3.
  tokens = np.array([0, 1, 1, 3], np.int32)
  word = np.array([-1, 0, 1, 1, 2, 3, 5, -1], np.int32)
  rows = alignment.rows_of_frames(word, tokens)
  np.testing.assert_array_equal(rows, [-1, 0, 1, 1, -1, 3, -1, -1])
  assert rows.dtype == np.int32
  nothing = alignment.rows_of_frames(word, np.zeros(0, np.int32))
  np.testing.assert_array_equal(nothing, np.full(8, -1))


def test_means_by_word_are_those_of_a_plain_loop():
  rng = np.random.default_rng(0)
  frames = rng.normal(5, 2, (40, 3)).astype(np.float32)
  word = rng.integers(-1, 6, 40).astype(np.int32)
  word[word == 4] = 3
  means, counts = alignment.mean_by_word(frames, word, 7)
  assert means.shape == (7, 3) and means.dtype == np.float32
  for number in range(7):
    own = [frames[i] for i in range(40) if word[i] == number]
    assert counts[number] == len(own)
    expected = np.mean(own, axis=0) if own else np.zeros(3)
    np.testing.assert_allclose(means[number], expected, rtol=1e-5)


def spoken(number):
  """Three words, the last without a frame; the second utterance is silent."""
  word = np.array([[0, 1, -1, 0, 1], [-1] * 5][number], np.int32)
  example = make_example(
    str(number), np.arange(10.0).reshape(5, 2) + 1, acoustic_word=word
  )
  example.streams["lexical"] = np.ones((3, 4), np.float32)
  return example


def corpus_of_words(**changes):
  lexical = corpus_lib.Modality(tuple("abcd"), "none")
  acoustic = corpus_lib.Modality(("pitch", "energy"), "none", 100.0)
  return make_corpus(
    [spoken(0), spoken(1)],
    modalities={"lexical": lexical, "acoustic": acoustic},
    has_acoustic_word=True,
    **changes,
  )


def test_words_become_acoustic_rows(write_corpus):
  corpus = alignment.by_word(corpus_of_words(make=spoken))
  manifest, examples = write_corpus(corpus)
  # Frames 0 and 3, 1 and 4; the zeros of the third word are padding.
  np.testing.assert_array_equal(examples["0"]["acoustic"], [[4, 5], [6, 7]])
  assert examples["1"]["acoustic"].shape == (0, 2)
  assert len(examples["0"]["lexical"]) == 3
  assert "acoustic_word" not in examples["0"]
  assert manifest["modalities"]["acoustic"]["padding"] == "zero_rows"
  assert manifest["converter"]["options"]["acoustic_rows"] == "words"
  assert "acoustic" not in manifest["identity"]["frame_rate_hz"]
  made = pickle.loads(pickle.dumps(corpus.make))(0)
  (expected, _) = corpus.examples()
  for name, rows in expected.streams.items():
    np.testing.assert_array_equal(made.streams[name], rows)


def test_without_the_words_of_frames_there_are_no_rows_of_words():
  with pytest.raises(UserError, match="nothing says which words"):
    alignment.by_word(make_corpus([spoken(0)]))
