"""Statistics of a whole batch: how far apart sets of vectors are.

Nothing here is a mean of values per example: the sums run over pairs of rows.
Under `jit` over a mesh they run over those of the global batch.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmer_jax.core import masked

Sigma = float | tuple[float, ...] | Float[Array, "*s"]

# Up to this exponent a typical kernel value is taken from all of them.
_LARGEST_SHIFT = 10.0
# A kernel value nearer than this to 0 or to 1 says nothing of its pair.
_SATURATED = 1e-3


def mmd(
  p: Float[Array, "m d"],
  q: Float[Array, "n d"],
  *,
  sigma: Sigma,
  p_mask: Bool[Array, " m"] | None = None,
  q_mask: Bool[Array, " n"] | None = None,
  biased: bool = False,
) -> Float[Array, ""]:
  """Squared maximum mean discrepancy of two sets under a Gaussian kernel.

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
  sigma = squared_bandwidths(sigma, x.rows.dtype)
  shift = choose_shift((x, y), sigma)

  def total(a: SampleSet, b: SampleSet) -> Float[Array, ""]:
    return _dense_sums(_distances(a, b), a, b, a is b, sigma, shift)[0, 0]

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


class PairTerms(NamedTuple):
  """The matching terms of pairs of modalities.

  Attributes:
    paired: The MMD of each pair.
    unpaired: That of the same pair's halves that share no video; empty where
      it was not asked for.
    sigma: The bandwidths.
    live: Share of the kernel values between paired sets that are neither 0
      nor 1, to 1e-3. The others contribute no gradient to speak of.
  """

  paired: dict[tuple[str, str], Float[Array, ""]]
  unpaired: dict[tuple[str, str], Float[Array, ""]]
  sigma: Float[Array, " s"]
  live: Float[Array, ""]


def pairwise_mmd(
  latents: Mapping[str, Float[Array, "b d"]],
  pairs: Sequence[tuple[str, str]],
  *,
  sigma: Sigma | None,
  masks: Mapping[str, Bool[Array, " b"]],
  split: bool,
  biased: bool = False,
) -> PairTerms:
  """The paired and the unpaired terms, every Gram block made once.

  A modality's block with itself serves all pairs that it is in, and the sums
  over halves of a block are those of the unpaired terms.

  Source: Liang et al. 2020, Eq. 6 and 7, where the pairs are (a, v) and (a, l).
  Deviation: the paper shuffles a modality inside the minibatch to unpair it.
    MMD does not see an order, so that this is the paired term again, and the
    two cancel. Here (`split`) the first half of the videos of one modality is
    compared with the second half of the other and the reverse, and the mean
    of the two is taken; nothing is encoded twice.

  Args:
    latents: One row per video, aligned between the modalities.
    pairs: Of names.
    sigma: As for `mmd`; None for the median distance in the blocks that the
      pairs need.
    masks: For each modality, the videos that have it.
    split: Whether to make the unpaired terms.
    biased: As for `mmd`.

  Returns:
    The terms.
  """
  names = sorted({name for pair in pairs for name in pair})
  real = jnp.stack([masks[name] for name in names]).any(axis=0)
  first = 2 * jnp.cumsum(real) <= jnp.sum(real)
  halves = jnp.stack([first, ~first], axis=-1)
  sets = {}
  for name in names:
    rows = as_sample_set(latents[name], masks[name])
    sets[name] = SampleSet(
      rows.rows, rows.groups * halves.astype(rows.rows.dtype)
    )
  blocks = {
    (a, b): _distances(sets[a], sets[b])
    for a, b in [*((name, name) for name in names), *dict.fromkeys(pairs)]
  }
  if sigma is None:
    used = {at: _counted(sets[at[0]], sets[at[1]], *at) for at in blocks}
    sigma = _median([blocks[at] for at in blocks], [used[at] for at in blocks])
  sigma = squared_bandwidths(sigma, sets[names[0]].rows.dtype)
  shift = choose_shift(tuple(sets.values()), sigma)
  sums = {
    (a, b): _dense_sums(block, sets[a], sets[b], a == b, sigma, shift)
    for (a, b), block in blocks.items()
  }
  at_zero = gaussian_kernel(jnp.zeros((), sigma.dtype), sigma, shift)
  paired, unpaired = {}, {}
  for a, b in pairs:
    m, n = sets[a].groups.sum(axis=0), sets[b].groups.sum(axis=0)
    aa, bb, ab = sums[a, a], sums[b, b], sums[a, b]
    paired[a, b], _ = estimate_mmd(
      aa.sum(), bb.sum(), ab.sum(), m.sum(), n.sum(), at_zero, biased
    )
    if split:
      other = jnp.array([1, 0])
      values, enough = estimate_mmd(
        jnp.diagonal(aa),
        jnp.diagonal(bb)[other],
        jnp.stack([ab[0, 1], ab[1, 0]]),
        m,
        n[other],
        at_zero,
        biased,
      )
      unpaired[a, b] = masked.mean(values, enough)
  return PairTerms(paired, unpaired, sigma, _live(blocks, sets, pairs, sigma))


