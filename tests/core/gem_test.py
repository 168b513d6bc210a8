"""GEM's projection against quadprog in float64, SciPy, and hand values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quadprog
import scipy.optimize

from mmer_jax.core import gem

# Parameters of one task: 4, 23 and 153 numbers, fewer than t or more.
TINY = {"b": (1,), "w": (1, 3)}
NARROW = {"b": (3,), "deep": {"b": (2, 1, 2), "w": (4, 4)}}
WIDE = {"b": (9,), "deep": {"b": (3, 5, 4), "w": (12, 7)}}
# Of each t below, which makes 1002 for each eps.
PROBLEMS = 167


def is_shape(x):
  return isinstance(x, tuple)


def unflatten(array, shapes):
  """(..., p) to a tree of (..., *shape)."""
  leaves, tree = jax.tree.flatten(shapes, is_leaf=is_shape)
  ends = np.cumsum([np.prod(shape, dtype=int) for shape in leaves])
  assert ends[-1] == array.shape[-1]
  parts = np.split(array, ends[:-1], axis=-1)
  lead = array.shape[:-1]
  parts = zip(parts, leaves, strict=True)
  return tree.unflatten([x.reshape(*lead, *shape) for x, shape in parts])


def flatten(tree, lead):
  """A tree of (..., *shape) to (..., p) in float64."""
  return np.concatenate(
    [
      np.asarray(x, np.float64).reshape(*x.shape[:lead], -1)
      for x in jax.tree.leaves(tree)
    ],
    axis=-1,
  )


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, 0, 0, None))
def project_all(gradient, rows, margin, eps):
  return gem.project(gradient, rows, margin=margin, eps=eps)


@jax.jit
def project(gradient, rows, margin, eps):
  return gem.project(gradient, rows, margin=margin, eps=eps)


def project_flat(gradient, rows, margin, eps):
  """One vector and one matrix, as a tree of a single leaf."""
  got = project(
    jnp.asarray(gradient, jnp.float32),
    jnp.asarray(rows, jnp.float32),
    margin,
    eps,
  )
  return np.asarray(got.gradient), np.asarray(got.dual), bool(got.violated)


def reference(gradient, rows, margin, eps):
  """`project2cone2` of the published code, its eps relative to GG'."""
  gradient, rows = gradient.astype(np.float64), rows.astype(np.float64)
  products = rows @ gradient
  if not (products < 0).any():
    return gradient, np.zeros(len(rows))
  gram = rows @ rows.T
  gram += eps * np.diagonal(gram).mean() * np.eye(len(rows))
  dual = quadprog.solve_qp(
    gram, -products, np.eye(len(rows)), np.full(len(rows), float(margin))
  )[0]
  return gradient + dual @ rows, dual


