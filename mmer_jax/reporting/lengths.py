r"""How long utterances are, and how long their words: histograms of shards.

Example:
  python -m mmer_jax.lengths --data_dir=data/iemocap4 --out=figures

Words and acoustic frames of every utterance and, where the shards say which
word a frame belongs to, frames of every word: Aguilar et al. 2019, appendix A,
which takes config.data.max_length and config.model.word_frames from them.
Writes OUT/lengths.json, .svg and .png. Needs matplotlib: pip install
'mmer_jax[report]'.
"""

import pathlib
from typing import Any

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import shards


def lengths(folder: pathlib.Path) -> dict[str, Any]:
  """Counts the lengths of a shard folder.

  Returns:
    For JSON: `counts`, by what is counted how many have length 0, 1, ...;
    `summary` with the mean, the sample standard deviation and the number; an
    utterance without the modality has no length.

  Raises:
    UserError: The folder holds neither modality.
  """
  found: dict[str, list[int]] = {
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
        found[name].append(len(example[modality]))
    word = np.asarray(example.get("acoustic_word", ()), int)
    counts = np.bincount(word[word >= 0])
    found["frames_per_word"] += counts[counts > 0].tolist()
  found = {name: values for name, values in found.items() if values}
  if not found:
    raise errors.UserError(
      f"{folder} has neither words nor acoustic frames, expected one of them;"
      " use other shards"
    )
  return {
    "figure": "lengths",
    "counts": {
      name: np.bincount(values).tolist() for name, values in found.items()
    },
    "summary": {
      name: {
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        "n": len(values),
      }
      for name, values in found.items()
    },
  }
