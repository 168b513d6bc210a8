"""Canonical correlations: which of two vectors of a sample fits the other.

A modality's vectors are reduced to their principal components; for each pair of
modalities two maps make these correlate as much as they can. A sample's score
says how well its two mapped vectors agree.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmer_jax.core import scaling

# Eigenvalues below this share of the largest are taken for 0, in float32.
_RANK = 1e-6
# Its square, over the least 1 - rho^2 and summed over components, is float32.
_FARTHEST = 1e16


class Reduction(NamedTuple):
  """Holds principal components.

  Attributes:
    mean: Mean of the rows that were seen.
    basis: Orthonormal columns, the largest variance first.
    variance: Variance of each component; 0 beyond the rank of the rows.
  """

  mean: Float[Array, " f"]
  basis: Float[Array, "f p"]
  variance: Float[Array, " p"]


class Maps(NamedTuple):
  """Holds the maps that make two sets of vectors correlate.

  Attributes:
    first: Maps vectors of the first set.
    second: Maps vectors of the second.
    correlations: Those of the mapped components, the largest first; 0 beyond
      the rank.
  """

  first: Float[Array, "p c"]
  second: Float[Array, "q c"]
  correlations: Float[Array, " c"]


def principal(
  rows: Float[Array, "n f"], mask: Bool[Array, " n"], components: int
) -> Reduction:
  """Computes the principal components of the real rows, exactly.

  Of fewer rows than columns the Gram matrix is taken in the place of the
  covariance.

  The sign of a component is arbitrary: its largest loading is positive.

  Args:
    rows: Any finite values; those of masked rows do not matter.
    mask: Which rows count.
    components: Most components; never more than rows or columns.

  Returns:
    The reduction.
  """
  n, f = rows.shape
  rows = jnp.where(mask[:, None], rows, 0.0)
  power = scaling.extreme_exponent(rows)
  rows = scaling.scale(rows, -power)
  count = jnp.maximum(mask.sum(), 1).astype(rows.dtype)
  mean = rows.sum(axis=0) / count
  away = jnp.where(mask[:, None], rows - mean[None, :], 0.0)
  kept = min(components, n, f)
  if f <= n:
    values, vectors = jnp.linalg.eigh(_product(away.T, away) / count)
    values, basis = values[::-1][:kept], vectors[:, ::-1][:, :kept]
  else:
    values, vectors = jnp.linalg.eigh(_product(away, away.T) / count)
    values, left = values[::-1][:kept], vectors[:, ::-1][:, :kept]
    length = jnp.sqrt(jnp.maximum(values * count, 0.0))
    real = values > _RANK * jnp.maximum(values[0], 0.0)
    basis = _product(away.T, left) / jnp.where(real, length, 1.0)[None, :]
    basis = jnp.where(real[None, :], basis, 0.0)
  # A variance past float32 is its largest number.
  variance = scaling.scale(
    scaling.scale(jnp.maximum(values, 0.0), power), power
  )
  variance = jnp.minimum(variance, jnp.finfo(rows.dtype).max)
  basis = basis * _signs(basis)[None, :]
  return Reduction(scaling.scale(mean, power), basis, variance)


def reduce(
  reduction: Reduction, rows: Float[Array, "n f"]
) -> Float[Array, "n p"]:
  """Computes the components of rows."""
  return _product(rows - reduction.mean[None, :], reduction.basis)


def fit(
  first: Float[Array, "n p"],
  second: Float[Array, "n q"],
  mask: Bool[Array, " n"],
  *,
  ridge: float,
  components: int,
) -> Maps:
  """Fits a canonical correlation analysis to paired rows.

  Source: Mittal et al. 2020, section 3.3 (Hotelling 1936).
  Deviation: the covariances are regularised, and directions without variance
    dropped, so that any rows will do. The sign of a pair of components is
    arbitrary: the largest loading of the first is positive.

  Args:
    first: Rows with a mean of about 0; their mean is not taken off.
    second: The paired rows, likewise centred.
    mask: Which rows count.
    ridge: Added to the diagonal of each covariance, relative to its mean.
    components: Most components.

  Returns:
    The maps. The mapped vectors of each set have, but for the ridge, the unit
    as their covariance.
  """
  count = jnp.maximum(mask.sum(), 1).astype(first.dtype)
  x, y = (jnp.where(mask[:, None], rows, 0.0) for rows in (first, second))
  of_x, of_y = scaling.extreme_exponent(x), scaling.extreme_exponent(y)
  x, y = scaling.scale(x, -of_x), scaling.scale(y, -of_y)
  white_x, white_y = (_whiten(rows, count, ridge) for rows in (x, y))
  cross = _product(x.T, y) / count
  cross = _product(_product(white_x.T, cross), white_y)
  left, correlations, right = jnp.linalg.svd(cross, full_matrices=False)
  kept = min(components, *cross.shape)
  to_x = _product(white_x, left[:, :kept])
  to_y = _product(white_y, right[:kept].T)
  signs = _signs(to_x)[None, :]
  return Maps(
    scaling.scale(to_x * signs, -of_x),
    scaling.scale(to_y * signs, -of_y),
    correlations[:kept],
  )


def pearson(
  first: Float[Array, "b c"], second: Float[Array, "b c"]
) -> Float[Array, " b"]:
  """Correlates the two mapped vectors of a sample over their components.

  Source: Mittal et al. 2020, section 3.3, rho(f_i', f_j').
  Deviation: none; the paper does not say over what covariance and deviations
    are taken, and a sample has nothing else. The mean that is taken off depends
    on the signs of the components, which no analysis defines: see `cosine`.

  Args:
    first: The first mapped vector of each sample.
    second: The second.

  Returns:
    From -1 to 1; 0 where a vector is constant.
  """
  return cosine(
    first - first.mean(axis=1, keepdims=True),
    second - second.mean(axis=1, keepdims=True),
  )


def cosine(
  first: Float[Array, "b c"], second: Float[Array, "b c"]
) -> Float[Array, " b"]:
  """Computes the cosine between the two mapped vectors of a sample.

  Source: Mittal et al. 2020, section 3.3, rho(f_i', f_j').
  Deviation: no mean is taken off, so that turning both signs of a pair of
    components changes nothing. Mapped vectors have a mean of about 0 over
    samples.

  Args:
    first: The first mapped vector of each sample.
    second: The second.

  Returns:
    From -1 to 1; 0 where a vector is 0.
  """
  # Any scale: noise may be large.
  x, y = (z / jnp.maximum(_largest(z), 1e-30) for z in (first, second))
  lengths = jnp.square(x).sum(axis=1) * jnp.square(y).sum(axis=1)
  safe = jnp.where(lengths > 0, lengths, 1.0)
  return jnp.where(lengths > 0, (x * y).sum(axis=1) / jnp.sqrt(safe), 0.0)


def likelihood(
  first: Float[Array, "b c"],
  second: Float[Array, "b c"],
  correlations: Float[Array, " c"],
) -> Float[Array, " b"]:
  """Computes how likely the first mapped vector is, given the second.

  The mean over components of log N(x; rho y, 1 - rho^2) without its constant:
  mapped vectors have unit variance, and rho is a component's correlation.

  Source: ours. `pearson` does not see that a vector is too long, as noise is.

  Args:
    first: The first mapped vector of each sample.
    second: The second.
    correlations: Those of `Maps`.

  Returns:
    Below 0 by about one half for what fits, far below for what does not.
  """
  rho = jnp.minimum(correlations, 0.999)
  rest = 1 - jnp.square(rho)
  away = first - rho[None, :] * second
  # As unlikely as float32 can say.
  away = jnp.clip(away, -_FARTHEST, _FARTHEST)
  logs = jnp.square(away) / rest[None, :] + jnp.log(rest)[None, :]
  return -0.5 * logs.mean(axis=1)


def effective(
  scores: dict[tuple[str, str], Float[Array, " b"]],
  present: dict[str, Bool[Array, " b"]],
  tau: Float[Array, ""],
) -> dict[str, Bool[Array, " b"]]:
  """Tells which modalities fit another one: the indicator of Eq. 1.

  Source: Mittal et al. 2020, Eq. 1: ineffectual is what scores below tau with
    every other modality.
  Deviation: pairs with an absent modality do not count, and what is there
    alone is effective: there is nothing to check it by.

  Args:
    scores: (i, j) to the score of i with j, for both orders.
    present: Which utterances have each modality.
    tau: The threshold; at it a modality is effective.

  Returns:
    Modality name to whether it is present and effective.
  """
  return {
    name: flags
    & ((best_score(name, scores, present) >= tau) | _alone(name, present))
    for name, flags in present.items()
  }


def best_score(
  name: str,
  scores: dict[tuple[str, str], Float[Array, " b"]],
  present: dict[str, Bool[Array, " b"]],
) -> Float[Array, " b"]:
  """Takes a modality's best score with another one; -inf without another."""
  best = jnp.full(present[name].shape, -jnp.inf)
  for other in sorted(present):
    if other != name:
      both = present[name] & present[other]
      best = jnp.maximum(best, jnp.where(both, scores[name, other], -jnp.inf))
  return best


