"""Which unlabelled utterances a run trains on, and how they fill its batches.

All draws are by seed; rows are row numbers of the corpus.
"""

import zlib

import numpy as np

from mmer_jax.data import pipeline, splits


def pool(rows: splits.Rows, fold: splits.Fold) -> np.ndarray:
  """The unlabelled rows that say nothing of what a fold holds out.

  Those of a speaker, a session or a split of the corpus that is there only in
  the fold's validation or test rows are left out.

  Args:
    rows: Of the corpus.
    fold: Of the labelled ones.

  Returns:
    Sorted rows.
  """
  kept = ~rows.labelled
  held_out = np.concatenate([fold.validation, fold.test])
  for column in (rows.speakers, rows.sessions, rows.splits):
    alone = np.setdiff1d(column[held_out], column[fold.train])
    kept = kept & ~np.isin(column, alone)
  return np.flatnonzero(kept)


def balance(
  rows: np.ndarray,
  classes: np.ndarray,
  *,
  per_class: int,
  rng: np.random.Generator,
) -> np.ndarray:
  """Takes as many rows of each class, by sub- and by over-sampling.

  Source: Liang et al. 2020, section 4.2.
  Deviation: a row of a rare class comes back as often as any other of it, to
  one; the paper does not say how it over-samples.

  Args:
    rows: To take from.
    classes: What a classifier takes each for.
    per_class: Of each class that was found at all.
    rng: Where the draw comes from.

  Returns:
    Rows in random order; those of a rare class more than once.
  """
  taken = []
  for found in np.unique(classes):
    mine = rows[classes == found]
    times, rest = divmod(per_class, len(mine))
    taken += [np.tile(mine, times), rng.choice(mine, rest, replace=False)]
  return rng.permutation(np.concatenate(taken)).astype(rows.dtype)


def beside(
  batches: np.ndarray, rows: np.ndarray, *, seed: int, stage: int, epoch: int
) -> np.ndarray:
  """Puts as many unlabelled rows behind those of every batch.

  An epoch is one of the labelled rows. It goes through the unlabelled ones in
  an order of its own, from the start again where they do not suffice.

  Args:
    batches: (steps, b).
    rows: The unlabelled ones; where there are none, fillers take their place.
    seed: Of the run.
    stage: Number of the stage, from 0.
    epoch: Number of the epoch, from 0.

  Returns:
    (steps, 2 b).
  """
  other = np.full(batches.size, pipeline.FILLER, np.int32)
  if len(rows):
    stream = zlib.crc32(b"unlabelled")
    rng = np.random.default_rng([seed, stream, stage, epoch])
    times = -(-batches.size // len(rows))
    orders = [rng.permutation(rows) for _ in range(times)]
    other = np.concatenate(orders)[: batches.size].astype(np.int32)
  return np.concatenate([batches, other.reshape(batches.shape)], axis=1)
