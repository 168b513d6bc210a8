"""Utterances that stand on two sides of a split."""

import numpy as np

from mmer_jax.data import duplicates


def example(words, frames=()):
  lexical = np.ones((len(words.split()), 2), np.float32)
  return {
    "words": [word.encode() for word in words.split()],
    "lexical": lexical,
    "acoustic": np.array(frames, np.float32).reshape(-1, 2),
  }


def keys(*examples):
  return [
    duplicates.keys_of(each, ["lexical", "acoustic"]) for each in examples
  ]


def test_texts_and_features_on_two_sides_are_counted():
  made = keys(
    example("yes", [1, 2]),
    example("i do not know you", [3, 4]),
    example("yes", [5, 6]),
    example("i do not know you", [1, 2]),
    example("yes"),
    example("no", [7, 8]),
  )
  sides = ["train", "train", "test", "test", "test", ""]
  assert duplicates.count_shared(made, sides) == {
    "text": {"train in test": [2, 2], "test in train": [3, 3]},
    "text of 5 words or more": {
      "train in test": [1, 1],
      "test in train": [1, 1],
    },
    "acoustic": {"train in test": [1, 2], "test in train": [1, 2]},
  }


def test_without_splits_other_sessions_are_looked_at():
  made = keys(example("a"), example("a"), example("b"), example("b"))
  counts = duplicates.count_elsewhere(made, ["1", "2", "3", "3"])
  assert counts == {"text": [2, 4]}
  assert duplicates.count_elsewhere(made, ["1", "1", "2", "2"]) == {}


def test_texts_that_the_training_knows_are_counted_by_hand():
  made = keys(
    example("yes"),
    example("i do not know you"),
    example("i do not know you"),
    example("yes"),
    example("and what do you know"),
    example(""),
  )
  assert duplicates.count_texts(made, [2, 3, 4, 5], [0, 1]) == {
    "all": {"shared": 2, "utterances": 3},
    "five_words_or_more": {"shared": 1, "utterances": 2},
  }
  # Short texts alone, none at all, nothing trained on.
  assert duplicates.count_texts(made, [3], [0])["five_words_or_more"] == {
    "shared": 0,
    "utterances": 0,
  }
  assert duplicates.count_texts(made, [5], [0, 1]) == {}
  assert duplicates.count_texts(made, [2], [])["all"]["shared"] == 0
