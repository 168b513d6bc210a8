"""MMD, dense and blockwise, against a loop in float64; on four devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import mmd, mmd_blockwise, mmd_pairs

MIXTURE = (0.5, 2.0, 30.0)


def numpy_mmd(p, q, sigma, biased=False):
  """Eq. 3 and its gradients, one pair at a time, in float64."""
  p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
  m, n = len(p), len(q)
  value, dp, dq = 0.0, np.zeros_like(p), np.zeros_like(q)
  of_p = m * m if biased else m * (m - 1)
  of_q = n * n if biased else n * (n - 1)
  for x, y, dx, dy, weight, same in (
    (p, p, dp, dp, 1 / of_p, True),
    (q, q, dq, dq, 1 / of_q, True),
    (p, q, dp, dq, -2 / (m * n), False),
  ):
    for i in range(len(x)):
      for j in range(len(y)):
        if same and i == j and not biased:
          continue
        away = x[i] - y[j]
        for s in np.atleast_1d(sigma):
          k = np.exp(-(away @ away) / (2 * s * s)) / np.size(sigma)
          value += weight * k
          dx[i] -= weight * k / (s * s) * away
          dy[j] += weight * k / (s * s) * away
  return value, dp, dq


def draw(case, m=23, n=17, d=5):
  """Two float32 sets and a bandwidth."""
  rng = np.random.default_rng(sorted(CASES).index(case))
  p = rng.normal(size=(m, d)) * [1.0, 0.5, 2.0, 1.0, 0.1]
  q = rng.normal(0.4, 1.3, size=(n, d))
  shift_p, shift_q, sigma = CASES[case]
  return (
    jnp.asarray(p + shift_p, jnp.float32),
    jnp.asarray(q + shift_q, jnp.float32),
    sigma,
  )


CASES = {
  "near the origin": (0.0, 0.0, 1.5),
  "off the origin": (1e2, 1e2, 1.5),
  "far from the origin": (3e4, 3e4, 1.5),
  "far from each other": (-1e3, 1e3, 1.5),
  "near and far": (0.0, 20.0, 4.0),
  "a wide kernel": (5.0, 5.0, 1e3),
  "a narrow kernel": (5.0, 5.0, 0.2),
  "three kernels": (50.0, 50.0, MIXTURE),
}
every_case = pytest.mark.parametrize("case", sorted(CASES))
both = pytest.mark.parametrize("biased", [False, True])
dense_and_blockwise = pytest.mark.parametrize("block_size", [None, 8])


@functools.cache
def compiled(block_size, biased):
  form = mmd.mmd
  if block_size is not None:
    form = functools.partial(mmd_blockwise.blockwise_mmd, block_size=block_size)

  def value(p, q, sigma, p_mask, q_mask):
    return form(p, q, sigma=sigma, p_mask=p_mask, q_mask=q_mask, biased=biased)

  # Rounding is what is tested: with the emitters that users have, see conftest.
  options = {}
  if jax.default_backend() == "cpu":
    options["xla_cpu_use_fusion_emitters"] = True
  return jax.jit(jax.value_and_grad(value, (0, 1)), compiler_options=options)


def value_and_grads(
  p, q, block_size=None, *, sigma, biased=False, p_mask=None, q_mask=None
):
  return compiled(block_size, biased)(
    p, q, jnp.asarray(sigma, p.dtype), p_mask, q_mask
  )


def assert_close(got, expected, tolerance):
  """Values relative to themselves, gradients to their largest entry."""
  np.testing.assert_allclose(got[0], expected[0], rtol=tolerance)
  for a, b in zip(got[1], expected[1:], strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@every_case
@both
@dense_and_blockwise
def test_float32_is_within_rounding_of_a_loop_in_float64(
  case, biased, block_size
):
  p, q, sigma = draw(case)
  got = value_and_grads(p, q, block_size, sigma=sigma, biased=biased)
  assert got[0].dtype == jnp.float32
  assert_close(got, numpy_mmd(p, q, sigma, biased), 2e-5)


@both
@dense_and_blockwise
def test_float64_equals_a_loop(biased, block_size):
  with jax.enable_x64(True):
    p, q, sigma = draw("three kernels")
    p, q = jnp.asarray(p, jnp.float64), jnp.asarray(q, jnp.float64)
    got = value_and_grads(p, q, block_size, sigma=sigma, biased=biased)
    assert_close(got, numpy_mmd(p, q, sigma, biased), 1e-12)


def test_a_small_difference_of_large_sets_is_not_rounded_away():
  """At 128 dimensions MMD is 1e-3 of the kernel values that it is made of."""
  rng = np.random.default_rng(3)
  p, q = rng.normal(7.0, 1.0, size=(2, 128, 128)).astype(np.float32)
  got = value_and_grads(jnp.asarray(p), jnp.asarray(q), sigma=16.0)
  expected = numpy_mmd(p, q, 16.0)
  assert abs(expected[0]) < 2e-3
  assert_close(got, expected, 2e-5)


def test_the_value_by_hand():
  """Of p = {0, 2} and q = {1, 4} on a line, with 2 sigma^2 = 1.

  Unbiased: k(2) + k(3) - (k(1) + k(4) + k(1) + k(2)) / 2 with
  k(x) = exp(-x^2). Biased: (1 + k(2)) / 2 + (1 + k(3)) / 2 less the same.
  """
  k = {x: np.exp(-float(x * x)) for x in range(5)}
  between = (k[1] + k[4] + k[1] + k[2]) / 2
  p, q = jnp.array([[0.0], [2.0]]), jnp.array([[1.0], [4.0]])
  for biased, within in (
    (False, k[2] + k[3]),
    (True, (1 + k[2]) / 2 + (1 + k[3]) / 2),
  ):
    for block_size in (None, 8):
      got, _ = value_and_grads(p, q, block_size, sigma=0.5**0.5, biased=biased)
      np.testing.assert_allclose(got, within - between, rtol=1e-5)


@both
@dense_and_blockwise
def test_masked_rows_are_in_no_sum_and_no_count(biased, block_size):
  p, q, sigma = draw("off the origin")
  rng = np.random.default_rng(1)
  p_mask, q_mask = rng.random(len(p)) < 0.6, rng.random(len(q)) < 0.6
  expected = numpy_mmd(p[p_mask], q[q_mask], sigma, biased)
  for junk in (0.0, -1e6, np.nan, np.inf):
    got = value_and_grads(
      jnp.where(jnp.asarray(p_mask)[:, None], p, junk),
      jnp.where(jnp.asarray(q_mask)[:, None], q, junk),
      block_size,
      sigma=sigma,
      biased=biased,
      p_mask=jnp.asarray(p_mask),
      q_mask=jnp.asarray(q_mask),
    )
    kept = got[0], (got[1][0][p_mask], got[1][1][q_mask])
    assert_close(kept, expected, 2e-5)
    assert not np.asarray(got[1][0])[~p_mask].any()
    assert not np.asarray(got[1][1])[~q_mask].any()


@both
@dense_and_blockwise
@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_are_no_set(biased, block_size, rows):
  p, q, sigma = draw("near the origin")
  value, grads = value_and_grads(
    p,
    q,
    block_size,
    sigma=sigma,
    biased=biased,
    p_mask=jnp.arange(len(p)) < rows,
  )
  assert value == 0
  for grad in grads:
    np.testing.assert_array_equal(grad, 0)


@both
def test_the_order_of_the_rows_means_nothing(biased):
  """Eq. 7 with a shuffle inside the batch: the two terms cancel."""
  p, q, sigma = draw("off the origin", n=23)
  order = jnp.asarray(np.random.default_rng(5).permutation(len(q)))

  def both_terms(p, q):
    paired = mmd.mmd(p, q, sigma=sigma, biased=biased)
    return paired - mmd.mmd(p, q[order], sigma=sigma, biased=biased)

  value, grads = jax.jit(jax.value_and_grad(both_terms, (0, 1)))(p, q)
  scale = value_and_grads(p, q, sigma=sigma, biased=biased)[1]
  np.testing.assert_allclose(value, 0, atol=1e-7)
  for grad, one in zip(grads, scale, strict=True):
    assert np.abs(one).max() > 1e-3
    np.testing.assert_allclose(grad, 0, atol=1e-5 * np.abs(one).max())


@both
@pytest.mark.parametrize("block_size", [1, 8, 64])
def test_blocks_change_nothing(biased, block_size):
  p, q, sigma = draw("three kernels")
  mask = jnp.arange(len(p)) % 3 > 0
  options = dict(sigma=sigma, biased=biased, p_mask=mask)
  dense = value_and_grads(p, q, **options)
  blocks = value_and_grads(p, q, block_size, **options)
  assert_close(blocks, (dense[0], *map(np.asarray, dense[1])), 2e-6)


def test_equal_sets_differ_by_nothing_and_collapsed_ones_are_finite():
  p, _, sigma = draw("off the origin")
  value, _ = value_and_grads(p, p, sigma=sigma, biased=True)
  np.testing.assert_allclose(value, 0, atol=1e-7)
  point = jnp.full((9, 4), 3.0)
  value, grads = value_and_grads(point, point, sigma=1e-3)
  assert value == 0
  np.testing.assert_array_equal(grads[0], 0)


def test_the_bandwidth_is_a_constant():
  p, q, _ = draw("near the origin")
  for fn in (mmd.mmd, mmd_blockwise.blockwise_mmd):
    grad = jax.jit(jax.grad(lambda s, fn=fn: fn(p, q, sigma=s)))(1.0)
    assert grad == 0
  through = jax.jit(jax.grad(mmd_pairs.median_sigma))(p)
  np.testing.assert_array_equal(through, 0)
