"""The linear layer whose initial distribution the papers' code used."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def uniform(
  inputs: int,
) -> Callable[[PRNGKeyArray, tuple[int, ...]], Array]:
  """Makes the initialiser of a layer of d inputs, uniform in +-1/sqrt(d)."""
  bound = inputs**-0.5

  def draw(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

  return draw


class Linear(nn.Module):
  """Computes x W + b, drawn uniformly from +-1/sqrt(d), as PyTorch's Linear.

  Attributes:
    features: Width of the output.
    dtype: Dtype of the matmul, whose sums are in the input's; None for the
      input's.
    use_bias: Whether b is added.
  """

  features: int
  dtype: str | None = None
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n h"]:
    """Applies the layer to the last axis."""
    draw = uniform(x.shape[-1])
    kernel = self.param("kernel", draw, (x.shape[-1], self.features))
    product = matmul(x, kernel.astype(self.dtype or x.dtype))
    if not self.use_bias:
      return product
    bias = self.param("bias", draw, (self.features,))
    return product + bias.reshape((1,) * (x.ndim - 1) + bias.shape)


def matmul(x: Array, w: Array) -> Array:
  """Multiplies x by w with w's dtype for the factors and x's for the sum."""
  return jnp.matmul(x.astype(w.dtype), w, preferred_element_type=x.dtype)


def dropout(x: Array, rate: float, key: PRNGKeyArray | None) -> Array:
  """Zeroes a share `rate` and scales the rest up; nothing without a key."""
  if key is None or rate == 0.0:
    return x
  kept = jax.random.bernoulli(key, 1.0 - rate, x.shape)
  return jnp.where(kept, x / (1.0 - rate), 0.0)


def split_key(
  key: PRNGKeyArray | None, count: int
) -> list[PRNGKeyArray | None]:
  """Makes keys of one; as many times None where there is none."""
  return [None] * count if key is None else list(jax.random.split(key, count))
