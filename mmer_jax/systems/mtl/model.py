"""The network of MTL: inter-modal attention over sequences with context."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import gru, layers, masked
from mmer_jax.data import schema
from mmer_jax.systems import interface


def attend(
  own: Float[Array, "b t e"],
  other: Float[Array, "b s e"],
  other_mask: Bool[Array, "b s"],
) -> Float[Array, "b t e"]:
  """Attends to another modality, gated by one's own features.

  M = X Y', N = softmax(M) over the steps of Y, O = N Y, A = O * X.

  Source: Akhtar et al. 2019, section 3.1 (contextual inter-modal attention),
    after Ghosal et al. 2018.
  Deviation: written from memory. Padding of Y has no weight; where all of it
    is padding, A is zeros.
  """
  matches = jnp.einsum("bte,bse->bts", own, other)
  weights = jax.nn.softmax(matches, axis=-1, where=other_mask[:, None, :])
  return own * jnp.einsum("bts,bse->bte", weights, other)


class Mtl(nn.Module):
  """Encodes modalities, lets each attend to each other one, and classifies.

  Source: Akhtar et al. 2019: a bidirectional GRU and a dense layer a modality,
    `attend` for both orders of every pair, the dense layers' output beside it
    as a residual.
  Deviation: the sequence is an utterance's own words or frames; in the paper
    it is the utterances of a video, of which a batch here knows nothing. So
    what is attended is averaged over the real steps, where the paper has one
    step an utterance, and streams need not be aligned. Emotions alone are
    predicted, without the sentiment beside them. The dense layer is tanh.

  Attributes:
    hidden: Width of one direction of every GRU.
    width: Columns of the dense layers.
    classifier: Hidden units before the scores.
    dropout: Rate behind every GRU, dense layer and hidden layer.
    dtype: Dtype of the matmuls.
  """

  hidden: int
  width: int
  classifier: int
  dropout: float
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
    names = sorted(batch.streams)
    *keys, last = layers.split_key(key, len(names) + 1)
    masks = {name: batch.streams[name].mask for name in names}
    encoded = {
      name: self._encode(name, batch.streams[name], each)
      for name, each in zip(names, keys, strict=True)
    }
    parts = []
    for name in names:
      read = [
        attend(encoded[name], encoded[other], masks[other])
        for other in names
        if other != name
      ]
      steps = jnp.concatenate([encoded[name], *read], axis=-1)
      parts.append(masked.mean_over_steps(steps, masks[name]))
    joined = jnp.concatenate(parts, axis=-1)
    hidden = layers.Linear(self.classifier, dtype=self.dtype, name="hidden")
    hidden = layers.dropout(jax.nn.relu(hidden(joined)), self.dropout, last)
    out = layers.Linear(len(emotions), name="out")
    return interface.Prediction(out(hidden))

  def _encode(
    self, name: str, stream: schema.Stream, key: PRNGKeyArray | None
  ) -> Float[Array, "b t e"]:
    """Gives every step its context."""
    keys = layers.split_key(key, 2)
    states = gru.BiGru(self.hidden, self.dtype, name=f"gru_{name}")(
      stream.features, stream.mask
    )
    states = layers.dropout(states, self.dropout, keys[0])
    dense = layers.Linear(self.width, dtype=self.dtype, name=f"dense_{name}")
    return layers.dropout(jnp.tanh(dense(states)), self.dropout, keys[1])
