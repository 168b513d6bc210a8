"""Statistics of a whole batch: how far apart sets of vectors are.

Nothing here is a mean of values per example: the sums run over pairs of rows.
Under `jit` over a mesh they run over those of the global batch.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmer_jax.core import mmd


def blockwise_mmd(
  p: Float[Array, "m d"],
  q: Float[Array, "n d"],
  *,
  sigma: mmd.Sigma,
  p_mask: Bool[Array, " m"] | None = None,
  q_mask: Bool[Array, " n"] | None = None,
  biased: bool = False,
  block_size: int = 1024,
) -> Float[Array, ""]:
  """`mmd`, with memory that grows linearly with the rows.

  Kernel values exist for `block_size` x `block_size` pairs at a time, in the
  value and in the gradient, which makes them a second time. Of a set with
  itself only the blocks on and above the diagonal are made.

  Source: as `mmd`.
  Deviation: as `mmd`.

  Args:
    p: As for `mmd`.
    q: As for `mmd`.
    sigma: As for `mmd`.
    p_mask: As for `mmd`.
    q_mask: As for `mmd`.
    biased: As for `mmd`.
    block_size: Rows of a block.

  Returns:
    As `mmd`.
  """
  x, y = mmd.as_sample_set(p, p_mask), mmd.as_sample_set(q, q_mask)
  sigma = mmd.squared_bandwidths(sigma, x.rows.dtype)
  shift = mmd.choose_shift((x, y), sigma)

  def total(a: mmd.SampleSet, b: mmd.SampleSet) -> Float[Array, ""]:
    constants = _Constants(
      _in_blocks(a.groups, block_size),
      _in_blocks(b.groups, block_size),
      mmd.pooled_centre(a, b),
      sigma,
      shift,
    )
    return _scan_sum(
      _in_blocks(a.rows, block_size),
      _in_blocks(b.rows, block_size),
      constants,
      a is b,
    )

  at_zero = mmd.gaussian_kernel(jnp.zeros((), x.rows.dtype), sigma, shift)
  value, _ = mmd.estimate_mmd(
    total(x, x),
    total(y, y),
    total(x, y),
    x.groups.sum(),
    y.groups.sum(),
    at_zero,
    biased,
  )
  return value


class _Constants(NamedTuple):
  """What a blockwise sum depends on beside its rows."""

  x_groups: Float[Array, "i n g"]
  y_groups: Float[Array, "j n g"]
  centre: Float[Array, " d"]
  sigma: Float[Array, " s"]
  shift: Float[Array, " s"]


def _in_blocks(rows: Float[Array, "n d"], size: int) -> Float[Array, "i m d"]:
  """Cuts rows into blocks; the last is filled with zeros."""
  fill = -rows.shape[0] % size
  return jnp.pad(rows, ((0, fill), (0, 0))).reshape(-1, size, rows.shape[1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _scan_sum(
  x: Float[Array, "i n d"],
  y: Float[Array, "j n d"],
  constants: _Constants,
  same: bool,
) -> Float[Array, ""]:
  """Sum of the kernel over pairs of rows, one pair of blocks at a time."""

  def step(totals: Array, at: tuple[Array, ...]) -> tuple[Array, None]:
    i, j, weight = at
    value = weight * _block_sum(x[i], y[j], constants, i, j, same)
    return totals.at[i].add(value), None

  # One total for each block of x: few numbers enter each sum, and little is
  # rounded away.
  totals = jnp.zeros(x.shape[0], x.dtype)
  totals, _ = jax.lax.scan(step, totals, _block_pairs(x, y, same))
  return totals.sum()


def _scan_sum_forward(
  x: Array, y: Array, constants: _Constants, same: bool
) -> tuple[Array, tuple[Array, Array, _Constants]]:
  return _scan_sum(x, y, constants, same), (x, y, constants)


def _scan_sum_backward(
  same: bool, residuals: tuple[Array, Array, _Constants], grad: Array
) -> tuple[Array, Array, None]:
  x, y, constants = residuals

  def step(
    grads: tuple[Array, Array], at: tuple[Array, ...]
  ) -> tuple[tuple[Array, Array], None]:
    i, j, weight = at
    _, pull = jax.vjp(
      lambda a, b: _block_sum(a, b, constants, i, j, same), x[i], y[j]
    )
    dx, dy = pull(weight * grad)
    return (grads[0].at[i].add(dx), grads[1].at[j].add(dy)), None

  zeros = jnp.zeros_like(x), jnp.zeros_like(y)
  (dx, dy), _ = jax.lax.scan(step, zeros, _block_pairs(x, y, same))
  return dx, dy, None


_scan_sum.defvjp(_scan_sum_forward, _scan_sum_backward)


def _block_pairs(x: Array, y: Array, same: bool) -> tuple[Array, ...]:
  """Pairs of block numbers and what each counts for."""
  shape = (x.shape[0], y.shape[0])
  i, j = (
    np.triu_indices(*shape[:1]) if same else np.indices(shape).reshape(2, -1)
  )
  weight = np.where(i < j, 2, 1) if same else np.ones_like(i)
  return (
    jnp.asarray(i, jnp.int32),
    jnp.asarray(j, jnp.int32),
    jnp.asarray(weight, x.dtype),
  )


def _block_sum(
  x: Float[Array, "n d"],
  y: Float[Array, "m d"],
  constants: _Constants,
  i: Int[Array, ""],
  j: Int[Array, ""],
  same: bool,
) -> Float[Array, ""]:
  distances = mmd.squared_distances(x, y, constants.centre)
  kernel = mmd.gaussian_kernel(distances, constants.sigma, constants.shift)
  if same:
    itself = (i == j) & jnp.eye(kernel.shape[0], dtype=bool)
    kernel = jnp.where(itself, 0.0, kernel)
  sums = mmd.group_sums(kernel, constants.x_groups[i], constants.y_groups[j])
  return sums[0, 0]
