"""The networks of the two LSTM baselines."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.base import errors
from mmer_jax.core import layers, lstm
from mmer_jax.data import schema
from mmer_jax.systems import interface


class EarlyFusion(nn.Module):
  """Reads the modalities side by side, step by step, with one LSTM.

  Source: Dai et al. 2020, section 5.4 (EF-LSTM); published code.
  Deviation: a step is padding where every modality is; the published code
    has no mask.

  Attributes:
    hidden: Width of one direction.
    layers: LSTM layers.
    dropout: Rate of the dropout between them.
    bidirectional: Whether the LSTM runs both ways.
    modalities: Those that are concatenated, in this order.
    dtype: Dtype of the matmuls.
  """

  hidden: int
  layers: int
  dropout: float
  bidirectional: bool
  modalities: tuple[str, ...]
  dtype: str

  @nn.compact
  def __call__(
    self,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    *,
    key: PRNGKeyArray | None,
  ) -> interface.Prediction:
    """Scores as many emotions as `emotions` has rows."""
    frames, mask = align(batch, self.modalities)
    read = lstm.BiLSTM(
      hidden=self.hidden,
      layers=self.layers,
      dropout=self.dropout,
      readout="last",
      bidirectional=self.bidirectional,
      dtype=self.dtype,
      name="encoder",
    )(frames, mask, key=key)
    joined = jnp.concatenate([read.forward, read.backward], axis=-1)
    out = layers.Linear(emotions.shape[0], name="out")
    return interface.Prediction(out(joined))


class LateFusion(nn.Module):
  """Reads each modality with its own LSTM; a linear layer reads them all.

  Source: Dai et al. 2020, section 5.4 (LF-LSTM); published code.
  Deviation: an absent modality reads as zeros.

  Attributes:
    hidden: Modality name to the width of one direction.
    layers: LSTM layers.
    dropout: Rate of the dropout between them.
    bidirectional: Whether the LSTMs run both ways.
    dtype: Dtype of the matmuls.
  """

  hidden: Mapping[str, int]
  layers: int
  dropout: float
  bidirectional: bool
  dtype: str

  @nn.compact
  def __call__(
    self,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    *,
    key: PRNGKeyArray | None,
  ) -> interface.Prediction:
    """Scores as many emotions as `emotions` has rows."""
    parts = []
    for index, (modality, width) in enumerate(sorted(self.hidden.items())):
      stream = batch.streams[modality]
      read = lstm.BiLSTM(
        hidden=width,
        layers=self.layers,
        dropout=self.dropout,
        readout="last",
        bidirectional=self.bidirectional,
        dtype=self.dtype,
        name=f"encoder_{modality}",
      )(
        stream.features,
        stream.mask,
        key=None if key is None else jax.random.fold_in(key, index),
      )
      parts += [read.forward, read.backward]
    joined = jnp.concatenate(parts, axis=-1)
    out = layers.Linear(emotions.shape[0], name="out")
    return interface.Prediction(out(joined))


def align(
  batch: schema.Batch, modalities: tuple[str, ...]
) -> tuple[Float[Array, "b t d"], Bool[Array, "b t"]]:
  """Puts the modalities side by side at every step.

  A stream of one frame (features of a whole utterance) is repeated over the
  real steps of the others.

  Args:
    batch: Word-aligned streams of equal length, or of length one.
    modalities: In this order.

  Returns:
    Features, and True where any modality is real.

  Raises:
    UserError: The lengths differ.
  """
  streams = {name: batch.streams[name] for name in modalities}
  lengths = {name: stream.mask.shape[1] for name, stream in streams.items()}
  longest = max(lengths.values())
  if set(lengths.values()) - {1, longest}:
    shown = ", ".join(f"{name} {t}" for name, t in lengths.items())
    raise errors.UserError(
      f"ef_lstm needs aligned streams of one length, got {shown} frames; use"
      " word-aligned shards, set config.data.max_length alike, or use lf_lstm"
    )
  long = [s.mask for s in streams.values() if s.mask.shape[1] == longest]
  steps = jnp.stack(long).any(axis=0)
  # Where nothing but the repeated streams is there, they stand for one step.
  alone = ~steps.any(axis=1, keepdims=True)
  steps = steps | (alone & (jnp.arange(longest) == 0)[None, :])
  features, masks = [], []
  for stream in streams.values():
    mask, frames = stream.mask, stream.features
    if mask.shape[1] != longest:
      mask = jnp.broadcast_to(mask, steps.shape) & steps
      frames = jnp.broadcast_to(frames, (*steps.shape, frames.shape[-1]))
    features.append(jnp.where(mask[..., None], frames, 0.0))
    masks.append(mask)
  return jnp.concatenate(features, axis=-1), jnp.stack(masks).any(axis=0)
