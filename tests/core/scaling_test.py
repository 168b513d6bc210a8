"""Powers of two, and the statistics that have to bear numbers of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import (
  cca,
  contrastive,
  fusion,
  least_squares,
  scaling,
)

SIZES = pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])


def rows(n=24, d=5, seed=0):
  values = np.random.default_rng(seed).normal(size=(n, d))
  return jnp.asarray(values, jnp.float32)


def assert_finite(tree):
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    assert np.isfinite(np.asarray(leaf, np.float64)).all(), path


def test_exponents_by_hand():
  x = jnp.asarray([[3.0, -5.0], [0.0, 0.0], [1e30, 1.0], [1e-30, 0.0]])
  # 5 < 8 = 2^3; 1e30 < 2^100; 1e-30 < 2^-99.
  got = scaling.exponent(x, axis=1)
  np.testing.assert_array_equal(got, [[3], [0], [100], [-99]])
  got = scaling.extreme_exponent(x, axis=1)
  np.testing.assert_array_equal(got, [[0], [0], [100], [-99]])
  assert int(scaling.exponent(x)) == 100
  np.testing.assert_array_equal(scaling.scale(x[0], jnp.int32(2)), [12.0, -20])


def test_the_exponent_is_a_constant():
  grad = jax.grad(lambda x: scaling.scale(x, scaling.exponent(x)).sum())
  np.testing.assert_array_equal(grad(jnp.asarray([3.0, 1.0])), [4.0, 4.0])


@SIZES
def test_the_contrastive_loss_does_not_see_the_size(size):
  a, b = rows(6), rows(6, seed=1)
  negatives = jnp.roll(jnp.eye(6), 1, axis=1)

  def loss(a, b):
    mask = jnp.ones(6, bool)
    return contrastive.contrastive(a, b, negatives, mask, margin=0.4)

  value, grads = jax.value_and_grad(loss, (0, 1))(
    a * np.float32(size), b * np.float32(size)
  )
  np.testing.assert_allclose(value, loss(a, b), rtol=1e-5)
  assert_finite(grads)


@SIZES
def test_canonical_correlations_do_not_see_the_size(size):
  x = rows(40, 4)
  y = x @ rows(4, 3, seed=1) + 0.3 * rows(40, 3, seed=2)
  mask = jnp.arange(40) % 5 > 0
  scaled = x * np.float32(size)
  reduction = cca.principal(scaled, mask, 3)
  assert_finite(reduction)
  reduced = cca.reduce(reduction, scaled)
  assert_finite(reduced)
  for ridge in (0.0, 1e-3):
    maps = cca.fit(reduced, y, mask, ridge=ridge, components=3)
    expected = cca.fit(
      cca.reduce(cca.principal(x, mask, 3), x),
      y,
      mask,
      ridge=ridge,
      components=3,
    )
    assert_finite(maps)
    np.testing.assert_allclose(
      maps.correlations, expected.correlations, rtol=1e-3
    )
    first, second = reduced @ maps.first, y @ maps.second
    assert_finite(cca.pearson(first, second))
    assert_finite(cca.likelihood(first, second, maps.correlations))


@SIZES
def test_noise_of_any_size_has_a_score_and_neighbours(size):
  """The bank is of order 1, a query is not."""
  bank, noise = rows(40, 4), rows(3, 4, seed=1) * np.float32(size)
  index, found = cca.nearest(bank, jnp.ones(40, bool), noise, neighbours=5)
  assert found.all()
  amounts = least_squares.coefficients(bank[index], found, noise)
  assert_finite(amounts)
  correlations = jnp.asarray([0.9, 0.5, 0.2, 0.0])
  scores = cca.likelihood(noise, bank[:3], correlations)
  assert_finite(scores)
  if size > 1:
    assert (scores < -1e10).all()


@SIZES
def test_neighbours_in_a_bank_of_any_size_are_the_same(size):
  bank, queries = rows(40, 4), rows(3, 4, seed=1)
  expected, _ = cca.nearest(bank, jnp.ones(40, bool), queries, neighbours=5)
  scale = np.float32(size)
  index, found = cca.nearest(
    bank * scale, jnp.ones(40, bool), queries * scale, neighbours=5
  )
  assert found.all()
  np.testing.assert_array_equal(index, expected)
  made = least_squares.coefficients(bank[index] * scale, found, queries * scale)
  np.testing.assert_allclose(
    made,
    least_squares.coefficients(bank[index], found, queries),
    rtol=1e-3,
    atol=1e-5,
  )


@pytest.mark.parametrize("size", [1.0, 1e20])
def test_the_norm_of_a_gated_unit_does_not_see_the_size(size):
  unit = fusion.GatedMultimodalUnit(3, "float32")
  a, b = rows(12, 4).reshape(3, 4, 4), rows(12, 5, seed=1).reshape(3, 4, 5)
  mask = jnp.arange(4)[None, :] < jnp.asarray([[4], [2], [3]])
  variables = unit.init(jax.random.key(0), a, b, mask, mask, train=True)

  def fused(params, a, b):
    output, changed = unit.apply(
      {**variables, "params": params},
      a,
      b,
      mask,
      mask,
      train=True,
      mutable=[fusion.STATISTICS],
    )
    return output.fused.sum(), changed

  scale = np.float32(size)
  step = jax.value_and_grad(fused, has_aux=True)
  (value, changed), grads = step(variables["params"], scale * a, scale * b)
  assert np.isfinite(value)
  assert_finite(changed)
  assert_finite(grads)
  later = unit.apply(
    {**variables, **changed}, scale * a, scale * b, mask, mask, train=False
  )
  assert_finite(later)
