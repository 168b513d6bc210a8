"""Least squares of any rank: sums over a basis, and linear maps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmer_jax.core import scaling

# Eigenvalues below this share of the largest are taken for 0, in float32.
_RANK = 1e-6


def coefficients(
  basis: Float[Array, "b k p"],
  valid: Bool[Array, "b k"],
  vectors: Float[Array, "b p"],
) -> Float[Array, "b k"]:
  """Solves for each vector as a sum over its basis, by least squares.

  Source: Mittal et al. 2020, section 3.4, step 2: f = sum_i a_i v_i.
  Deviation: the closest that the basis comes to f, where it does not span it.

  Args:
    basis: k vectors for each sample; they may depend on each other.
    valid: Which of them are; the others get 0.
    vectors: One per sample.

  Returns:
    The a_i of the least norm.
  """
  basis = jnp.where(valid[..., None], basis, 0.0)
  power = scaling.extreme_exponent(basis.reshape(len(basis), -1), axis=1)
  basis = scaling.scale(basis, -power[..., None])
  vectors = scaling.scale(vectors, -power)
  high = jax.lax.Precision.HIGHEST
  gram = jnp.einsum("bkp,blp->bkl", basis, basis, precision=high)
  values, turn = jnp.linalg.eigh(gram)
  large = values > _RANK * values[:, -1:]
  inverse = jnp.where(large, 1 / jnp.where(large, values, 1.0), 0.0)
  along = jnp.einsum("bkp,bp->bk", basis, vectors, precision=high)
  turned = jnp.einsum("bkl,bk->bl", turn, along, precision=high)
  return jnp.einsum("bkl,bl->bk", turn, inverse * turned, precision=high)


def regress(
  gram: Float[Array, "p p"], cross: Float[Array, "p q"], *, ridge: float
) -> Float[Array, "p q"]:
  """Solves for the linear map of least squares, from X'X and X'Y.

  Args:
    gram: X'X; it may be of any rank.
    cross: X'Y.
    ridge: Added to the diagonal, relative to its mean. With none, or too
      little for float32, columns of X that depend on others are found by the
      rank of X'X with columns of length 1.

  Returns:
    The map T with X T closest to Y; of several, that of the least norm, for
    columns of length 1. Zeros where X is.
  """
  size = gram.shape[0]
  total = jnp.trace(gram)
  strength = jnp.where(total > 0, ridge * total / size, 1.0)
  if ridge > 10 * jnp.finfo(gram.dtype).eps:
    return jnp.linalg.solve(gram + strength * jnp.eye(size), cross)
  squares = jnp.diagonal(gram)
  lengths = jnp.sqrt(jnp.where(squares > 0, squares, 1.0))
  values, vectors = jnp.linalg.eigh(gram / lengths[:, None] / lengths[None, :])
  real = values > _RANK * values[-1]
  inverse = jnp.where(real, 1 / jnp.where(real, values, 1.0), 0.0)
  turned = _product(vectors.T, cross / lengths[:, None])
  return _product(vectors, inverse[:, None] * turned) / lengths[:, None]


def _product(x: Array, y: Array) -> Array:
  return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)
