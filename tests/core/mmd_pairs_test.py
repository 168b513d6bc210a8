"""Matching terms of pairs of modalities against pairs apart and a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mmer_jax.core import mmd, mmd_blockwise, mmd_pairs
from mmer_jax.training import mesh as mesh_lib
from tests.core import mmd_test

both = mmd_test.both
numpy_mmd = mmd_test.numpy_mmd

median = jax.jit(mmd_pairs.median_sigma)


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


def pairwise(latents, pairs, *, masks, **settings):
  return jax.jit(
    lambda latents, masks: mmd_pairs.pairwise_mmd(
      latents, pairs, masks=masks, **settings
    )
  )(latents, masks)


at_once_and_in_blocks = pytest.mark.parametrize("block_size", [0, 7])

PAIRS = (("acoustic", "visual"), ("acoustic", "lexical"))


def halves(masks):
  """The videos of which there is anything, cut in two by their order."""
  real = np.any([np.asarray(mask) for mask in masks.values()], axis=0)
  rows = np.flatnonzero(real)
  first = np.zeros(len(real), bool)
  first[rows[: len(rows) // 2]] = True
  return first, real & ~first


@both
@at_once_and_in_blocks
def test_pairs_that_share_blocks_equal_pairs_apart(biased, block_size):
  latents, masks = modalities()
  got = pairwise(
    latents,
    PAIRS,
    sigma=2.0,
    masks=masks,
    split=True,
    biased=biased,
    block_size=block_size,
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
    terms = mmd_pairs.pairwise_mmd(
      latents, PAIRS, sigma=2.0, masks=masks, split=True
    )
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
@at_once_and_in_blocks
def test_kernel_values_that_say_nothing_are_counted(sigma, live, block_size):
  latents, masks = modalities()
  got = pairwise(
    latents,
    PAIRS,
    sigma=sigma,
    masks=masks,
    split=False,
    block_size=block_size,
  )
  np.testing.assert_allclose(got.live, live, atol=1e-6)


@both
@pytest.mark.parametrize("block_size", [1, 7, 100])
def test_blocks_of_any_size_change_no_term_and_no_gradient(biased, block_size):
  latents, masks = modalities()

  def terms(latents, block_size):
    found = mmd_pairs.pairwise_mmd(
      latents,
      PAIRS,
      sigma=0.9,
      masks=masks,
      split=True,
      biased=biased,
      block_size=block_size,
    )
    value = sum(found.paired.values()) - 0.7 * sum(found.unpaired.values())
    return value, found

  step = jax.jit(jax.value_and_grad(terms, has_aux=True), static_argnums=1)
  (value, expected), grads = step(latents, 0)
  assert abs(value) > 5e-5
  assert 0 < expected.live < 1
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7),
    step(latents, block_size),
    ((value, expected), grads),
  )


def test_four_devices_see_the_whole_batch():
  p, q, _ = mmd_test.draw("off the origin", m=24, n=24)
  latents = {"acoustic": p, "lexical": q}
  pairs = (("acoustic", "lexical"),)
  masks = {
    "acoustic": jnp.arange(24) % 4 > 0,
    "lexical": jnp.arange(24) % 5 > 0,
  }

  def terms(latents, masks):
    found = mmd_pairs.pairwise_mmd(
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


@pytest.mark.parametrize("size", [1e-20, 1e20, 1e36])
@at_once_and_in_blocks
def test_latents_of_any_size_have_finite_terms_and_gradients(size, block_size):
  latents, masks = modalities()
  latents = {m: x * np.float32(size) for m, x in latents.items()}

  def terms(latents, sigma):
    found = mmd_pairs.pairwise_mmd(
      latents,
      PAIRS,
      sigma=sigma,
      masks=masks,
      split=True,
      block_size=block_size,
    )
    value = sum(found.paired.values()) - sum(found.unpaired.values())
    return value, found

  step = jax.jit(jax.value_and_grad(terms, has_aux=True), static_argnums=1)
  for sigma in (1.0, (1e-3, 1e19)) + (() if block_size else (None,)):
    for path, leaf in jax.tree_util.tree_leaves_with_path(step(latents, sigma)):
      assert np.isfinite(leaf).all(), (sigma, path)


@pytest.mark.parametrize("size", [1e5, 1e20])
def test_sets_far_beyond_the_bandwidth_share_nothing(size):
  """All kernel values are 0 but those of rows with themselves."""
  p = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)
  q = p[::-1] + 0.5
  p, q = p * np.float32(size), q * np.float32(size)
  for form in (mmd.mmd, mmd_blockwise.blockwise_mmd):
    assert form(p, q, sigma=1.0) == 0
    np.testing.assert_allclose(
      form(p, q, sigma=1.0, biased=True), 1 / 6 + 1 / 6, rtol=1e-6
    )
