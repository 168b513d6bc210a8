"""Gradient episodic memory: a gradient along which no memory's loss rises."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from mmer_jax.core import scaling

_ROUNDING = float(jnp.finfo(jnp.float32).eps)
# 2**-126 and 2**126 are normal numbers, and so are their reciprocals.
_LARGEST_EXPONENT = 126


class Projection(NamedTuple):
  """Holds a projected gradient.

  Attributes:
    gradient: The projection, in the shapes and dtypes of what was projected.
    dual: v of Eq. 11, the weight of each memory's gradient in `gradient`;
      zeros where nothing is violated. What is past float32 is its largest.
    violated: Whether a step against the gradient raises a memory's loss.
  """

  gradient: PyTree[Float[Array, "..."]]
  dual: Float[Array, " t"]
  violated: Bool[Array, ""]


def project(
  gradient: PyTree[Float[Array, "..."]],
  memory_gradients: PyTree[Float[Array, "t ..."]],
  *,
  margin: float | Float[Array, ""],
  eps: float | Float[Array, ""],
) -> Projection:
  """Projects a gradient onto the cone where no memory's loss rises.

  With the memories' gradients as the rows of G, v minimises
  v'(GG' + eps m I)v / 2 + (Gg)'v over v >= margin, where m is the mean of the
  diagonal of GG', and the projection is g + G'v. Where no inner product of g
  with a row of G is negative, v is zero and g is returned bit for bit.

  Source: Lopez-Paz and Ranzato, Gradient Episodic Memory for Continual
    Learning, NeurIPS 2017, Eq. 11 and 12 and Algorithm 1; `margin` and `eps`
    are those of `project2cone2` in the published code.
  Deviation: the published code adds 1e-3 to the diagonal of GG' whatever the
    size of the gradients. Here `eps` is relative to the mean of the diagonal,
    so that gradients that are c times as large have a projection that is c
    times as large.
  Deviation: the published code solves for v on the host, in float64. Here all
    is compiled and in float32: the set of v that leave the margin is found
    exactly, and v and the projection are then corrected by the residual of the
    projection itself, whose rounding is not that of GG'.

  Args:
    gradient: Finite. Sums and products are in float32 whatever its dtype.
    memory_gradients: The same tree with one row per memory in front. Rows may
      be zero, repeated, or combinations of one another. While it runs there is
      a second copy of them, in float32.
    margin: Least v, at least 0. More favours the memories.
    eps: At least 0. From 1e-5 on, tests hold the projection to 1e-4 of one in
      float64. At 0, v is not unique where rows are combinations of others; the
      projection still is.

  Returns:
    The projection, v, and whether there was need of one.
  """
  margin, eps = (jnp.asarray(x, jnp.float32) for x in (margin, eps))
  leaves, tree = jax.tree.flatten(gradient)
  rows = tree.flatten_up_to(memory_gradients)

  of_gradient, of_rows, of_result = units = _units(leaves, rows, margin)
  rows = [_scale(leaf, -of_rows) for leaf in rows]
  scaled = [_scale(leaf, -of_gradient) for leaf in leaves]
  violated = jnp.any(_products(rows, scaled) < 0)
  result, dual = _solve(scaled, rows, units, margin, eps, violated)

  projected = [
    jnp.where(violated, _scale(new, of_result).astype(old.dtype), old)
    for new, old in zip(result, leaves, strict=True)
  ]
  dual = jnp.ldexp(dual, of_result - of_rows)
  dual = jnp.minimum(dual, jnp.finfo(jnp.float32).max)
  dual = jnp.where(violated, dual, 0.0)
  return Projection(tree.unflatten(projected), dual, violated)


class _Units(NamedTuple):
  """Holds the powers of two that bring numbers near 1.

  The squares of 1e-20 and 1e20 are no float32, and powers of two round nothing.

  Attributes:
    gradient: The exponent of g.
    rows: The exponent of G.
    result: That of the larger of g and margin G.
  """

  gradient: Int[Array, ""]
  rows: Int[Array, ""]
  result: Int[Array, ""]


def _units(
  leaves: Sequence[Array], rows: Sequence[Array], margin: Float[Array, ""]
) -> _Units:
  of_gradient, of_rows = _exponent(leaves), _exponent(rows)
  of_result = jnp.where(
    margin > 0,
    jnp.maximum(of_gradient, of_rows + jnp.frexp(margin)[1]),
    of_gradient,
  )
  return _Units(of_gradient, of_rows, jnp.minimum(of_result, _LARGEST_EXPONENT))


def _solve(
  gradient: Sequence[Array],
  rows: Sequence[Array],
  units: _Units,
  margin: Float[Array, ""],
  eps: Float[Array, ""],
  violated: Bool[Array, ""],
) -> tuple[list[Array], Float[Array, " t"]]:
  """Finds the projection and v, both in units of `units.result`.

  Args:
    gradient: The leaves of g, in units of `units.gradient`.
    rows: The leaves of G, in units of `units.rows`.
    units: See `_Units`.
    margin: See `project`.
    eps: See `project`.
    violated: If not, v stays at its margin.
  """
  gram = sum(_contract(leaf, leaf) for leaf in rows)
  mean_square = jnp.mean(jnp.diagonal(gram))
  mean_square = jnp.where(mean_square > 0, mean_square, 1.0)
  hessian = gram / mean_square + eps * jnp.eye(len(gram), dtype=gram.dtype)
  # v is `lower` + `above`.
  lower = jnp.ldexp(margin, units.rows - units.result)

  def correct(_: Array, at: tuple) -> tuple:
    result, above, free = at
    slope = _products(rows, result) / mean_square + eps * (lower + above)
    change, free = _descend(hessian, slope, above, free, violated)
    above = jnp.where(free, jnp.maximum(above + change, 0.0), 0.0)
    return _add_rows(result, change, rows), above, free

  start = [_scale(leaf, units.gradient - units.result) for leaf in gradient]
  nothing = jnp.zeros_like(gram[0])
  start = _add_rows(start, nothing + lower, rows), nothing, nothing > 0
  # Once solves the problem as GG' tells it, with its rounding: at t = 64 and
  # eps = 1e-3 more than 1e-4 of the projection. The second time starts at the
  # slope of the projection itself, where little is left to be rounded.
  result, above, _ = jax.lax.fori_loop(0, 2, correct, start)
  return result, lower + above


def _exponent(leaves: Sequence[Array]) -> Int[Array, ""]:
  """Finds the power of two above the largest magnitude of all leaves."""
  each = [jnp.max(jnp.abs(x), initial=0.0).astype(jnp.float32) for x in leaves]
  return scaling.exponent(jnp.stack(each))


def _scale(x: Array, exponent: Int[Array, ""]) -> Array:
  return scaling.scale(x.astype(jnp.float32), exponent)


def _contract(a: Array, b: Array) -> Array:
  """Multiplies a and b, summed over all axes but the first."""
  axes = tuple(range(1, a.ndim))
  return jnp.tensordot(
    a,
    b,
    (axes, axes),
    precision=jax.lax.Precision.HIGHEST,
    preferred_element_type=jnp.float32,
  )


def _products(
  rows: Sequence[Array], vector: Sequence[Array]
) -> Float[Array, " t"]:
  """Computes G x, leaf by leaf."""
  pairs = zip(rows, vector, strict=True)
  return sum(_contract(row, leaf[None])[:, 0] for row, leaf in pairs)


def _add_rows(
  vector: Sequence[Array], weights: Float[Array, " t"], rows: Sequence[Array]
) -> list[Array]:
  """Adds G'w, leaf by leaf."""
  highest = jax.lax.Precision.HIGHEST
  return [
    leaf + jnp.tensordot(weights, row, 1, precision=highest)
    for leaf, row in zip(vector, rows, strict=True)
  ]


