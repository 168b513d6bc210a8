"""Maximum mean discrepancy with memory that grows linearly with the rows."""

import functools
from collections.abc import Callable
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
  """Computes `mmd.mmd`, with memory that grows linearly with the rows.

  Kernel values exist for `block_size` x `block_size` pairs at a time, in the
  value and in the gradient, which makes them a second time. Of a set with
  itself only the blocks on and above the diagonal are made.

  Source: as `mmd.mmd`.
  Deviation: as `mmd.mmd`.

  Args:
    p: One set, as for `mmd.mmd`.
    q: The other set.
    sigma: Bandwidths, as for `mmd.mmd`.
    p_mask: Rows of p that count.
    q_mask: Rows of q that count.
    biased: Which estimator, as for `mmd.mmd`.
    block_size: Rows of a block.

  Returns:
    A scalar, as `mmd.mmd`.
  """
  x, y = mmd.as_sample_set(p, p_mask), mmd.as_sample_set(q, q_mask)
  sigma = mmd.as_bandwidths(sigma, x.rows.dtype)
  shift = mmd.choose_shift((x, y), sigma)

  def total(a: mmd.SampleSet, b: mmd.SampleSet) -> Float[Array, ""]:
    return block_sums(a, b, a is b, sigma, shift, block_size)[0, 0]

  at_zero = mmd.gaussian_kernel(jnp.zeros((), x.rows.dtype), sigma, shift)
  m, n = x.groups.sum(), y.groups.sum()
  sums = total(x, x), total(y, y), total(x, y)
  return mmd.estimate_mmd(*sums, m, n, at_zero, biased)[0]


def block_sums(
  x: mmd.SampleSet,
  y: mmd.SampleSet,
  same: bool,
  sigma: Float[Array, " s"],
  shift: Float[Array, " s"],
  block_size: int,
) -> Float[Array, "g h"]:
  """Computes `mmd.dense_sums` of the distances of two sets in blocks."""
  constants = _Constants(
    _in_blocks(x.groups, block_size),
    _in_blocks(y.groups, block_size),
    mmd.pooled_centre(x, y),
    sigma,
    shift,
  )
  rows = _in_blocks(x.rows, block_size), _in_blocks(y.rows, block_size)
  sums = _scan_sum(*rows, constants, same)
  # Of a set with itself each pair of blocks was seen from one side.
  return 0.5 * (sums + sums.T) if same else sums


def sum_over_blocks(
  x: mmd.SampleSet,
  y: mmd.SampleSet,
  block_size: int,
  fn: Callable[[Array, Array], Array],
) -> Array:
  """Sums `fn` of the squared distances of blocks of pairs; no gradient.

  Args:
    x: One set.
    y: Another set.
    block_size: Rows of a block.
    fn: (squared distances, which pairs are two real rows) -> numbers.
  """
  x, y = jax.lax.stop_gradient((x, y))
  centre = mmd.pooled_centre(x, y)
  parts = [
    mmd.SampleSet(*(_in_blocks(each, block_size) for each in part))
    for part in (x, y)
  ]

  def one(i: Array, j: Array) -> Array:
    a, b = (
      mmd.SampleSet(part.rows[at], part.groups[at])
      for part, at in zip(parts, (i, j), strict=True)
    )
    distances = mmd.squared_distances(a.rows, b.rows, centre)
    return fn(distances, mmd.real_rows(a)[:, None] & mmd.real_rows(b)[None, :])

  i, j, _ = _block_pairs(parts[0].rows, parts[1].rows, False)
  start = jnp.zeros_like(one(i[0], j[0]))
  return jax.lax.scan(
    lambda total, at: (total + one(*at), None), start, (i, j)
  )[0]


class _Constants(NamedTuple):
  """Holds what a blockwise sum depends on beside its rows."""

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
) -> Float[Array, "g h"]:
  """Sums the kernel over pairs of rows, one pair of blocks at a time."""

  def step(totals: Array, at: tuple[Array, ...]) -> tuple[Array, None]:
    i, j, weight = at
    value = weight * _block_sum(x[i], y[j], constants, i, j, same)
    return totals.at[i].add(value), None

  # One total for each block of x: few numbers enter each sum, and little is
  # rounded away.
  groups = constants.x_groups.shape[-1], constants.y_groups.shape[-1]
  totals = jnp.zeros((x.shape[0], *groups), x.dtype)
  totals, _ = jax.lax.scan(step, totals, _block_pairs(x, y, same))
  return totals.sum(axis=0)


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
  """Lists pairs of block numbers and the weight of each."""
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
) -> Float[Array, "g h"]:
  distances = mmd.squared_distances(x, y, constants.centre)
  kernel = mmd.gaussian_kernel(distances, constants.sigma, constants.shift)
  if same:
    itself = (i == j) & jnp.eye(kernel.shape[0], dtype=bool)
    kernel = jnp.where(itself, 0.0, kernel)
  return mmd.group_sums(kernel, constants.x_groups[i], constants.y_groups[j])
