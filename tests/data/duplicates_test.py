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