def problem(rng, t, p):
  """A gradient and t rows of one of eight kinds, in float32."""
  gradient, rows = rng.normal(size=p), rng.normal(size=(t, p))
  kind = rng.integers(8)
  source = rng.integers(max(t // 2, 1), size=t)
  if kind == 1:  # tasks that agree, and a gradient with or against them
    rows += rng.choice([0.5, 3, 10]) * rng.normal(size=p)
    gradient += rng.uniform(-3, 3) * rows.mean(axis=0)
  elif kind == 2:  # repeated
    rows = rows[source]
  elif kind == 3:  # collinear and exactly opposed
    rows = rows[source] * rng.choice([-2, -1, 0.5, 1, 3], size=(t, 1))
  elif kind == 4:  # some zero, or all
    rows[rng.random(t) < rng.choice([0.4, 1.0], p=[0.9, 0.1])] = 0
  elif kind == 5:  # of low rank
    rank = max(min(t, p) // 3, 1)
    rows = rows[:, :rank] @ rng.normal(size=(rank, p))
  elif kind == 6:  # one opposed to the gradient, and of different lengths
    gradient = 0.1 * gradient - rows[0]
    rows *= 10 ** rng.uniform(-1, 1, size=(t, 1))
  elif kind == 7:  # a gradient that is itself a memory's, turned round
    gradient = -rows[rng.integers(t)]
  gradient *= 10 ** rng.uniform(-1, 1)
  return gradient.astype(np.float32), rows.astype(np.float32)


@pytest.mark.parametrize("eps", [1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize(
  ("t", "shapes"),
  [
    (1, WIDE),
    (3, NARROW),
    (5, TINY),
    (9, WIDE),
    (33, NARROW),
    (64, WIDE),
  ],
)
def test_projections_equal_quadprog_in_float64(t, shapes, eps):
  rng = np.random.default_rng(t)
  leaves = jax.tree.leaves(shapes, is_leaf=is_shape)
  p = sum(np.prod(shape, dtype=int) for shape in leaves)
  gradients, rows = map(
    np.stack, zip(*[problem(rng, t, p) for _ in range(PROBLEMS)], strict=True)
  )
  margins = np.where(np.arange(PROBLEMS) % 2, 0.5, 0.0).astype(np.float32)
  got = project_all(
    unflatten(gradients, shapes), unflatten(rows, shapes), margins, eps
  )
  projected = flatten(got.gradient, 1)
  duals, violated = np.asarray(got.dual), np.asarray(got.violated)
  assert np.isfinite(projected).all()
  assert np.isfinite(duals).all()
  untouched = 0
  for i, margin in enumerate(margins):
    expected, dual = reference(gradients[i], rows[i], margin, eps)
    # A projection that nearly vanishes is what two terms as long as g leave of
    # each other. Float32 rounds each by 6e-8 of g, which is more than 1e-4 of
    # what is left once that is below 6e-4 of g. So g's length takes over, at a
    # factor that leaves room for the several terms at t > 1.
    length = np.linalg.norm(gradients[i])
    scale = max(np.linalg.norm(expected), 0.03 * length)
    error = np.linalg.norm(projected[i] - expected)
    assert error <= 1e-4 * scale, (i, error / scale)
    assert violated[i] == dual.any()
    if not dual.any():
      np.testing.assert_array_equal(projected[i], gradients[i])
      assert not duals[i].any()
      untouched += 1
    else:
      assert (duals[i] >= margin).all()
  assert 0 < untouched < PROBLEMS


def test_one_memory_equals_hand_values():
  # <g, g1> = 2 - 6 + 2 = -2 and |g1|^2 = 9, so v = 2 / (9 * 1.125), and with a
  # margin above that v is the margin.
  gradient = {"b": jnp.array(2.0), "w": jnp.array([1.0, -3.0])}
  rows = {"b": jnp.array([1.0]), "w": jnp.array([[2.0, 2.0]])}
  for margin, v in ((0.0, 2 / 10.125), (0.5, 0.5)):
    got = project(gradient, rows, margin, 0.125)
    assert got.violated
    np.testing.assert_allclose(got.dual, [v], rtol=1e-6)
    np.testing.assert_allclose(got.gradient["b"], 2 + v, rtol=1e-6)
    np.testing.assert_allclose(
      got.gradient["w"], [1 + 2 * v, -3 + 2 * v], rtol=1e-6
    )


def test_orthogonal_memories_equal_hand_values():
  # GG' = diag(4, 1), whose mean is 2.5, and eps m = 0.5: the entries of v are
  # apart, max(margin, 2 / 4.5) and max(margin, 3 / 1.5) against (-1, -3).
  rows = [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
  for gradient, margin, dual, expected in [
    ([-1, -3, 5], 0.0, [4 / 9, 2], [-1 / 9, -1, 5]),
    # The second is not violated: at margin 0 it has no say, at 0.5 it has.
    ([-1, 3, 5], 0.0, [4 / 9, 0], [-1 / 9, 3, 5]),
    ([-1, 3, 5], 0.5, [0.5, 0.5], [0, 3.5, 5]),
    # Neither is, and a margin does not come into it.
    ([0, 3, 5], 0.5, [0, 0], [0, 3, 5]),
  ]:
    got, v, violated = project_flat(gradient, rows, margin, 0.2)
    np.testing.assert_allclose(v, dual, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    assert violated == any(dual)


def test_what_violates_nothing_is_returned_bit_for_bit():
  # A zero with its sign, and numbers that a scaling could round away.
  gradient = np.array([1.0, -0.0, -1e-42], np.float32)
  rows = np.array([[3, -1, 0], [0, 0, 0]], np.float32)
  got, dual, violated = project_flat(gradient, rows, 0.5, 1e-3)
  np.testing.assert_array_equal(got.view(np.int32), gradient.view(np.int32))
  assert not dual.any() and not violated


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("factor", [1e-20, 2.0**-60, 3e-7, 2.0**50, 1e15])
def test_larger_gradients_have_a_projection_as_much_larger(factor, margin):
  rng = np.random.default_rng(5)
  factor = np.float32(factor)
  gradient = rng.normal(size=20).astype(np.float32)
  rows = (rng.normal(size=(6, 20)) - 0.3 * gradient).astype(np.float32)
  got, dual, violated = project_flat(gradient, rows, margin, 1e-3)
  assert violated
  large, same, _ = project_flat(factor * gradient, factor * rows, margin, 1e-3)
  np.testing.assert_allclose(large / factor, got, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(same, dual, rtol=1e-5, atol=1e-6)
  if margin == 0:
    alone, _, _ = project_flat(factor * gradient, rows, margin, 1e-3)
    np.testing.assert_allclose(alone / factor, got, rtol=1e-5, atol=1e-6)
    alone, _, _ = project_flat(gradient, factor * rows, margin, 1e-3)
    np.testing.assert_allclose(alone, got, rtol=1e-5, atol=1e-6)


def test_any_finite_input_has_a_finite_projection():
  rng = np.random.default_rng(6)
  gradient = rng.normal(size=20).astype(np.float32)
  opposed = np.tile(-gradient, (6, 1))
  collinear = opposed * np.arange(-2, 4)[:, None].astype(np.float32)
  some = opposed * (np.arange(6) == 3)[:, None]
  zero = np.zeros_like(opposed)
  for rows in (opposed, collinear, some, zero, rng.normal(size=(6, 20))):
    for of_gradient in (0.0, 1e-38, 1e-20, 1.0, 1e15, 1e37):
      for of_rows in (1e-38, 1e-20, 1.0, 1e15, 1e37):
        for margin in (0.0, 0.5):
          for eps in (0.0, 1e-3):
            scaled = (rows * of_rows).astype(np.float32)
            got, dual, _ = project_flat(
              of_gradient * gradient, scaled, margin, eps
            )
            assert np.isfinite(got).all()
            assert np.isfinite(dual).all()


def singular(rng, n):
  """Problems of t = 6 in 20 parameters that have a singular GG'."""
  gradient, rows = rng.normal(size=20), rng.normal(size=(6, 20))
  gradient -= rng.uniform(0, 1) * rows.sum(axis=0)
  if n % 4 == 0:  # repeated
    rows = rows[[0, 1, 2, 0, 1, 0]]
  elif n % 4 == 1:  # opposed: what is left is orthogonal to the first row
    rows[1] = -2 * rows[0]
  elif n % 4 == 2:  # zero
    rows[rng.permutation(6)[:3]] = 0
  else:  # of rank 2, and exactly so: the products of integers are not rounded
    rows = rng.integers(-3, 4, size=(6, 2)) @ np.round(4 * rows[:2])
  return gradient.astype(np.float32), rows.astype(np.float32)


def test_singular_memories_are_projected_where_quadprog_fails():
  rng = np.random.default_rng(7)
  failures = 0
  for n in range(100):
    gradient, rows = singular(rng, n)
    if not (rows @ gradient < 0).any():
      continue
    try:
      reference(gradient, rows, 0.0, 0.0)
    except ValueError as error:
      assert "matrix G is not positive definite" in str(error)
      failures += 1
    got, dual, violated = project_flat(gradient, rows, 0.0, 0.0)
    assert violated
    # v is not unique here. The projection is, and without the regulariser it
    # is what least squares with v >= 0 leaves of g.
    g, G = gradient.astype(np.float64), rows.astype(np.float64)
    expected = g + scipy.optimize.nnls(G.T, -g)[0] @ G
    length = np.linalg.norm(g)
    assert np.linalg.norm(got - expected) <= 1e-5 * length
    assert (G @ got >= -1e-5 * length * np.linalg.norm(G, axis=1)).all()
    assert (dual >= 0).all()
  assert failures > 50


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_large_gradients_are_projected_where_quadprog_fails(margin):
  rng = np.random.default_rng(8)
  failures = 0
  for _ in range(50):
    gradient = rng.normal(size=20).astype(np.float32)
    rows = rng.normal(size=(6, 20)).astype(np.float32)
    large = np.float32(1e4)
    try:
      reference(large * gradient, large * rows, margin, 1e-3)
    except ValueError as error:
      assert "constraints are inconsistent" in str(error)
      failures += 1
    got, _, _ = project_flat(large * gradient, large * rows, margin, 1e-3)
    expected, _ = reference(gradient, rows, margin, 1e-3)
    error = np.linalg.norm(got / large - expected)
    assert error <= 1e-4 * np.linalg.norm(expected)
  assert failures > 25


def test_a_small_eps_leaves_every_memory_unharmed():
  rng = np.random.default_rng(9)
  harms = {}
  for eps in (1e-2, 1e-4, 1e-6):
    harms[eps] = 0.0
    for n in range(40):
      gradient, rows = singular(rng, n)
      got, _, _ = project_flat(gradient, rows, 0.0, eps)
      lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(gradient)
      cosines = rows @ got / np.where(lengths, lengths, 1)
      harms[eps] = max(harms[eps], -cosines.min())
    # v_k eps m is what is left of a violation, and sqrt(eps) |g| / 2 at most
    # for rows that are all as long as their mean.
    assert harms[eps] <= np.sqrt(eps)
  assert harms[1e-6] < 1e-4 < harms[1e-2]


def test_vmap_equals_a_loop():
  rng = np.random.default_rng(10)
  pairs = [problem(rng, 6, 20) for _ in range(12)]
  gradients, rows = map(np.stack, zip(*pairs, strict=True))
  margins = np.linspace(0, 0.5, 12, dtype=np.float32)
  got = project_all(gradients, rows, margins, 1e-3)
  assert 0 < got.violated.sum() < 12
  # The searches differ in length, and each must stop where it is done.
  assert len(np.unique((got.dual > margins[:, None]).sum(axis=1))) > 2
  for i in range(12):
    alone, dual, violated = project_flat(
      gradients[i], rows[i], float(margins[i]), 1e-3
    )
    error = np.linalg.norm(alone - got.gradient[i])
    assert error <= 1e-5 * np.linalg.norm(gradients[i])
    np.testing.assert_allclose(dual, got.dual[i], rtol=1e-4, atol=1e-5)
    assert violated == got.violated[i]


def test_jit_equals_eager():
  rng = np.random.default_rng(11)
  rows = rng.normal(size=(6, 20)).astype(np.float32)
  gradient = -rows.sum(axis=0)
  eager = gem.project(
    jnp.asarray(gradient), jnp.asarray(rows), margin=0.5, eps=1e-3
  )
  got, dual, violated = project_flat(gradient, rows, 0.5, 1e-3)
  np.testing.assert_allclose(eager.gradient, got, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(eager.dual, dual, rtol=1e-5)
  assert eager.violated and violated


def test_leaves_keep_their_dtype_and_sums_are_float32():
  # 1 + 2**-9 and the like are no bfloat16, and neither are the sums of squares
  # of a thousand numbers.
  rng = np.random.default_rng(12)
  rows = {"b": rng.normal(size=(3, 4)), "w": rng.normal(size=(3, 40, 25))}
  gradient = jax.tree.map(lambda x: 0.1 * x[0] - x.sum(axis=0), rows)
  # A tree may mix dtypes.
  dtypes = {"b": jnp.float32, "w": jnp.bfloat16}
  gradient, rows = (
    jax.tree.map(jnp.asarray, tree, dtypes) for tree in (gradient, rows)
  )
  got = project(gradient, rows, 0.0, 1e-3)
  expected, dual = reference(flatten(gradient, 0), flatten(rows, 1), 0.0, 1e-3)
  assert got.violated
  assert jax.tree.map(lambda x: x.dtype, got.gradient) == dtypes
  np.testing.assert_allclose(got.dual, dual, rtol=1e-4)
  expected = unflatten(expected, {"b": (4,), "w": (40, 25)})
  np.testing.assert_allclose(got.gradient["b"], expected["b"], atol=1e-4)
  # Half of bfloat16's spacing: rounded once, from float32.
  np.testing.assert_allclose(
    got.gradient["w"].astype(np.float32), expected["w"], rtol=2**-8, atol=1e-4
  )


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_the_program_never_calls_back_to_the_host(platform):
  arguments = jnp.ones(20), jnp.ones((6, 20)), 0.5, 1e-3
  exported = jax.export.export(project, platforms=[platform])(*arguments)
  assert "callback" not in exported.mlir_module()
  if platform == "cpu":
    compiled = project.lower(*arguments).compile()
    assert "callback" not in compiled.as_text()