def _matvec(
  matrix: Float[Array, "t t"], vector: Float[Array, " t"]
) -> Float[Array, " t"]:
  return jnp.matmul(matrix, vector, precision=jax.lax.Precision.HIGHEST)


class _Problem(NamedTuple):
  """Holds what `_descend` minimises: d'Hd / 2 + slope'd over d >= -above."""

  hessian: Float[Array, "t t"]
  slope: Float[Array, " t"]
  above: Float[Array, " t"]


class _Search(NamedTuple):
  """Holds the state of the search for the free set."""

  change: Float[Array, " t"]
  free: Bool[Array, " t"]
  newest: Bool[Array, " t"]  # the last step's addition to `free`, if any
  refused: Bool[Array, " t"]  # not to be added again before another is
  done: Bool[Array, ""]
  steps: Int[Array, ""]


def _descend(
  hessian: Float[Array, "t t"],
  slope: Float[Array, " t"],
  above: Float[Array, " t"],
  free: Bool[Array, " t"],
  wanted: Bool[Array, ""],
) -> tuple[Float[Array, " t"], Bool[Array, " t"]]:
  """Finds the d >= -above that minimises d'Hd / 2 + slope'd, and its free set.

  Lawson and Hanson's active sets (Solving Least Squares Problems, 1974,
  chapter 23): free the bound entry along which the objective falls fastest,
  move to the minimum over the free entries, and stop on the way where one of
  them meets its bound. The objective falls with each set, so none comes twice
  and the search ends. Where rounding would have it otherwise, an entry that
  leaves nothing to solve, or that its own addition pushes back to its bound, is
  refused, and none is freed for a fall that is rounding alone.

  Args:
    hessian: Positive semidefinite, with a diagonal of about 1.
    slope: The gradient at d = 0.
    above: How far below 0 each entry of d may go; 0 where not free.
    free: Entries to begin with that may be off their bound.
    wanted: If not, d = 0 without a search.

  Returns:
    d, and which of its entries are not at their bound.
  """
  problem = _Problem(hessian, slope, above)
  none = jnp.zeros_like(free)
  start = _Search(
    jnp.zeros_like(slope), free, none, none, ~wanted, jnp.int32(0)
  )

  def unfinished(at: _Search) -> Array:
    # About t + 1 steps are the rule and 2 t the most seen. What a search that
    # stops here returns is within its bounds.
    return ~at.done & (at.steps < 10 * (slope.shape[0] + 1))

  end = jax.lax.while_loop(
    unfinished, functools.partial(_search_step, problem), start
  )
  return end.change, end.free & ~end.newest


