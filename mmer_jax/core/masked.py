"""Reductions that know what is padding."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def mean(
  values: Float[Array, " b"], mask: Bool[Array, " b"]
) -> Float[Array, ""]:
  """Mean over the rows whose mask is True; 0 where there is none.

  Under `jit` over a mesh the sums are those of the global batch.
  """
  total = jnp.sum(jnp.where(mask, values, 0.0))
  return total / jnp.maximum(jnp.sum(mask), 1).astype(values.dtype)
