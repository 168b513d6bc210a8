"""Draws the few training rows of a new emotion, and a memory of past ones.

All draws are by seed and without replacement; rows are row numbers of the
corpus, with their role where they have one (see `batches`).
"""

import math
from collections.abc import Sequence

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import schema


def sample(
  labels: np.ndarray,
  rows: np.ndarray,
  *,
  share: float,
  emotion: str,
  rng: np.random.Generator,
) -> np.ndarray:
  """Draws a share of an emotion's positives and as many negatives.

  Source: Dai et al. 2020, section 4.2.
  Deviation: none. (Their code keeps the first ceil(1 %) + 1 positives and all
  negatives.)

  Args:
    labels: (n,) of the emotion, of every row of the corpus.
    rows: The rows to draw from, the training side of a fold.
    share: How much of the positives is drawn, rounded up.
    emotion: Its name, for a message.
    rng: The generator of the draw.

  Returns:
    Sorted rows.

  Raises:
    UserError: There is nothing to draw, or too little.
  """
  positives = rows[labels[rows] > 0]
  negatives = rows[labels[rows] == 0]
  count = math.ceil(share * len(positives))
  if not count or len(negatives) < count:
    raise errors.UserError(
      f"config.protocol.unseen names {emotion!r}, which has {len(positives)}"
      f" positive and {len(negatives)} negative training utterances, expected"
      f" at least {max(count, 1)} of each; choose another emotion or fold"
    )
  return np.sort(
    np.concatenate(
      [
        rng.choice(positives, count, replace=False),
        rng.choice(negatives, count, replace=False),
      ]
    )
  )


def balanced(
  labels: np.ndarray, rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """Draws as many positives as negatives, as many as the rarer has."""
  positives, negatives = rows[labels[rows] > 0], rows[labels[rows] == 0]
  count = min(len(positives), len(negatives))
  return np.concatenate(
    [
      rng.choice(positives, count, replace=False),
      rng.choice(negatives, count, replace=False),
    ]
  )


def memory(
  tasks: Sequence[np.ndarray],
  *,
  size: int,
  slots: int,
  rng: np.random.Generator,
) -> np.ndarray:
  """Keeps some rows of each task.

  Args:
    tasks: The rows of each task, with their role.
    size: The most rows that are kept of a task.
    slots: The places that each task has; `size` at least.
    rng: The generator of the draw.

  Returns:
    (t, slots), filled with `schema.PAD_ROW`.
  """
  kept = np.full((len(tasks), slots), schema.PAD_ROW, np.int32)
  for task, rows in enumerate(tasks):
    chosen = rng.choice(rows, min(size, len(rows)), replace=False)
    kept[task, : len(chosen)] = np.sort(chosen)
  return kept


def with_memory(batches: np.ndarray, kept: np.ndarray) -> np.ndarray:
  """Puts a memory behind each batch, as groups of one size.

  Args:
    batches: (steps, b).
    kept: (t, slots) with slots at least b.

  Returns:
    (steps, (1 + t) slots): the batch's group, then the memory's.
  """
  steps, width = batches.shape
  slots = kept.shape[1]
  own = np.full((steps, slots), schema.PAD_ROW, np.int32)
  own[:, :width] = batches
  again = np.broadcast_to(kept.reshape(1, -1), (steps, kept.size))
  return np.concatenate([own, again], axis=1)


def slots(batch_size: int, memory_size: int) -> int:
  """Computes the rows of a group: whole batches that hold a task's memory."""
  return batch_size * max(1, math.ceil(memory_size / batch_size))
