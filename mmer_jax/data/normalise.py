"""Shards to batches: what is resident, what streams, and in which order.

Which rows make up which batch is decided here, on the host, from (seed,
stage, epoch) alone: an index per row, -1 where a row only fills the batch. The
resident path gathers those rows inside the compiled program, the streaming
path reads them from the shards; both see the same batches.

Row i in role s is number i + s n, of n utterances: one utterance can take part
with the labels of the source emotions and, drawn into a sample, with that of
a new one.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from mmer_jax.data import schema, tables


def normalise(
  batch: schema.Batch, mean: dict[str, Any], scale: dict[str, Any]
) -> schema.Batch:
  """Subtracts the mean and divides by the deviation; padding stays zero."""
  streams = dict(batch.streams)
  for modality in mean:
    stream = streams[modality]
    centred = (stream.features - mean[modality][None, None, :]) * scale[
      modality
    ][None, None, :]
    streams[modality] = stream.replace(
      features=jnp.where(stream.mask[..., None], centred, 0.0)
    )
  return batch.replace(streams=streams)


def keep_modalities(
  batch: schema.Batch, keep: dict[str, bool | Bool[Array, ""]]
) -> schema.Batch:
  """Makes the modalities absent that are not to be kept.

  Args:
    batch: Utterances.
    keep: Modality name to whether; one that is not named is kept.
  """
  streams, present = dict(batch.streams), dict(batch.present)
  for modality, kept in keep.items():
    stream = streams[modality]
    streams[modality] = schema.Stream(
      jnp.where(kept, stream.features, 0.0), stream.mask & kept
    )
    present[modality] = present[modality] & kept
  return batch.replace(streams=streams, present=present)


def statistics(
  table: tables.Table, rows: np.ndarray, modality: str
) -> tuple[np.ndarray, np.ndarray]:
  """Mean and standard deviation of every column over the real frames.

  Two passes in float64, a few thousand utterances at a time.

  Args:
    table: The features.
    rows: The training rows.
    modality: Whose columns.

  Returns:
    Mean and population standard deviation, (d,) float64. Zeros and ones
    where no row has the modality.
  """

  def total(fn: Callable[[np.ndarray], Any]) -> Any:
    parts = []
    for start in range(0, len(rows), tables.PASS_ROWS):
      stream = table.take(rows[start : start + tables.PASS_ROWS]).streams[
        modality
      ]
      frames = np.asarray(stream.features, np.float64)[stream.mask]
      parts.append(fn(frames))
    return np.sum(parts, axis=0)

  count = total(len)
  dim = table.take(rows[:1]).streams[modality].features.shape[-1]
  if count == 0:
    return np.zeros(dim), np.ones(dim)
  mean = total(lambda frames: frames.sum(axis=0)) / count
  variance = total(lambda frames: np.square(frames - mean).sum(axis=0)) / count
  return mean, np.sqrt(variance)


def inverse_deviation(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
  """1 / std, and 1 where a column is constant to float32's rounding."""
  constant = std <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
  return np.where(constant, 1.0, 1.0 / np.where(constant, 1.0, std))