def median_sigma(
  rows: Float[Array, "n d"], mask: Bool[Array, " n"] | None = None
) -> Float[Array, ""]:
  """The median distance between two rows, a usual bandwidth.

  Source: none; Liang et al. 2020 give no bandwidth.

  Args:
    rows: Of all sets together.
    mask: True on the rows that count. None for all.

  Returns:
    A constant: no gradient flows through it. 1 where no two rows differ.
  """
  pool = as_sample_set(rows, mask)
  return _median([_distances(pool, pool)], [_counted(pool, pool, "", "")])


class SampleSet(NamedTuple):
  """Rows, and to which group each belongs; a masked row is in none."""

  rows: Float[Array, "n d"]
  groups: Float[Array, "n g"]


def as_sample_set(rows: Array, mask: Array | None) -> SampleSet:
  rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
  if mask is None:
    mask = jnp.ones(rows.shape[0], bool)
  # Not a product with 0: what a masked row holds may be infinite.
  rows = jnp.where(mask[:, None], rows, 0.0)
  return SampleSet(rows, mask[:, None].astype(rows.dtype))


def squared_bandwidths(sigma: Sigma, dtype: jnp.dtype) -> Float[Array, " s"]:
  return jax.lax.stop_gradient(jnp.atleast_1d(jnp.asarray(sigma, dtype)))


def pooled_centre(x: SampleSet, y: SampleSet) -> Float[Array, " d"]:
  """The mean of the rows of both, a constant: no distance depends on it."""
  count = x.groups.sum() + y.groups.sum()
  total = x.rows.sum(axis=0) + y.rows.sum(axis=0)
  return jax.lax.stop_gradient(total / jnp.maximum(count, 1.0))


def _real(x: SampleSet) -> Bool[Array, " n"]:
  return x.groups.any(axis=-1)


def _distances(x: SampleSet, y: SampleSet) -> Float[Array, "n m"]:
  return squared_distances(x.rows, y.rows, pooled_centre(x, y))


def squared_distances(
  x: Float[Array, "n d"], y: Float[Array, "m d"], centre: Float[Array, " d"]
) -> Float[Array, "n m"]:
  """Squared distances through one product; those of masked rows are any."""
  x, y = x - centre[None, :], y - centre[None, :]
  gram = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
  squares = jnp.square(x).sum(axis=1)[:, None], jnp.square(y).sum(axis=1)
  return jnp.maximum(squares[0] + squares[1][None, :] - 2 * gram, 0.0)


def choose_shift(sets: Sequence[SampleSet], sigma: Float[Array, " s"]) -> Array:
  """The exponent of a typical kernel value; infinity where it is tiny.

  The mean exponent of all pairs is the rows' mean squared distance from their
  mean over sigma squared.
  """
  rows = jnp.concatenate([part.rows for part in sets])
  pool = SampleSet(
    rows,
    jnp.concatenate([_real(part) for part in sets])[:, None].astype(rows.dtype),
  )
  away = rows - pooled_centre(pool, pool)[None, :]
  spread = masked.mean(jnp.square(away).sum(axis=1), _real(pool))
  exponent = jax.lax.stop_gradient(spread) / sigma / sigma
  return jnp.where(exponent < _LARGEST_SHIFT, exponent, jnp.inf)


