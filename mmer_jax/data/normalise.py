"""Standardises features by statistics of the training rows."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from mmer_jax.data import schema, tables


def normalise(
  batch: schema.Batch, mean: dict[str, Any], scale: dict[str, Any]
) -> schema.Batch:
  """Subtracts the mean and multiplies by the scale; padding stays zero."""
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
  batch: schema.Batch, visible_modalities: dict[str, bool | Bool[Array, ""]]
) -> schema.Batch:
  """Makes the modalities absent that are not to be visible.

  Args:
    batch: Utterances.
    visible_modalities: Modality name to whether the system may see it; one
      that is not named stays visible.
  """
  streams, present = dict(batch.streams), dict(batch.present)
  for modality, visible in visible_modalities.items():
    stream = streams[modality]
    streams[modality] = schema.Stream(
      jnp.where(visible, stream.features, 0.0), stream.mask & visible
    )
    present[modality] = present[modality] & visible
  return batch.replace(streams=streams, present=present)


def statistics(
  table: tables.Table, rows: np.ndarray, modality: str
) -> tuple[np.ndarray, np.ndarray]:
  """Computes mean and standard deviation of every column over real frames.

  Two passes in float64, a few thousand utterances at a time.

  Args:
    table: The features.
    rows: The training rows.
    modality: The modality whose columns are described.

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
  """Computes 1 / std, and 1 where a column is constant in float32."""
  constant = std <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
  return np.where(constant, 1.0, 1.0 / np.where(constant, 1.0, std))
