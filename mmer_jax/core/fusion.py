"""Gated fusion: weighs the vectors of two modalities, word by word."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmer_jax.core import layers, masked, scaling

# The collection of variables that follow the batches and are not trained.
STATISTICS = "statistics"
# Added to the variance, and the share of a running statistic that a batch
# replaces: PyTorch's and most others'; the paper gives neither.
_EPSILON = 1e-5
_RATE = 0.1


class Gated(NamedTuple):
  """Holds the words that the gated unit fused.

  Attributes:
    fused: The fused word, h of Eq. 1.
    gate: z of Eq. 1: the acoustic share of every column.
  """

  fused: Float[Array, "b t h"]
  gate: Float[Array, "b t h"]


class GatedMultimodalUnit(nn.Module):
  """Weighs two modalities against each other, column by column.

  h_a = tanh(BN(W_a x_a)), h_l = tanh(BN(W_l x_l)), z = sigma(W_z [x_a, x_l] +
  b_z), h = z h_a + (1 - z) h_l. The norm's shift is the equation's b.

  Source: Aguilar et al. 2019, Eq. 1 and appendix B, after Arevalo et al. 2017;
    the norm of Ioffe and Szegedy 2015.
  Deviation: the paper does not say where the norm stands: here it is on W x,
    before tanh, over the real words of the global batch. A word that lacks a
    modality takes the other's vector alone, with a gate of 0 or 1.

  Attributes:
    features: Number of columns of h.
    dtype: Dtype of the matmuls.
  """

  features: int
  dtype: str

  @nn.compact
  def __call__(
    self,
    acoustic: Float[Array, "b t d"],
    lexical: Float[Array, "b t e"],
    acoustic_mask: Bool[Array, "b t"],
    lexical_mask: Bool[Array, "b t"],
    *,
    train: bool,
  ) -> Gated:
    """Fuses word by word; a word of neither modality is zeros.

    In training the statistics are the batch's, and the running ones (the
    collection `STATISTICS`) move towards them; else they are the running ones.
    """
    acoustic = jnp.where(acoustic_mask[..., None], acoustic, 0.0)
    lexical = jnp.where(lexical_mask[..., None], lexical, 0.0)
    joined = jnp.concatenate([acoustic, lexical], axis=-1)
    gate = jax.nn.sigmoid(
      layers.Linear(self.features, dtype=self.dtype, name="gate")(joined)
    )
    gate = jnp.where(lexical_mask[..., None], gate, 1.0)
    gate = jnp.where(acoustic_mask[..., None], gate, 0.0)
    fused = gate * self._hidden("acoustic", acoustic, acoustic_mask, train)
    other = self._hidden("lexical", lexical, lexical_mask, train)
    return Gated(fused + (1 - gate) * other, gate)

  def _hidden(
    self, name: str, x: Array, mask: Bool[Array, "b t"], train: bool
  ) -> Float[Array, "b t h"]:
    """Computes tanh of the normalised projection, zeros at padding."""
    projected = layers.Linear(
      self.features, dtype=self.dtype, use_bias=False, name=name
    )(x)
    mean, variance = (
      self.variable(STATISTICS, f"{name}_{what}", full, (self.features,))
      for what, full in (("mean", jnp.zeros), ("variance", jnp.ones))
    )
    used, epsilon = (mean.value, variance.value), _EPSILON
    if train:
      real = jnp.where(mask[..., None], projected, 0.0)
      power = scaling.extreme_exponent(real)
      projected = scaling.scale(real, -power)
      used = masked.moments(projected, mask)
      seen = _unscaled(used, power)
      epsilon = scaling.scale(
        scaling.scale(jnp.asarray(_EPSILON, projected.dtype), -power), -power
      )
      rate = jnp.where(mask.any(), _RATE, 0.0)
      for running, value in zip((mean, variance), seen, strict=True):
        running.value = running.value + rate * (value - running.value)
    scale, shift = (
      self.param(f"{name}_{what}", initial, (self.features,))
      for what, initial in (
        ("scale", nn.initializers.ones_init()),
        ("shift", nn.initializers.zeros_init()),
      )
    )
    factor = scale * jax.lax.rsqrt(used[1] + epsilon)
    centred = projected - used[0][None, None, :]
    hidden = jnp.tanh(centred * factor[None, None, :] + shift[None, None, :])
    return jnp.where(mask[..., None], hidden, 0.0)


def _unscaled(
  moments: tuple[Float[Array, " h"], Float[Array, " h"]],
  power: Int[Array, ""],
) -> tuple[Float[Array, " h"], Float[Array, " h"]]:
  """Takes mean and variance back from numbers that were divided by 2**power."""
  mean, variance = jax.lax.stop_gradient(moments)
  variance = scaling.scale(scaling.scale(variance, power), power)
  # A variance past float32 is its largest number.
  variance = jnp.minimum(variance, jnp.finfo(variance.dtype).max)
  return scaling.scale(mean, power), variance
