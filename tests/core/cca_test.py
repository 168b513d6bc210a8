"""The modality check's parts against NumPy, SciPy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import cca, least_squares


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


def paired(n=60, p=4, q=3, seed=0):
  """Two sets that share two directions."""
  rng = np.random.default_rng(seed)
  shared = rng.normal(size=(n, 2))
  x = shared @ rng.normal(size=(2, p)) + 0.5 * rng.normal(size=(n, p))
  y = shared @ rng.normal(size=(2, q)) + 0.5 * rng.normal(size=(n, q))
  return x - x.mean(axis=0), y - y.mean(axis=0)


def fitted(x, y, ridge=0.0, components=100):
  mask = jnp.ones(len(x), bool)
  return cca.fit(
    jnp.asarray(x), jnp.asarray(y), mask, ridge=ridge, components=components
  )


def test_correlations_equal_those_of_orthonormal_bases(float64):
  # Bjorck and Golub 1973: singular values of Qx' Qy.
  x, y = paired()
  expected = np.linalg.svd(
    np.linalg.qr(x)[0].T @ np.linalg.qr(y)[0], compute_uv=False
  )
  maps = fitted(x, y)
  np.testing.assert_allclose(maps.correlations, expected, rtol=1e-10)
  u, v = x @ np.asarray(maps.first), y @ np.asarray(maps.second)
  np.testing.assert_allclose(u.T @ u / len(u), np.eye(3), atol=1e-10)
  np.testing.assert_allclose(v.T @ v / len(v), np.eye(3), atol=1e-10)
  np.testing.assert_allclose(u.T @ v / len(u), np.diag(expected), atol=1e-10)


def test_correlations_equal_those_of_scikit_learn(float64):
  from sklearn.cross_decomposition import CCA

  x, y = paired()
  u, v = (
    CCA(n_components=2, scale=False, tol=1e-12, max_iter=20000)
    .fit(x, y)
    .transform(x, y)
  )
  expected = [np.corrcoef(u[:, k], v[:, k])[0, 1] for k in range(2)]
  found = fitted(x, y).correlations
  np.testing.assert_allclose(found[:2], expected, rtol=1e-6)


def test_a_ridge_equals_the_whitened_numpy_solution(float64):
  x, y = paired()

  def whiten(rows):
    covariance = rows.T @ rows / len(rows)
    size = len(covariance)
    covariance += 0.3 * np.trace(covariance) / size * np.eye(size)
    return np.linalg.inv(np.linalg.cholesky(covariance)).T

  expected = np.linalg.svd(
    whiten(x).T @ (x.T @ y / len(x)) @ whiten(y), compute_uv=False
  )
  maps = fitted(x, y, ridge=0.3, components=2)
  np.testing.assert_allclose(maps.correlations, expected[:2], rtol=1e-10)
  assert maps.first.shape == (4, 2) and maps.second.shape == (3, 2)


@pytest.mark.parametrize("case", ["repeated", "constant", "few rows"])
def test_rank_deficient_sets_have_finite_maps_and_the_same_correlations(
  float64, case
):
  x, y = paired(n=3 if case == "few rows" else 60)
  more = {
    "repeated": np.concatenate([x, x @ np.ones((4, 2))], axis=1),
    "constant": np.concatenate([x, np.zeros((len(x), 2))], axis=1),
    "few rows": x,
  }[case]
  maps = fitted(more, y)
  assert all(np.isfinite(leaf).all() for leaf in maps)
  assert (np.asarray(maps.correlations) <= 1 + 1e-9).all()
  if case != "few rows":
    expected = fitted(x, y).correlations
    np.testing.assert_allclose(maps.correlations[:3], expected, atol=1e-8)


def test_masked_rows_do_not_count(float64):
  x, y = paired()
  rubbish = np.concatenate([x, np.full((2, 4), 1e6)])
  with_them = cca.fit(
    jnp.asarray(rubbish),
    jnp.asarray(np.concatenate([y, np.full((2, 3), -1e6)])),
    jnp.arange(len(rubbish)) < len(x),
    ridge=0.1,
    components=9,
  )
  expected = fitted(x, y, ridge=0.1).correlations
  np.testing.assert_allclose(with_them.correlations, expected, rtol=1e-10)
  alone = cca.principal(jnp.asarray(x), jnp.ones(len(x), bool), 9)
  masked = cca.principal(
    jnp.asarray(rubbish), jnp.arange(len(rubbish)) < len(x), 9
  )
  np.testing.assert_allclose(masked.variance, alone.variance, rtol=1e-10)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (5, 5)])
def test_principal_components_equal_the_singular_vectors(float64, shape):
  rows = np.random.default_rng(0).normal(1.0, 2.0, size=shape)
  found = cca.principal(
    jnp.asarray(rows), jnp.ones(len(rows), bool), components=4
  )
  _, values, vectors = np.linalg.svd(
    rows - rows.mean(axis=0), full_matrices=False
  )
  kept = found.basis.shape[1]
  assert kept == 4
  np.testing.assert_allclose(
    found.variance, np.square(values[:kept]) / len(rows), rtol=1e-9, atol=1e-9
  )
  agreement = np.abs(np.sum(np.asarray(found.basis) * vectors[:kept].T, axis=0))
  np.testing.assert_allclose(agreement, 1, rtol=1e-9)
  assert cca.reduce(found, jnp.asarray(rows)).shape == (shape[0], kept)


def test_a_sample_correlates_as_numpy_says():
  rng = np.random.default_rng(0)
  u, v = rng.normal(size=(2, 5, 7)).astype(np.float32)
  # A scale of either side changes nothing, and nor does a shift.
  got = cca.pearson(jnp.asarray(1e18 * u), jnp.asarray(0.1 * v + 3))
  expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(u, v, strict=True)]
  np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
  flat = cca.pearson(jnp.ones((2, 7)), jnp.asarray(v[:2]))
  np.testing.assert_array_equal(flat, 0)


def test_turning_a_pair_of_components_changes_no_cosine_and_no_likelihood():
  """No analysis defines the sign; Pearson's mean over components needs it."""
  rng = np.random.default_rng(2)
  drawn = rng.normal(1.0, 2.0, size=(2, 9, 5)).astype(np.float32)
  first, second = jnp.asarray(drawn[0]), jnp.asarray(drawn[1])
  turn = jnp.array([[1, -1, -1, 1, -1]], jnp.float32)
  rho = jnp.asarray([0.9, 0.8, 0.5, 0.2, 0.0])
  for score in (cca.cosine, lambda x, y: cca.likelihood(x, y, rho)):
    np.testing.assert_array_equal(
      score(first * turn, second * turn), score(first, second)
    )
  pearson = np.asarray(cca.pearson(first, second))
  assert np.abs(cca.pearson(first * turn, second * turn) - pearson).max() > 0.1
  expected = (drawn[0] * drawn[1]).sum(axis=1)
  expected /= np.linalg.norm(drawn, axis=2).prod(axis=0)
  np.testing.assert_allclose(cca.cosine(first, second), expected, rtol=1e-5)
  assert cca.cosine(jnp.zeros((1, 5)), second[:1]) == 0


