"""Reductions that leave out padding."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def mean(
  values: Float[Array, " b"], mask: Bool[Array, " b"]
) -> Float[Array, ""]:
  """Averages the rows whose mask is True; 0 where there is none.

  Under `jit` over a mesh the sums are those of the global batch.
  """
  total = jnp.sum(jnp.where(mask, values, 0.0))
  return total / jnp.maximum(jnp.sum(mask), 1).astype(values.dtype)


def mean_over_steps(
  frames: Float[Array, "b t d"], mask: Bool[Array, "b t"]
) -> Float[Array, "b d"]:
  """Averages the real steps of each sequence; zeros where there is none."""
  total = jnp.sum(jnp.where(mask[..., None], frames, 0.0), axis=1)
  count = jnp.maximum(jnp.sum(mask, axis=1), 1).astype(frames.dtype)
  return total / count[:, None]


def moments(
  frames: Float[Array, "b t d"], mask: Bool[Array, "b t"]
) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
  """Computes mean and population variance of columns over the real steps.

  Under `jit` over a mesh they are those of the global batch. Zeros where no
  step is real.
  """
  real = mask[..., None]
  count = jnp.maximum(jnp.sum(mask), 1).astype(frames.dtype)
  mean = jnp.sum(jnp.where(real, frames, 0.0), axis=(0, 1)) / count
  away = jnp.where(real, frames - mean[None, None, :], 0.0)
  return mean, jnp.sum(jnp.square(away), axis=(0, 1)) / count
