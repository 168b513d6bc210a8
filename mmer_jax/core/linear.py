"""The linear layer whose initial distribution the papers' code used."""

import flax.linen as nn
import jax
from jaxtyping import Array, Float, PRNGKeyArray


class Linear(nn.Module):
  """x W + b, both drawn uniformly from +-1/sqrt(d), as PyTorch's Linear.

  Attributes:
    features: Width of the output.
  """

  features: int

  @nn.compact
  def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n h"]:
    """Applies the layer to the last axis."""
    bound = x.shape[-1] ** -0.5

    def uniform(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
      return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

    kernel = self.param("kernel", uniform, (x.shape[-1], self.features))
    bias = self.param("bias", uniform, (self.features,))
    return x @ kernel + bias.reshape((1,) * (x.ndim - 1) + bias.shape)
