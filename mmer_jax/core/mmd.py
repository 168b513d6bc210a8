"""Maximum mean discrepancy: how far apart two sets of vectors are.

It is no mean of values per example: its sums run over pairs of rows. Under
`jit` over a mesh they run over those of the global batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmer_jax.core import masked

Sigma = float | tuple[float, ...] | Float[Array, "*s"]

# The square of any distance that is too large for float32.
_FARTHEST = 1e38
# Up to this exponent a typical kernel value is taken from all of them.
_LARGEST_SHIFT = 10.0


def mmd(
  p: Float[Array, "m d"],
  q: Float[Array, "n d"],
  *,
  sigma: Sigma,
  p_mask: Bool[Array, " m"] | None = None,
  q_mask: Bool[Array, " n"] | None = None,
  biased: bool = False,
) -> Float[Array, ""]:
  """Computes the squared MMD of two sets under a Gaussian kernel.

  It compares sets: the order of the rows means nothing.

  Distances come from one product of matrices for each block (p and p, q and q,
  p and q), of rows less their mean. What is summed are the kernel's
  differences from its typical value, which cancels between the three sums. So
  in float32 the value and its gradient stay within 1e-4 of a float64 loop far
  from the origin, for sets far from each other, and for a bandwidth far above
  the distances. Each kernel value has an error of about float32's rounding
  times the square of (spread of its block / sigma).

  Source: Liang et al. 2020, Eq. 3 and 4.
  Deviation: `biased` and mixtures of bandwidths are options of ours.

  Args:
    p: One set; computed in float32 at least.
    q: The other.
    sigma: Bandwidth of the kernel, above 0; several make a kernel that is the
      mean of theirs. A constant: no gradient flows into it.
    p_mask: Rows that are False enter no sum and no count, whatever they hold.
      None for all.
    q_mask: The same for `q`.
    biased: With the pairs of each row and itself: never negative. The paper's
      estimate leaves them out, is unbiased and may be negative.

  Returns:
    A scalar; 0 without a gradient where a set has fewer than 2 real rows.
  """
  x, y = as_sample_set(p, p_mask), as_sample_set(q, q_mask)
  sigma = as_bandwidths(sigma, x.rows.dtype)
  shift = choose_shift((x, y), sigma)

  def total(a: SampleSet, b: SampleSet) -> Float[Array, ""]:
    return dense_sums(set_distances(a, b), a, b, a is b, sigma, shift)[0, 0]

  at_zero = gaussian_kernel(jnp.zeros((), x.rows.dtype), sigma, shift)
  value, _ = estimate_mmd(
    total(x, x),
    total(y, y),
    total(x, y),
    x.groups.sum(),
    y.groups.sum(),
    at_zero,
    biased,
  )
  return value


class SampleSet(NamedTuple):
  """Holds rows and the group of each; a masked row is in none."""

  rows: Float[Array, "n d"]
  groups: Float[Array, "n g"]


def as_sample_set(rows: Array, mask: Array | None) -> SampleSet:
  """Makes one group of the rows whose mask is True, in float32 at least."""
  rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
  if mask is None:
    mask = jnp.ones(rows.shape[0], bool)
  # Not a product with 0: what a masked row holds may be infinite.
  rows = jnp.where(mask[:, None], rows, 0.0)
  return SampleSet(rows, mask[:, None].astype(rows.dtype))


def as_bandwidths(sigma: Sigma, dtype: jnp.dtype) -> Float[Array, " s"]:
  """Makes a constant array of one bandwidth or several."""
  return jax.lax.stop_gradient(jnp.atleast_1d(jnp.asarray(sigma, dtype)))


def pooled_centre(x: SampleSet, y: SampleSet) -> Float[Array, " d"]:
  """Averages the rows of both, a constant: no distance depends on it."""
  count = x.groups.sum() + y.groups.sum()
  total = x.rows.sum(axis=0) + y.rows.sum(axis=0)
  return jax.lax.stop_gradient(total / jnp.maximum(count, 1.0))


def real_rows(x: SampleSet) -> Bool[Array, " n"]:
  """Tells which rows are in a group."""
  return x.groups.any(axis=-1)


def set_distances(x: SampleSet, y: SampleSet) -> Float[Array, "n m"]:
  """Computes the squared distances of all pairs of rows of two sets."""
  return squared_distances(x.rows, y.rows, pooled_centre(x, y))


def squared_distances(
  x: Float[Array, "n d"], y: Float[Array, "m d"], centre: Float[Array, " d"]
) -> Float[Array, "n m"]:
  """Computes squared distances by one product of matrices.

  Those of rows whose squares are no float32, from 1e19 on, are `_FARTHEST`,
  without a gradient.
  """
  x, y = x - centre[None, :], y - centre[None, :]
  gram = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
  squares = jnp.square(x).sum(axis=1)[:, None], jnp.square(y).sum(axis=1)
  distances = squares[0] + squares[1][None, :] - 2 * gram
  finite = jnp.isfinite(distances)
  return jnp.where(finite, jnp.maximum(distances, 0.0), _FARTHEST)


def choose_shift(sets: Sequence[SampleSet], sigma: Float[Array, " s"]) -> Array:
  """Takes the exponent of a typical kernel value; infinity where it is tiny.

  The mean exponent of all pairs is the rows' mean squared distance from their
  mean over sigma squared.
  """
  rows = jnp.concatenate([part.rows for part in sets])
  pool = SampleSet(
    rows,
    jnp.concatenate([real_rows(part) for part in sets])[:, None].astype(
      rows.dtype
    ),
  )
  away = rows - pooled_centre(pool, pool)[None, :]
  spread = masked.mean(jnp.square(away).sum(axis=1), real_rows(pool))
  exponent = jax.lax.stop_gradient(spread) / sigma / sigma
  return jnp.where(exponent < _LARGEST_SHIFT, exponent, jnp.inf)


def gaussian_kernel(
  distances: Float[Array, "*n"],
  sigma: Float[Array, " s"],
  shift: Float[Array, " s"],
) -> Float[Array, "*n"]:
  """Averages exp(-d^2 / 2 sigma^2) - exp(-shift) over the bandwidths."""
  total = jnp.zeros_like(distances)
  for index in range(sigma.shape[0]):
    inverse = 1.0 / sigma[index]
    exponent = 0.5 * (distances * inverse) * inverse
    finite = jnp.isfinite(shift[index])
    by = jnp.where(finite, shift[index], 0.0)
    near = jnp.exp(-by) * jnp.expm1(by - exponent)
    total = total + jnp.where(finite, near, jnp.exp(-exponent))
  return total / sigma.shape[0]


def group_sums(
  kernel: Float[Array, "n m"],
  x_groups: Float[Array, "n g"],
  y_groups: Float[Array, "m h"],
) -> Float[Array, "g h"]:
  """Sums a kernel over the pairs of each group of x and each group of y."""
  return jnp.einsum(
    "ng,nm,mh->gh",
    x_groups,
    kernel,
    y_groups,
    precision=jax.lax.Precision.HIGHEST,
  )


def dense_sums(
  distances: Float[Array, "n m"],
  x: SampleSet,
  y: SampleSet,
  same: bool,
  sigma: Float[Array, " s"],
  shift: Float[Array, " s"],
) -> Float[Array, "g h"]:
  """Sums a kernel over groups; `same` leaves out a row with itself."""
  kernel = gaussian_kernel(distances, sigma, shift)
  if same:
    kernel = jnp.where(jnp.eye(kernel.shape[0], dtype=bool), 0.0, kernel)
  return group_sums(kernel, x.groups, y.groups)


def estimate_mmd(
  pp: Float[Array, "*g"],
  qq: Float[Array, "*g"],
  pq: Float[Array, "*g"],
  m: Float[Array, "*g"],
  n: Float[Array, "*g"],
  at_zero: Float[Array, ""],
  biased: bool,
) -> tuple[Float[Array, "*g"], Bool[Array, "*g"]]:
  """Estimates Eq. 3 from kernel sums, and says whether there are enough rows.

  Args:
    pp: Sum of the kernel over pairs of different rows of p.
    qq: The same of q.
    pq: Sum over a row of p and one of q.
    m: How many rows p has.
    n: How many rows q has.
    at_zero: The kernel of a row with itself.
    biased: Whether pairs of a row and itself count.
  """
  enough = (m >= 2) & (n >= 2)
  m, n = jnp.where(enough, m, 2.0), jnp.where(enough, n, 2.0)
  if biased:
    inside = (pp + m * at_zero) / m / m + (qq + n * at_zero) / n / n
  else:
    inside = pp / m / (m - 1) + qq / n / (n - 1)
  return jnp.where(enough, inside - 2 * pq / m / n, 0.0), enough
