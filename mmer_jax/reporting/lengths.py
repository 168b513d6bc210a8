"""Counts how long the utterances and the words of shards are."""

import pathlib
from typing import Any

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import shards


def lengths(folder: pathlib.Path) -> dict[str, Any]:
  """Counts the lengths in a shard folder.

  Source: Aguilar et al. 2019, appendix A.

  Returns:
    For JSON: `counts`, by what is counted how many have length 0, 1, ...;
    `summary` with the mean, the sample standard deviation and the number; an
    utterance without the modality has no length.

  Raises:
    UserError: The folder holds neither modality.
  """
  values: dict[str, list[int]] = {
    "frames_per_utterance": [],
    "words_per_utterance": [],
    "frames_per_word": [],
  }
  for _, example in shards.read_examples(folder):
    for name, modality in (
      ("frames_per_utterance", "acoustic"),
      ("words_per_utterance", "lexical"),
    ):
      if len(example.get(modality, ())):
        values[name].append(len(example[modality]))
    word = np.asarray(example.get("acoustic_word", ()), int)
    counts = np.bincount(word[word >= 0])
    values["frames_per_word"] += counts[counts > 0].tolist()
  values = {name: each for name, each in values.items() if each}
  if not values:
    raise errors.UserError(
      f"{folder} has neither words nor acoustic frames, expected one of them;"
      " use other shards"
    )
  return {
    "figure": "lengths",
    "counts": {
      name: np.bincount(each).tolist() for name, each in values.items()
    },
    "summary": {name: _summary(each) for name, each in values.items()},
  }


def _summary(values: list[int]) -> dict[str, float | int]:
  return {
    "mean": float(np.mean(values)),
    "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
    "n": len(values),
  }
