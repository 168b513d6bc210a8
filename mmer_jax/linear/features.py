"""Makes what linear baselines read of an utterance: its words, functionals."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import shards, tables


def read_words(folder: pathlib.Path) -> list[tuple[str, ...]]:
  """Reads the words of every utterance, in the order of the shards.

  Raises:
    UserError: The shards hold no words.
  """
  words = []
  for _, example in shards.read_examples(folder):
    if "words" not in example:
      raise errors.UserError(
        f'config.model.features has "tfidf", which counts words, but {folder}'
        " holds none, vectors of them at most; convert a source with"
        ' transcripts, or set config.model.features to ("functionals",)'
      )
    words.append(
      tuple(
        (word.decode() if isinstance(word, bytes) else str(word)).lower()
        for word in example["words"]
      )
    )
  return words


def ngrams(longest: int) -> Callable[[Sequence[str]], list[str]]:
  """Makes the function that lists all runs of words of an utterance.

  Args:
    longest: How many words the longest run has.
  """

  def of(words: Sequence[str]) -> list[str]:
    return [
      " ".join(words[start : start + length])
      for length in range(1, longest + 1)
      for start in range(len(words) - length + 1)
    ]

  return of


def functionals(
  frames: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Computes mean, deviation, minimum and maximum of each column over frames.

  Args:
    frames: (n, t, d).
    mask: (n, t) bool, True on real frames.

  Returns:
    (n, 4 d) float64, zeros where an utterance has no frame; and (n,) whether
    it has one.
  """
  present = mask.any(axis=1)
  real = mask[:, :, None]
  values = frames.astype(np.float64)
  count = np.maximum(mask.sum(axis=1), 1)[:, None]
  mean = np.where(real, values, 0).sum(axis=1) / count
  squares = np.where(real, (values - mean[:, None]) ** 2, 0).sum(axis=1)
  low = np.where(real, values, np.inf).min(axis=1)
  high = np.where(real, values, -np.inf).max(axis=1)
  made = np.concatenate([mean, np.sqrt(squares / count), low, high], axis=1)
  return np.where(present[:, None], made, 0.0), present


def read_functionals(
  corpus: corpus_lib.Corpus,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Computes the functionals of every utterance and modality of a corpus.

  Of a modality that has one frame an utterance, its frame is all there is.

  Returns:
    Modality name to (n, columns) and to (n,) whether the utterance has it.
  """
  blocks: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {
    name: [] for name in corpus.shapes
  }
  count = len(corpus.labels)
  for start in range(0, count, tables.PASS_ROWS):
    rows = np.arange(start, min(start + tables.PASS_ROWS, count))
    batch = corpus.table.take(rows.astype(np.int32))
    for name, parts in blocks.items():
      stream = batch.streams[name]
      parts.append(
        functionals(np.asarray(stream.features), np.asarray(stream.mask))
      )
  made = {}
  for name, parts in blocks.items():
    values, present = (
      np.concatenate(each) for each in zip(*parts, strict=True)
    )
    frames, columns = corpus.shapes[name]
    made[name] = (values[:, :columns] if frames == 1 else values, present)
  return made