def test_the_signs_of_components_are_not_the_solvers(float64, monkeypatch):
  """So that Pearson's reading is the same wherever it is computed."""
  x, y = paired()
  mask = jnp.ones(len(x), bool)
  maps, reduced = fitted(x, y), cca.principal(jnp.asarray(x), mask, 3)
  svd, eigh = jnp.linalg.svd, jnp.linalg.eigh

  def turned_svd(matrix, **options):
    left, values, right = svd(matrix, **options)
    turn = jnp.where(jnp.arange(len(values)) % 2 == 0, -1.0, 1.0)
    return left * turn[None, :], values, right * turn[:, None]

  def turned_eigh(matrix):
    values, vectors = eigh(matrix)
    return values, -vectors

  monkeypatch.setattr(jnp.linalg, "svd", turned_svd)
  monkeypatch.setattr(jnp.linalg, "eigh", turned_eigh)
  for before, after in (
    (maps.first, fitted(x, y).first),
    (maps.second, fitted(x, y).second),
    (reduced.basis, cca.principal(jnp.asarray(x), mask, 3).basis),
  ):
    np.testing.assert_allclose(after, before, atol=1e-10)


def test_likelihood_by_hand():
  # One component: N(1; 0.6 * 2, 1 - 0.36), (1 - 1.2)^2 / 0.64 = 0.0625.
  got = cca.likelihood(jnp.array([[1.0]]), jnp.array([[2.0]]), jnp.array([0.6]))
  np.testing.assert_allclose(got, -0.5 * (0.0625 + np.log(0.64)), rtol=1e-6)
  fits, off = cca.likelihood(
    jnp.array([[1.0, 0.1], [10.0, -12.0]]),
    jnp.array([[1.0, 0.2], [1.0, 0.2]]),
    jnp.array([0.6, 0.3]),
  )
  assert off < -20 < fits


def test_the_indicator_of_equation_1():
  def both(a, b, score):
    return {(a, b): jnp.array(score), (b, a): jnp.array(score)}

  scores = {
    **both("acoustic", "lexical", [0.9, 0.1, 0.1, 0.9, 0.1]),
    **both("acoustic", "visual", [0.1, 0.5, 0.1, 0.1, 0.1]),
    **both("lexical", "visual", [0.1, 0.1, 0.1, 0.9, 0.1]),
  }
  present = {
    "acoustic": jnp.array([True, True, True, False, False]),
    "lexical": jnp.array([True, True, True, True, False]),
    "visual": jnp.array([True, True, True, True, True]),
  }
  got = cca.effective(scores, present, jnp.array(0.5))
  # Row 0: vision fits nobody. Row 1: exactly at tau is effective; words fit
  # nobody. Row 2: nothing fits. Row 3: sound is absent. Row 4: nothing to
  # check by.
  np.testing.assert_array_equal(got["acoustic"], [1, 1, 0, 0, 0])
  np.testing.assert_array_equal(got["lexical"], [1, 0, 0, 1, 0])
  np.testing.assert_array_equal(got["visual"], [0, 1, 0, 1, 1])


