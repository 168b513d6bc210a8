"""Gated recurrent units, for padded sequences."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmer_jax.core import layers


class BiGru(nn.Module):
  """Encodes sequences in both directions, step by step.

  r = s(W_r x + U_r h + b_r), z = s(W_z x + U_z h + b_z),
  n = tanh(W_n x + b_n + r (U_n h + c)), h = (1 - z) n + z h.

  Source: Cho et al. 2014, as PyTorch's GRU has it: the reset gate is applied
    behind U_n.
  Deviation: PyTorch keeps two biases of r and of z; here is one.

  Both directions are one loop: parameters lie along an axis of directions,
  gates in the order r, z, n.

  Attributes:
    hidden: Width of one direction.
    dtype: Dtype of the matmuls.
  """

  hidden: int
  dtype: str

  @nn.compact
  def __call__(
    self, frames: Float[Array, "b t d"], mask: Bool[Array, "b t"]
  ) -> Float[Array, "b t h"]:
    """Returns both directions side by side, zeros at padding.

    Padding may lie anywhere: a masked step leaves the state as it is.
    """
    real = mask.T
    x = jnp.where(real[..., None], jnp.swapaxes(frames, 0, 1), 0.0)
    x, steps = (
      jnp.stack([x, x[::-1]], axis=1),
      jnp.stack([real, real[::-1]], axis=1),
    )
    uniform, gates = layers.uniform(self.hidden), 3 * self.hidden
    w_x = self.param("w_x", uniform, (2, x.shape[-1], gates))
    w_h = self.param("w_h", uniform, (2, self.hidden, gates))
    b = self.param("b", uniform, (2, gates))
    c = self.param("c", uniform, (2, self.hidden))
    inputs = layers.matmul(x, w_x.astype(self.dtype)[None]) + b[None, :, None]

    def step(h: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
      given, there = at
      own = layers.matmul(h, w_h.astype(self.dtype))
      r_x, z_x, n_x = jnp.split(given, 3, axis=-1)
      r_h, z_h, n_h = jnp.split(own, 3, axis=-1)
      r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
      n = jnp.tanh(n_x + r * (n_h + c[:, None]))
      h = jnp.where(there[..., None], (1 - z) * n + z * h, h)
      return h, h

    start = jnp.zeros((2, x.shape[2], self.hidden), x.dtype)
    _, states = jax.lax.scan(step, start, (inputs, steps))
    both = jnp.concatenate([states[:, 0], states[::-1, 1]], axis=-1)
    return jnp.swapaxes(jnp.where(real[..., None], both, 0.0), 0, 1)
