"""Draws for each utterance of a batch one of another emotion.

All draws are by seed; rows are row numbers of the corpus.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from mmer_jax.data import schema


def wanted(
  pairs: Sequence[tuple[str, str]], emotions: Sequence[str]
) -> np.ndarray:
  """Tells which emotions (columns) may be negatives of each (row), (k, k).

  Args:
    pairs: Emotions that are each other's negatives; empty where every other
      emotion is one.
    emotions: Names, in the order of the labels.
  """
  if not pairs:
    return ~np.eye(len(emotions), dtype=bool)
  allowed = np.zeros((len(emotions), len(emotions)), bool)
  for a, b in pairs:
    i, j = list(emotions).index(a), list(emotions).index(b)
    allowed[i, j] = allowed[j, i] = True
  return allowed


def append_negatives(
  batches: np.ndarray,
  rows: np.ndarray,
  labels: np.ndarray,
  allowed: np.ndarray,
  *,
  seed: int,
  stage: int,
  epoch: int,
) -> np.ndarray:
  """Puts a negative of each row behind the rows of every batch.

  Source: Aguilar et al. 2019, Algorithm 1, GETNEGSAMPLES.
  Deviation: none.

  Args:
    batches: (steps, b).
    rows: The training rows of a fold, drawn from with replacement.
    labels: (n, k) one-hot, of every row of the corpus.
    allowed: The emotions of the negatives, from `wanted`.
    seed: Of the run.
    stage: Number of the stage, from 0.
    epoch: Number of the epoch, from 0.

  Returns:
    (steps, 2 b); `schema.PAD_ROW` where a row is one or has no negative.
  """
  stream = zlib.crc32(b"negatives")
  rng = np.random.default_rng([seed, stream, stage, epoch])
  drawn = np.full_like(batches, schema.PAD_ROW)
  classes = labels.argmax(axis=1)
  real = batches != schema.PAD_ROW
  for own, others in enumerate(allowed):
    places = real & (classes[np.where(real, batches, 0)] == own)
    candidates = rows[others[classes[rows]]]
    if len(candidates):
      drawn[places] = rng.choice(candidates, places.sum())
  return np.concatenate([batches, drawn], axis=1)
