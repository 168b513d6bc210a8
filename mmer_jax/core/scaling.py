"""Powers of two that bring very large or small numbers near 1.

The squares of 1e20 and 1e-25 are no float32. A statistic that is a quotient of
squares is computed of scaled numbers; a power of two rounds nothing.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

# Sums of squares of numbers up to 2**40 and down to 2**-40 are float32.
_EXTREME = 40


def exponent(x: ArrayLike, axis: int | None = None) -> Int[Array, "..."]:
  """Finds the power of two just above the largest magnitude.

  Args:
    x: Finite numbers.
    axis: The axis that is reduced to length 1; None for all, to a scalar.

  Returns:
    Exponents e for which 2**e and 2**-e are normal numbers; a constant: no
    gradient flows through it.
  """
  x = jax.lax.stop_gradient(jnp.asarray(x))
  largest = jnp.max(jnp.abs(x), axis=axis, keepdims=axis is not None, initial=0)
  limit = jnp.finfo(x.dtype).maxexp - 2
  return jnp.clip(jnp.frexp(largest)[1], -limit, limit)


def extreme_exponent(
  x: ArrayLike, axis: int | None = None
) -> Int[Array, "..."]:
  """Finds `exponent` of numbers whose squares are in danger; 0 for others."""
  power = exponent(x, axis)
  return jnp.where(jnp.abs(power) > _EXTREME, power, 0)


def scale(x: ArrayLike, power: Int[Array, "..."]) -> Float[Array, "..."]:
  """Multiplies by 2**power."""
  x = jnp.asarray(x)
  return x * jnp.ldexp(jnp.ones((), x.dtype), power)
