"""The networks of M3ER: a memory fusion network, and fusion by confidence."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mmer_jax.core import layers
from mmer_jax.core import multiplicative as multiplicative_lib
from mmer_jax.data import schema
from mmer_jax.systems import interface, memory_fusion, multiplicative


class MemoryFusion(memory_fusion.MemoryFusion):
  """Attends to the cells of two consecutive steps, and remembers them.

  Source: Zadeh et al. 2018a (MFN), as Mittal et al. 2020, section 4.2, use it.
  Deviation: the memory does not feed the LSTMs, as in MFN; the text of section
    4.2 says that it does. Else that of `memory_fusion.MemoryFusion`.

  Attributes:
    attention: Hidden units of the attention's network.
  """

  attention: int

  def look(
    self,
    before: Float[Array, "t b c"],
    now: Float[Array, "t b c"],
    *,
    key: PRNGKeyArray | None,
  ) -> Float[Array, "t b s"]:
    """Weighs every cell by a softmax over all of them."""
    both = jnp.concatenate([before, now], axis=-1)
    scores = self.network(
      "attention", both, self.attention, both.shape[-1], key
    )
    return jax.nn.softmax(scores, axis=-1) * both


class M3er(nn.Module):
  """Fuses the last states of the memory fusion network by confidence.

  Source: Mittal et al. 2020, section 4.2 and Eq. 3.
  Deviation: the paper does not say how the states become one vector: their sum
    by the weights of `core.multiplicative.modality_weights`, or their
    element-wise product. One linear layer predicts from each state alone.

  Attributes:
    encoder: The memory fusion network.
    fusion: `weighted_sum` or `product`.
    settings: Those of the multiplicative loss, whose beta the weights share.
    decision: `binary` or `softmax`.
    classifier: Width of the hidden layer.
  """

  encoder: memory_fusion.MemoryFusion
  fusion: str
  settings: multiplicative.Settings
  decision: str
  classifier: int

  @nn.compact
  def __call__(
    self,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    *,
    key: PRNGKeyArray | None,
  ) -> interface.Prediction:
    """Scores every emotion, fused and by modality."""
    keys = [None] * 2 if key is None else jax.random.split(key, 2)
    states, memory = self.encoder(batch.streams, key=keys[0])
    scores = {
      name: layers.Linear(len(emotions), name=f"head_{name}")(states[name])
      for name in sorted(states)
    }
    weights = multiplicative.fuse(self.settings, self.decision, scores, batch)
    if self.fusion == "product":
      present = {name: batch.present[name] for name in states}
      fused = multiplicative_lib.product(states, present)
    else:
      fused = multiplicative_lib.weighted_sum(states, weights)
    joined = jnp.concatenate([fused, memory], axis=-1)
    logits = memory_fusion.classify(
      self.encoder, self.classifier, len(emotions), joined, keys[1]
    )
    return interface.Prediction(logits, scores, weights)
