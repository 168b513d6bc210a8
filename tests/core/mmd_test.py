"""MMD, dense and blockwise, against a loop in float64; on four devices."""

import functools
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mmer_jax.core import mmd, mmd_blockwise
from mmer_jax.training import mesh as mesh_lib

ROOT = pathlib.Path(__file__).parents[2]
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
@pytest.mark.parametrize("block_size", [1, 5, 8, 64])
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
  through = jax.jit(jax.grad(mmd.median_sigma))(p)
  np.testing.assert_array_equal(through, 0)


median = jax.jit(mmd.median_sigma)


def distances(rows):
  rows = np.asarray(rows, np.float64)
  i, j = np.triu_indices(len(rows), 1)
  return np.linalg.norm(rows[i] - rows[j], axis=1)


@pytest.mark.parametrize("rows", [2, 3, 4, 11, 40])
def test_the_median_distance_is_numpys(rows):
  p = np.random.default_rng(rows).normal(100.0, 1.0, size=(rows, 5))
  p = p.astype(np.float32)
  mask = np.ones(rows + 3, bool)
  mask[[0, rows // 2, rows]] = False
  spread = np.full((rows + 3, 5), np.nan, np.float32)
  spread[mask] = p
  expected = np.median(distances(p))
  for got in (
    median(jnp.asarray(p), None),
    median(jnp.asarray(spread), jnp.asarray(mask)),
  ):
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_there_is_a_median_where_no_two_rows_differ():
  point = jnp.ones((4, 3))
  assert median(point, None) == 1
  assert median(point, jnp.zeros(4, bool)) == 1


def modalities(rows=24, d=6):
  """Latents of three modalities, each absent in some videos."""
  rng = np.random.default_rng(8)
  latents, masks = {}, {}
  for index, name in enumerate(("acoustic", "lexical", "visual")):
    latents[name] = jnp.asarray(
      rng.normal(0.3 * index + 4.0, 1.0, size=(rows, d)).astype(np.float32)
    )
    masks[name] = jnp.asarray(rng.random(rows) < 0.8)
  return latents, masks


def pairwise(latents, pairs, *, sigma, masks, split, biased=False):
  return jax.jit(
    lambda latents, masks: mmd.pairwise_mmd(
      latents, pairs, sigma=sigma, masks=masks, split=split, biased=biased
    )
  )(latents, masks)


PAIRS = (("acoustic", "visual"), ("acoustic", "lexical"))


def halves(masks):
  """The videos of which there is anything, cut in two by their order."""
  real = np.any([np.asarray(mask) for mask in masks.values()], axis=0)
  rows = np.flatnonzero(real)
  first = np.zeros(len(real), bool)
  first[rows[: len(rows) // 2]] = True
  return first, real & ~first


@both
def test_pairs_that_share_blocks_equal_pairs_apart(biased):
  latents, masks = modalities()
  got = pairwise(
    latents, PAIRS, sigma=2.0, masks=masks, split=True, biased=biased
  )
  for a, b in PAIRS:
    mask_a, mask_b = np.asarray(masks[a]), np.asarray(masks[b])
    p, q = np.asarray(latents[a]), np.asarray(latents[b])
    paired = numpy_mmd(p[mask_a], q[mask_b], 2.0, biased)[0]
    np.testing.assert_allclose(got.paired[a, b], paired, rtol=2e-5)
    unpaired = [
      numpy_mmd(p[mask_a & one], q[mask_b & other], 2.0, biased)[0]
      for one, other in (halves(masks), halves(masks)[::-1])
    ]
    np.testing.assert_allclose(got.unpaired[a, b], np.mean(unpaired), rtol=2e-5)
    assert abs(paired - np.mean(unpaired)) > 1e-3
  np.testing.assert_array_equal(got.sigma, [2.0])
  assert got.live == 1


def test_without_a_bandwidth_it_is_the_median_of_the_pairs_blocks():
  latents, masks = modalities()
  got = pairwise(latents, PAIRS[:1], sigma=None, masks=masks, split=False)
  pool = [np.asarray(latents[m])[np.asarray(masks[m])] for m in PAIRS[0]]
  expected = np.median(distances(np.concatenate(pool)))
  np.testing.assert_allclose(got.sigma, [expected], rtol=1e-6)
  assert not got.unpaired
  expected = numpy_mmd(*pool, expected)[0]
  np.testing.assert_allclose(got.paired[PAIRS[0]], expected, rtol=2e-5)


def test_the_terms_descend_as_pairs_apart_do():
  latents, masks = modalities()

  def shared(latents):
    terms = mmd.pairwise_mmd(latents, PAIRS, sigma=2.0, masks=masks, split=True)
    return sum(terms.paired.values()) - sum(terms.unpaired.values())

  def apart(latents):
    total = 0.0
    for a, b in PAIRS:
      first, second = (jnp.asarray(half) for half in halves(masks))
      total += mmd.mmd(
        latents[a], latents[b], sigma=2.0, p_mask=masks[a], q_mask=masks[b]
      )
      for one, other in ((first, second), (second, first)):
        total -= 0.5 * mmd.mmd(
          latents[a],
          latents[b],
          sigma=2.0,
          p_mask=masks[a] & one,
          q_mask=masks[b] & other,
        )
    return total

  got = jax.jit(jax.grad(shared))(latents)
  expected = jax.jit(jax.grad(apart))(latents)
  for name in latents:
    scale = np.abs(expected[name]).max()
    assert scale > 1e-3
    np.testing.assert_allclose(got[name], expected[name], atol=1e-5 * scale)


def test_a_direction_without_rows_is_left_out_of_the_mean():
  """The second half has no acoustics: one direction is all that there is."""
  latents, _ = modalities()
  every = jnp.ones(24, bool)
  first = jnp.arange(24) < 12
  got = pairwise(
    latents,
    PAIRS[:1],
    sigma=2.0,
    masks={"acoustic": first, "visual": every},
    split=True,
  )
  expected = numpy_mmd(latents["acoustic"][:12], latents["visual"][12:], 2.0)[0]
  np.testing.assert_allclose(got.unpaired[PAIRS[0]], expected, rtol=2e-5)


@pytest.mark.parametrize(
  ("sigma", "live"), [(1e-3, 0.0), (2.0, 1.0), (1e4, 0.0)]
)
def test_kernel_values_that_say_nothing_are_counted(sigma, live):
  latents, masks = modalities()
  got = pairwise(latents, PAIRS, sigma=sigma, masks=masks, split=False)
  assert got.live == live


def test_four_devices_see_the_whole_batch():
  p, q, _ = draw("off the origin", m=24, n=24)
  latents = {"acoustic": p, "lexical": q}
  pairs = (("acoustic", "lexical"),)
  masks = {
    "acoustic": jnp.arange(24) % 4 > 0,
    "lexical": jnp.arange(24) % 5 > 0,
  }

  def terms(latents, masks):
    found = mmd.pairwise_mmd(
      latents, pairs, sigma=None, masks=masks, split=True
    )
    blocks = mmd_blockwise.blockwise_mmd(
      latents["acoustic"],
      latents["lexical"],
      sigma=2.0,
      p_mask=masks["acoustic"],
      block_size=5,
    )
    value = found.paired[pairs[0]] - found.unpaired[pairs[0]] + blocks
    return value, found

  compiled = jax.jit(jax.value_and_grad(terms, has_aux=True))
  mesh = mesh_lib.make_mesh(1, 24, over_runs=1, over_data=4)
  over_batch = NamedSharding(mesh, PartitionSpec("data"))
  four = jax.device_put((latents, masks), over_batch)
  assert len(four[0]["acoustic"].sharding.device_set) == 4
  # The value is what is left of sums near 1.
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
    compiled(*four),
    compiled(latents, masks),
  )


_PEAK = """
import re, sys
import jax, jax.numpy as jnp
from mmer_jax.core import divergences

rows, dense = int(sys.argv[1]), sys.argv[2] == "dense"
fn = divergences.mmd if dense else divergences.blockwise_mmd
p, q = jax.random.normal(jax.random.key(0), (2, rows, 128))
jax.block_until_ready((p, q))

def peak():
  # Not getrusage's, which begins at that of the process that started this.
  text = open("/proc/self/status").read()
  return int(re.search(r"VmHWM:\\s*(\\d+) kB", text)[1]) / 1024

before = peak()
step = jax.jit(jax.value_and_grad(lambda p, q: fn(p, q, sigma=16.0), (0, 1)))
value, _ = jax.block_until_ready(step(p, q))
assert abs(float(value)) < 1e-3
print(peak() - before)
"""


def peak_mib(rows, form):
  """What a value and its gradient take above their inputs."""
  done = subprocess.run(
    [sys.executable, "-c", _PEAK, str(rows), form],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
  )
  return float(done.stdout)


def test_blocks_need_no_memory_for_all_pairs():
  """One array of all pairs of 6,144 rows is 144 MiB, and dense has several."""
  assert peak_mib(6144, "dense") > 400
  assert peak_mib(6144, "blockwise") < 200


@pytest.mark.long
def test_65536_rows_of_128_take_less_than_a_gibibyte():
  assert peak_mib(65536, "blockwise") < 1024