def gaussian_kernel(
  distances: Float[Array, "*n"],
  sigma: Float[Array, " s"],
  shift: Float[Array, " s"],
) -> Float[Array, "*n"]:
  """Mean over s of exp(-d^2 / 2 sigma^2) - exp(-shift)."""
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
  return jnp.einsum(
    "ng,nm,mh->gh",
    x_groups,
    kernel,
    y_groups,
    precision=jax.lax.Precision.HIGHEST,
  )


def _dense_sums(
  distances: Float[Array, "n m"],
  x: SampleSet,
  y: SampleSet,
  same: bool,
  sigma: Float[Array, " s"],
  shift: Float[Array, " s"],
) -> Float[Array, "g h"]:
  """Sums of a block's kernel over groups, without a row and itself."""
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
  """Eq. 3 from the sums over different rows, and whether there are any.

  Args:
    pp: Of p with itself.
    qq: Of q with itself.
    pq: Between them.
    m: Rows of p.
    n: Rows of q.
    at_zero: The kernel of a row with itself.
    biased: Whether those count.
  """
  enough = (m >= 2) & (n >= 2)
  m, n = jnp.where(enough, m, 2.0), jnp.where(enough, n, 2.0)
  if biased:
    inside = (pp + m * at_zero) / m / m + (qq + n * at_zero) / n / n
  else:
    inside = pp / m / (m - 1) + qq / n / (n - 1)
  return jnp.where(enough, inside - 2 * pq / m / n, 0.0), enough


def _counted(x: SampleSet, y: SampleSet, x_name: str, y_name: str) -> Array:
  """Which pairs of a block are two real rows, each pair once."""
  both = _real(x)[:, None] & _real(y)[None, :]
  return jnp.triu(both, 1) if x_name == y_name else both


def _live(
  blocks: Mapping[tuple[str, str], Array],
  sets: Mapping[str, SampleSet],
  pairs: Sequence[tuple[str, str]],
  sigma: Float[Array, " s"],
) -> Float[Array, ""]:
  nothing = jnp.full_like(sigma, jnp.inf)
  live = count = jnp.zeros((), sigma.dtype)
  for a, b in pairs:
    both = _real(sets[a])[:, None] & _real(sets[b])[None, :]
    kernel = jax.lax.stop_gradient(
      gaussian_kernel(blocks[a, b], sigma, nothing)
    )
    off = (kernel > _SATURATED) & (kernel < 1 - _SATURATED)
    live = live + jnp.sum(off & both)
    count = count + jnp.sum(both)
  return live / jnp.maximum(count, 1.0)


def _median(
  distances: Sequence[Float[Array, "_ _"]],
  counted: Sequence[Bool[Array, "_ _"]],
) -> Float[Array, ""]:
  """Median of the roots of what is counted, found bit by bit and not sorted.

  The bits of numbers that are not negative order as the numbers do. The
  largest x with at most r values below it is the value of rank r.
  """
  dtype = distances[0].dtype
  width = jnp.finfo(dtype).bits
  kind = jnp.int64 if width == 64 else jnp.int32
  blocks = [
    jnp.where(
      use, jax.lax.bitcast_convert_type(block, kind), jnp.iinfo(kind).max
    )
    for block, use in zip(distances, counted, strict=True)
  ]
  blocks = jax.lax.stop_gradient(blocks)
  count = sum(jnp.sum(use) for use in counted)
  rank = jnp.maximum(count - 1, 0) // 2

  def step(at: Array, found: Array) -> Array:
    trial = found | (jnp.ones((), kind) << (width - 2 - at))
    below = sum(jnp.sum(block < trial) for block in blocks)
    return jnp.where(below <= rank, trial, found)

  low = jax.lax.fori_loop(0, width - 1, step, jnp.zeros((), kind))
  upto = sum(jnp.sum(block <= low) for block in blocks)
  above = [jnp.min(jnp.where(b > low, b, jnp.iinfo(kind).max)) for b in blocks]
  high = jnp.where(upto > count // 2, low, jnp.min(jnp.stack(above)))
  low, high = (
    jnp.sqrt(jax.lax.bitcast_convert_type(bits, dtype)) for bits in (low, high)
  )
  median = 0.5 * (low + high)
  return jnp.where((count > 0) & (median > 0), median, 1.0)