def nearest(
  bank: Float[Array, "n p"],
  valid: Bool[Array, " n"],
  queries: Float[Array, "b p"],
  *,
  neighbours: int,
  block_size: int = 2048,
) -> tuple[Int[Array, "b k"], Bool[Array, "b k"]]:
  """Finds the nearest rows of a bank by L2, a block of the bank at a time.

  Source: Mittal et al. 2020, section 3.4, step 1.
  Deviation: several neighbours; the paper finds one and then uses a basis of
    p vectors.

  Args:
    bank: The rows that are searched.
    valid: Which of them may be taken.
    queries: Whose neighbours are wanted.
    neighbours: k, at most n.
    block_size: Rows of the bank per step.

  Returns:
    Row numbers of the bank, the nearest first, and whether each is one: where
    fewer than k rows are valid the rest is not.
  """
  size = max(min(block_size, bank.shape[0]), neighbours)
  bank = jnp.where(valid[:, None], bank, 0.0)
  power = jnp.maximum(*map(scaling.extreme_exponent, (bank, queries)))
  bank, queries = (scaling.scale(x, -power) for x in (bank, queries))
  rows, real, centre = _centred_blocks(bank, valid, size)
  queries = queries - centre[None, :]
  shape = (queries.shape[0], neighbours)

  def step(
    nearest: tuple[Array, Array], at: tuple[Array, Array, Array]
  ) -> tuple[tuple[Array, Array], None]:
    block, kept, first = at
    # Less the queries' own squares, which order nothing.
    distance = jnp.square(block).sum(axis=1)[None, :] - 2 * _product(
      queries, block.T
    )
    distance = jnp.where(kept[None, :], distance, jnp.inf)
    index = jnp.broadcast_to(first + jnp.arange(size), distance.shape)
    distance = jnp.concatenate([nearest[0], distance], axis=1)
    index = jnp.concatenate([nearest[1], index], axis=1)
    best, place = jax.lax.top_k(-distance, neighbours)
    return (-best, jnp.take_along_axis(index, place, axis=1)), None

  start = (
    jnp.full(shape, jnp.inf, bank.dtype),
    jnp.zeros(shape, jnp.arange(size).dtype),
  )
  firsts = size * jnp.arange(rows.shape[0])
  (distance, index), _ = jax.lax.scan(step, start, (rows, real, firsts))
  is_row = jnp.isfinite(distance)
  return jnp.where(is_row, index, 0), is_row


