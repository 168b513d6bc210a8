"""Cuts the rows of an epoch into batches, in an order drawn by seed.

Which rows make up which batch is decided here, on the host, from (seed,
stage, epoch) alone: an index per row, -1 where a row only fills the batch. The
resident path gathers those rows inside the compiled program, the streaming
path reads them from the shards; both see the same batches.

Row i in role s is number i + s n, of n utterances: one utterance can take part
with the labels of the emotions trained first and, drawn into a sample, with
that of a new one.
"""

import concurrent.futures
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mmer_jax.data import schema


def epoch_rows(
  rows: np.ndarray, batch_size: int, *, seed: int, stage: int, epoch: int
) -> np.ndarray:
  """Shuffles the training rows of one run into the batches of one epoch.

  Args:
    rows: Row numbers of the training split.
    batch_size: Rows per batch.
    seed: Of the run.
    stage: Number of the stage, from 0.
    epoch: Number of the epoch, from 0.

  Returns:
    (steps, batch) row numbers; the last batch is filled with `schema.PAD_ROW`.
  """
  stream = zlib.crc32(b"order")
  order = np.random.default_rng([seed, stream, stage, epoch]).permutation(rows)
  return in_batches(order, batch_size)


def in_batches(rows: np.ndarray, batch_size: int) -> np.ndarray:
  """Cuts rows into (steps, batch), filling the last batch."""
  steps = max(-(-len(rows) // batch_size), 1)
  batches = np.full(steps * batch_size, schema.PAD_ROW, np.int32)
  batches[: len(rows)] = rows
  return batches.reshape(steps, batch_size)


def stack_runs(batches: Sequence[np.ndarray], steps: int = 0) -> np.ndarray:
  """Stacks the runs' batches to (r, steps, batch), the short ones filled.

  Args:
    batches: (steps, batch) of each run; the steps may differ.
    steps: At least so many, where the caller wants whole chunks.
  """
  steps = max(steps, *(len(rows) for rows in batches))
  width = batches[0].shape[1]
  stacked = np.full((len(batches), steps, width), schema.PAD_ROW, np.int32)
  for run, rows in enumerate(batches):
    stacked[run, : len(rows)] = rows
  return stacked


def prefetch(items: Iterator[Any], make: Callable[[Any], Any]) -> Iterator[Any]:
  """Makes the next item in a thread while the caller uses this one."""
  with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
    waiting = None
    for item in items:
      following = pool.submit(make, item)
      if waiting is not None:
        yield waiting.result()
      waiting = following
    if waiting is not None:
      yield waiting.result()