def _search_step(problem: _Problem, at: _Search) -> _Search:
  """Moves to the minimum over the free entries, or frees another one."""
  hessian, slope, above = problem
  target = _minimum(problem, at.free)
  blocks = at.free & (above + target <= 0)
  # The factor of what rounding leaves indefinite is NaN.
  refuse = ~jnp.all(jnp.isfinite(target)) | jnp.any(blocks & at.newest)
  blocked = jnp.any(blocks)
  gap = jnp.where(blocks, at.change - target, 1.0)
  share = (above + at.change) / jnp.where(gap > 0, gap, 1.0)
  share = jnp.where(blocks, share, jnp.inf)
  least = jnp.min(share)
  part = at.change + jnp.where(blocked, least, 1.0) * (target - at.change)
  change = jnp.where(blocked, jnp.maximum(part, -above), target)
  stays = at.free & ~(blocks & (share <= least))
  change = jnp.where(stays, change, -above)
  change = jnp.where(refuse, at.change, change)
  stays = jnp.where(refuse, at.free & ~at.newest, stays)

  settled = refuse | ~blocked
  refused = jnp.where(refuse, at.refused | at.newest, at.refused & blocked)
  fall = -slope - _matvec(hessian, change)
  noise = jnp.abs(slope) + _matvec(jnp.abs(hessian), jnp.abs(change))
  open_ = ~stays & ~refused & (fall > 4 * _ROUNDING * noise)
  steepest = jnp.argmax(jnp.where(open_, fall, -jnp.inf))
  newest = open_ & (jnp.arange(len(slope)) == steepest) & settled
  done = settled & ~jnp.any(open_)
  return _Search(change, stays | newest, newest, refused, done, at.steps + 1)


def _minimum(problem: _Problem, free: Bool[Array, " t"]) -> Float[Array, " t"]:
  """Finds the minimum over the free entries, the others at their bound."""
  hessian, slope, above = problem
  both = free[:, None] & free[None, :]
  masked = jnp.where(both, hessian, jnp.eye(len(slope), dtype=hessian.dtype))
  factor = jax.lax.linalg.cholesky(masked, symmetrize_input=False)
  bound = jnp.where(free, 0.0, -above)
  force = jnp.where(free, -slope - _matvec(hessian, bound), 0.0)
  target = jax.scipy.linalg.cho_solve((factor, True), force)
  return jnp.where(free, target, bound)