def _centred_blocks(
  bank: Float[Array, "n p"], valid: Bool[Array, " n"], size: int
) -> tuple[Float[Array, "i m p"], Bool[Array, "i m"], Float[Array, " p"]]:
  """Cuts a bank into blocks, less the mean of its valid rows.

  Returns:
    The blocks, which of their rows are valid, and the mean.
  """
  fill = -bank.shape[0] % size
  total = jnp.where(valid[:, None], bank, 0.0).sum(axis=0)
  centre = total / jnp.maximum(valid.sum(), 1).astype(bank.dtype)
  rows = jnp.pad(
    jnp.where(valid[:, None], bank - centre[None, :], 0.0), ((0, fill), (0, 0))
  )
  real = jnp.pad(valid, (0, fill)).reshape(-1, size)
  return rows.reshape(-1, size, bank.shape[1]), real, centre


def _product(x: Array, y: Array) -> Array:
  return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def _signs(columns: Float[Array, "n c"]) -> Float[Array, " c"]:
  """Tells the sign of the largest entry of each column."""
  at = jnp.argmax(jnp.abs(columns), axis=0)[None, :]
  largest = jnp.take_along_axis(columns, at, axis=0)[0]
  return jnp.where(largest < 0, -1.0, 1.0).astype(columns.dtype)


def _largest(x: Array) -> Array:
  return jnp.max(jnp.abs(x), axis=1, keepdims=True)


def _whiten(
  rows: Float[Array, "n p"], count: Float[Array, ""], ridge: float
) -> Float[Array, "p p"]:
  """Makes a map after which the rows' covariance is the unit, on their span."""
  size = rows.shape[1]
  covariance = _product(rows.T, rows) / count
  strength = ridge * jnp.trace(covariance) / size
  values, vectors = jnp.linalg.eigh(covariance)
  real = values > _RANK * values[-1]
  scale = jnp.sqrt(jnp.where(real, values + strength, 1.0))
  return vectors * jnp.where(real, 1 / scale, 0.0)[None, :]


def _alone(name: str, present: dict[str, Bool[Array, " b"]]) -> Array:
  """Tells which samples have no other modality."""
  others = [flags for other, flags in present.items() if other != name]
  if not others:
    return jnp.ones_like(present[name])
  return ~jnp.stack(others).any(axis=0)