@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_neighbours_equal_a_sort(block_size):
  rng = np.random.default_rng(0)
  bank = rng.normal(50.0, 1.0, size=(30, 3)).astype(np.float32)
  queries = rng.normal(50.0, 1.0, size=(4, 3)).astype(np.float32)
  valid = rng.random(30) < 0.7
  got, real = cca.nearest(
    jnp.asarray(bank),
    jnp.asarray(valid),
    jnp.asarray(queries),
    neighbours=5,
    block_size=block_size,
  )
  distance = np.linalg.norm(queries[:, None] - bank[None], axis=-1)
  distance[:, ~valid] = np.inf
  np.testing.assert_array_equal(got, np.argsort(distance, axis=1)[:, :5])
  assert real.all()
  few = np.arange(30) < 2
  _, real = cca.nearest(
    jnp.asarray(bank), jnp.asarray(few), jnp.asarray(queries), neighbours=5
  )
  np.testing.assert_array_equal(real.sum(axis=1), 2)


@pytest.mark.parametrize("k", [2, 6])
def test_coefficients_are_the_minimum_norm_solution(float64, k):
  rng = np.random.default_rng(0)
  basis = rng.normal(size=(3, k, 4))
  basis[1, 1] = basis[1, 0]
  vectors = rng.normal(size=(3, 4))
  valid = np.ones((3, k), bool)
  valid[2, 0] = False
  got = least_squares.coefficients(
    jnp.asarray(basis), jnp.asarray(valid), jnp.asarray(vectors)
  )
  for row in range(3):
    used = np.where(valid[row][:, None], basis[row], 0.0)
    expected = np.linalg.lstsq(used.T, vectors[row], rcond=1e-6)[0]
    np.testing.assert_allclose(got[row], expected, rtol=1e-8, atol=1e-10)


def test_regression_equals_numpy(float64):
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
  got = least_squares.regress(
    jnp.asarray(x.T @ x), jnp.asarray(x.T @ y), ridge=0.0
  )
  np.testing.assert_allclose(
    got, np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-10
  )
  # A column that is always zero needs the ridge.
  x[:, 1] = 0
  got = least_squares.regress(
    jnp.asarray(x.T @ x), jnp.asarray(x.T @ y), ridge=1e-6
  )
  assert np.isfinite(got).all()


def test_regression_without_a_ridge_is_least_squares_of_any_rank():
  """Of a modality of one frame the frame is its own mean."""
  rng = np.random.default_rng(0)
  frame = rng.normal(size=(40, 3)) + 0.5
  x = np.concatenate([frame, frame, np.ones((40, 1))], axis=1)
  y = rng.normal(size=(40, 2)) + frame[:, :1]
  gram, cross = (jnp.asarray(x.T @ z, jnp.float32) for z in (x, y))
  expected, _, rank, _ = np.linalg.lstsq(x, y, rcond=1e-6)
  assert rank == 4
  for ridge in (0.0, 1e-9):
    got = least_squares.regress(gram, cross, ridge=ridge)
    np.testing.assert_allclose(got, expected, atol=1e-4)
  # Half of each of two columns that are one.
  np.testing.assert_allclose(got[:3], got[3:6], atol=1e-4)


def test_columns_of_any_scale_and_combination_are_fitted():
  rng = np.random.default_rng(1)
  z = rng.normal(size=(60, 4))
  x = np.concatenate([1e4 * z[:, :2], 1e-3 * z, z[:, 1:3] - z[:, :2]], axis=1)
  y = z @ rng.normal(size=(4, 2))
  gram, cross = (jnp.asarray(v, jnp.float32) for v in (x.T @ x, x.T @ y))
  got = least_squares.regress(gram, cross, ridge=0.0)
  np.testing.assert_allclose(x @ got, y, atol=1e-2)


def test_regression_on_nothing_is_zero():
  ones = jnp.ones((3, 3))
  np.testing.assert_allclose(
    least_squares.regress(ones, jnp.ones((3, 2)), ridge=0.0), 1 / 3, rtol=1e-5
  )
  for ridge in (0.0, 1e-3):
    got = least_squares.regress(0 * ones, jnp.zeros((3, 2)), ridge=ridge)
    np.testing.assert_array_equal(got, 0)
  # A column of zeros beside others.
  x = np.array([[1.0, 0.0], [2.0, 0.0]], np.float32)
  got = least_squares.regress(
    jnp.asarray(x.T @ x), jnp.asarray(x.T @ x), ridge=0.0
  )
  np.testing.assert_allclose(got, [[1.0, 0.0], [0.0, 0.0]], atol=1e-6)
