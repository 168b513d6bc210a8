"""MMD between pairs of modalities, whose sums over rows they share.

It is no mean of values per example: its sums run over pairs of rows. Under
`jit` over a mesh they run over those of the global batch.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmer_jax.core import masked, mmd, mmd_blockwise

# A kernel value nearer than this to 0 or to 1 says nothing of its pair.
_SATURATED = 1e-3

Pair = tuple[str, str]


class PairTerms(NamedTuple):
  """Holds the matching terms of pairs of modalities.

  Attributes:
    paired: The MMD of each pair.
    unpaired: That of the same pair's halves that share no video; empty where
      it was not asked for.
    sigma: The bandwidths.
    live: Share of the kernel values between paired sets that are neither 0
      nor 1, to 1e-3. The others contribute no gradient to speak of.
  """

  paired: dict[Pair, Float[Array, ""]]
  unpaired: dict[Pair, Float[Array, ""]]
  sigma: Float[Array, " s"]
  live: Float[Array, ""]


class _Kernel(NamedTuple):
  """Holds sums of the kernel of pairs of sets.

  Attributes:
    sigma: The bandwidths.
    shift: As for `mmd.gaussian_kernel`.
    sums: Two names to the sums over the halves of the one and of the other.
    live: See `PairTerms`.
  """

  sigma: Float[Array, " s"]
  shift: Float[Array, " s"]
  sums: dict[Pair, Float[Array, "2 2"]]
  live: Float[Array, ""]


def pairwise_mmd(
  latents: Mapping[str, Float[Array, "b d"]],
  pairs: Sequence[Pair],
  *,
  sigma: mmd.Sigma | None,
  masks: Mapping[str, Bool[Array, " b"]],
  split: bool,
  biased: bool = False,
  block_size: int = 0,
) -> PairTerms:
  """Computes the paired and the unpaired terms, every Gram block once.

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
    pairs: Pairs of names.
    sigma: As for `mmd.mmd`; None for the median distance in the blocks that
      the pairs need, which takes all of them at once.
    masks: For each modality, the videos that have it.
    split: Whether to make the unpaired terms.
    biased: As for `mmd.mmd`.
    block_size: Rows whose kernel values are in memory at a time, see
      `mmd_blockwise.blockwise_mmd`; 0 for all.

  Returns:
    The terms.
  """
  names = sorted({name for pair in pairs for name in pair})
  sets = _halved_sets(latents, masks, names)
  wanted = [*((name, name) for name in names), *dict.fromkeys(pairs)]
  if block_size:
    kernel = _in_blocks(sets, wanted, pairs, sigma, block_size)
  else:
    kernel = _at_once(sets, wanted, pairs, sigma)
  sigma, sums = kernel.sigma, kernel.sums
  at_zero = mmd.gaussian_kernel(jnp.zeros((), sigma.dtype), sigma, kernel.shift)
  terms = {
    (a, b): _estimate(
      (sums[a, a], sums[b, b], sums[a, b]), sets[a], sets[b], at_zero, biased
    )
    for a, b in pairs
  }
  paired = {pair: values[0] for pair, values in terms.items()}
  unpaired = {pair: values[1] for pair, values in terms.items() if split}
  return PairTerms(paired, unpaired, sigma, kernel.live)


def _halved_sets(
  latents: Mapping[str, Float[Array, "b d"]],
  masks: Mapping[str, Bool[Array, " b"]],
  names: Sequence[str],
) -> dict[str, mmd.SampleSet]:
  """Groups rows by the half of the videos that they are in.

  The videos that have any of the modalities are cut in two by their order.
  """
  real = jnp.stack([masks[name] for name in names]).any(axis=0)
  first = 2 * jnp.cumsum(real) <= jnp.sum(real)
  halves = jnp.stack([first, ~first], axis=-1)
  sets = {}
  for name in names:
    rows, groups = mmd.as_sample_set(latents[name], masks[name])
    sets[name] = mmd.SampleSet(rows, groups * halves.astype(rows.dtype))
  return sets


def _at_once(
  sets: Mapping[str, mmd.SampleSet],
  wanted: Sequence[Pair],
  pairs: Sequence[Pair],
  sigma: mmd.Sigma | None,
) -> _Kernel:
  """Computes the kernel of all wanted blocks."""
  blocks = {(a, b): mmd.set_distances(sets[a], sets[b]) for a, b in wanted}
  if sigma is None:
    used = [_counted(sets[a], sets[b], a == b) for a, b in wanted]
    sigma = _median(list(blocks.values()), used)
  sigma, shift = _bandwidths(sets, sigma)
  sums = {
    (a, b): mmd.dense_sums(block, sets[a], sets[b], a == b, sigma, shift)
    for (a, b), block in blocks.items()
  }
  live = count = jnp.zeros((), sigma.dtype)
  for a, b in pairs:
    both = mmd.real_rows(sets[a])[:, None] & mmd.real_rows(sets[b])[None, :]
    live = live + _count_live(blocks[a, b], both, sigma)
    count = count + jnp.sum(both)
  return _Kernel(sigma, shift, sums, live / jnp.maximum(count, 1.0))


def _in_blocks(
  sets: Mapping[str, mmd.SampleSet],
  wanted: Sequence[Pair],
  pairs: Sequence[Pair],
  sigma: mmd.Sigma | None,
  block_size: int,
) -> _Kernel:
  """Computes the kernel of `block_size` x `block_size` pairs at a time."""
  assert sigma is not None, "the median takes all distances at once"
  sigma, shift = _bandwidths(sets, sigma)
  sums = {
    (a, b): mmd_blockwise.block_sums(
      sets[a], sets[b], a == b, sigma, shift, block_size
    )
    for a, b in wanted
  }

  def counts(distances: Array, both: Array) -> Array:
    live = _count_live(distances, both, sigma)
    return jnp.stack([live, jnp.sum(both).astype(sigma.dtype)])

  live, count = sum(
    mmd_blockwise.sum_over_blocks(sets[a], sets[b], block_size, counts)
    for a, b in pairs
  )
  return _Kernel(sigma, shift, sums, live / jnp.maximum(count, 1.0))


def _bandwidths(
  sets: Mapping[str, mmd.SampleSet], sigma: mmd.Sigma
) -> tuple[Float[Array, " s"], Float[Array, " s"]]:
  """Makes an array of the bandwidths, and the shift of `gaussian_kernel`."""
  rows = [each.rows for each in sets.values()]
  sigma = mmd.as_bandwidths(sigma, rows[0].dtype)
  return sigma, mmd.choose_shift(tuple(sets.values()), sigma)


def _estimate(
  sums: tuple[Array, Array, Array],
  x: mmd.SampleSet,
  y: mmd.SampleSet,
  at_zero: Float[Array, ""],
  biased: bool,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """Estimates the paired and the unpaired term of two modalities.

  Args:
    sums: Kernel sums over the halves of x with x, of y with y, of x with y.
    x: One modality.
    y: The other.
    at_zero: As for `mmd.estimate_mmd`.
    biased: As for `mmd.estimate_mmd`.

  Returns:
    The MMD of the two, and the mean of those of the first half of the one and
    the second of the other and the reverse.
  """
  xx, yy, xy = sums
  m, n = x.groups.sum(axis=0), y.groups.sum(axis=0)
  paired, _ = mmd.estimate_mmd(
    xx.sum(), yy.sum(), xy.sum(), m.sum(), n.sum(), at_zero, biased
  )
  other = jnp.array([1, 0])
  values, enough = mmd.estimate_mmd(
    jnp.diagonal(xx),
    jnp.diagonal(yy)[other],
    jnp.stack([xy[0, 1], xy[1, 0]]),
    m,
    n[other],
    at_zero,
    biased,
  )
  return paired, masked.mean(values, enough)


def _count_live(
  distances: Float[Array, "n m"],
  both: Bool[Array, "n m"],
  sigma: Float[Array, " s"],
) -> Float[Array, ""]:
  """Counts the kernel values of pairs of real rows that are not saturated."""
  nothing = jnp.full_like(sigma, jnp.inf)
  kernel = jax.lax.stop_gradient(mmd.gaussian_kernel(distances, sigma, nothing))
  off = (kernel > _SATURATED) & (kernel < 1 - _SATURATED)
  return jnp.sum(off & both).astype(sigma.dtype)


def median_sigma(
  rows: Float[Array, "n d"], mask: Bool[Array, " n"] | None = None
) -> Float[Array, ""]:
  """Finds the median distance between two rows, a usual bandwidth.

  Source: none; Liang et al. 2020 give no bandwidth.

  Args:
    rows: The rows of all sets together.
    mask: True on the rows that count. None for all.

  Returns:
    A constant: no gradient flows through it. 1 where no two rows differ.
  """
  pool = mmd.as_sample_set(rows, mask)
  return _median([mmd.set_distances(pool, pool)], [_counted(pool, pool, True)])


def _counted(x: mmd.SampleSet, y: mmd.SampleSet, same: bool) -> Array:
  """Tells which pairs of a block are two real rows, each pair once."""
  both = mmd.real_rows(x)[:, None] & mmd.real_rows(y)[None, :]
  return jnp.triu(both, 1) if same else both


def _median(
  distances: Sequence[Float[Array, "_ _"]],
  counted: Sequence[Bool[Array, "_ _"]],
) -> Float[Array, ""]:
  """Takes the median of the roots of what is counted, bit by bit, unsorted.

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

  def step(at: Array, bits: Array) -> Array:
    trial = bits | (jnp.ones((), kind) << (width - 2 - at))
    below = sum(jnp.sum(block < trial) for block in blocks)
    return jnp.where(below <= rank, trial, bits)

  low = jax.lax.fori_loop(0, width - 1, step, jnp.zeros((), kind))
  upto = sum(jnp.sum(block <= low) for block in blocks)
  above = [jnp.min(jnp.where(b > low, b, jnp.iinfo(kind).max)) for b in blocks]
  high = jnp.where(upto > count // 2, low, jnp.min(jnp.stack(above)))
  low, high = (
    jnp.sqrt(jax.lax.bitcast_convert_type(bits, dtype)) for bits in (low, high)
  )
  median = 0.5 * (low + high)
  return jnp.where((count > 0) & (median > 0), median, 1.0)
