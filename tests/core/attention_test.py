"""Attention and the transformer's blocks against NumPy, one step at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import attention
from tests.core import numeric

B, T, S = 4, 5, 3


def sequences(width, steps=T, seed=0):
  """Mixed lengths, a gap, and a row of padding alone."""
  rng = np.random.default_rng(seed)
  x = rng.normal(1.0, 2.0, size=(B, steps, width)).astype(np.float32)
  mask = rng.random((B, steps)) < 0.7
  mask[0] = True
  mask[1] = False
  mask[2] = np.arange(steps) != 1
  return jnp.asarray(x), jnp.asarray(mask)


def affine(params, x):
  return x @ np.asarray(params["kernel"], np.float64) + np.asarray(
    params.get("bias", 0.0), np.float64
  )


def numpy_attention(params, x, memory, mask, memory_mask, heads):
  """One sequence, one head and one query at a time."""
  query, key, value = (
    affine(params[name], rows)
    for name, rows in (("query", x), ("key", memory), ("value", memory))
  )
  width = query.shape[1] // heads
  joined = np.zeros_like(query)
  for head in range(heads):
    columns = slice(head * width, (head + 1) * width)
    for t in np.flatnonzero(mask):
      seen = np.flatnonzero(memory_mask)
      if not len(seen):
        continue
      fit = key[seen, columns] @ query[t, columns] / np.sqrt(width)
      weight = np.exp(fit - fit.max())
      weight /= weight.sum()
      joined[t, columns] = weight @ value[seen, columns]
  return affine(params["out"], joined)


def numpy_norm(params, x):
  mean, std = (
    x.mean(-1, keepdims=True),
    np.sqrt(x.var(-1, keepdims=True) + 1e-5),
  )
  scale = np.asarray(params["scale"], np.float64)
  return (x - mean) / std * scale + np.asarray(params["bias"], np.float64)


def numpy_block(params, x, mask, heads, memory=None, memory_mask=None):
  x = np.asarray(x, np.float64)
  change = numpy_attention(params["self"], x, x, mask, mask, heads)
  x = numpy_norm(params["norm_0"], x + change)
  if memory is not None:
    change = numpy_attention(
      params["memory"], x, memory, mask, memory_mask, heads
    )
    x = numpy_norm(params["norm_1"], x + change)
  change = affine(params["narrow"], np.maximum(affine(params["wide"], x), 0.0))
  x = numpy_norm(params["norm_2"], x + change)
  return np.where(mask[:, None], x, 0.0)


def block(heads, dropout=0.0, dtype="float32"):
  return attention.Block(heads=heads, dropout=dropout, dtype=dtype)


def scrambled(params):
  """Every parameter off its initial value: a norm's scale starts at 1."""
  leaves, tree = jax.tree.flatten(params)
  rng = np.random.default_rng(7)
  return tree.unflatten(
    [
      leaf + jnp.asarray(0.3 * rng.normal(size=leaf.shape), leaf.dtype)
      for leaf in leaves
    ]
  )


@pytest.mark.parametrize(("width", "heads"), [(8, 4), (7, 3), (5, 1)])
@pytest.mark.parametrize("decoder", [False, True])
def test_a_block_equals_a_loop(width, heads, decoder):
  x, mask = sequences(width)
  memory = sequences(width, S, seed=1) if decoder else ()
  module = block(heads)
  params = module.init(jax.random.key(0), x, mask, *memory, key=None)["params"]
  params = scrambled(params)
  inner = heads * (width // heads)
  assert params["self"]["query"]["kernel"].shape == (width, inner)
  assert params["self"]["out"]["kernel"].shape == (inner, width)
  assert params["wide"]["kernel"].shape == (width, 4 * width)
  assert ("memory" in params) == decoder
  got = module.apply({"params": params}, x, mask, *memory, key=None)
  for row in range(B):
    expected = numpy_block(
      params,
      x[row],
      np.asarray(mask)[row],
      heads,
      *(np.asarray(part)[row] for part in memory),
    )
    np.testing.assert_allclose(got[row], expected, rtol=1e-4, atol=1e-5)


def test_what_padding_holds_changes_nothing_and_comes_out_as_zeros():
  x, mask = sequences(8)
  memory, memory_mask = sequences(8, S, seed=1)
  module = block(2)
  params = module.init(
    jax.random.key(0), x, mask, memory, memory_mask, key=None
  )
  dirty = module.apply(
    params,
    jnp.where(mask[..., None], x, 99.0),
    mask,
    jnp.where(memory_mask[..., None], memory, -99.0),
    memory_mask,
    key=None,
  )
  clean = module.apply(params, x, mask, memory, memory_mask, key=None)
  np.testing.assert_array_equal(dirty, clean)
  assert not np.asarray(clean)[~np.asarray(mask)].any()


def test_a_causal_step_sees_no_later_one():
  x, mask = sequences(8)
  memory, memory_mask = sequences(8, S, seed=1)
  module = attention.Block(heads=2, dropout=0.0, dtype="float32", causal=True)
  params = module.init(
    jax.random.key(0), x, mask, memory, memory_mask, key=None
  )

  def out(x, memory):
    return np.asarray(
      module.apply(params, x, mask, memory, memory_mask, key=None)
    )

  steps = x.shape[1]
  base = out(x, memory)
  for step in range(1, steps):
    later = out(x.at[:, step:].add(1.0), memory)
    np.testing.assert_array_equal(later[:, :step], base[:, :step])
    there = np.asarray(mask)[:, step]
    assert np.abs(later - base)[there, step].max() > 1e-3
  # Every step of the memory is open to the first.
  moved = out(x, memory.at[:, -1].add(1.0))
  last = np.asarray(mask)[:, 0] & np.asarray(memory_mask)[:, -1]
  assert np.abs(moved - base)[last, 0].max() > 1e-4


def test_a_query_that_may_see_nothing_gets_zeros_and_no_gradient():
  rng = np.random.default_rng(2)
  q, k, v = (
    jnp.asarray(rng.normal(size=(1, 2, 1, 3)).astype(np.float32))
    for _ in range(3)
  )
  mask = jnp.array([[[True, False], [False, False]]])

  def total(q, k, v):
    return jnp.sum(jnp.sin(attention.attend(q, k, v, mask)))

  found = attention.attend(q, k, v, mask)
  # The one step that the first query may see has all its weight.
  np.testing.assert_allclose(found[0, 0], v[0, 0], rtol=1e-6)
  np.testing.assert_array_equal(found[0, 1], 0)
  dq, dk, dv = jax.grad(total, (0, 1, 2))(q, k, v)
  assert np.isfinite(np.concatenate([dq, dk, dv])).all()
  np.testing.assert_array_equal(dv[0, 1], 0)
  np.testing.assert_array_equal(dq, 0)


def test_attention_by_hand():
  """Scores ln 3 and 0, after the division by sqrt(4): weights 3/4 and 1/4."""
  q = jnp.zeros((1, 1, 1, 4)).at[..., 0].set(2.0)
  k = jnp.zeros((1, 2, 1, 4)).at[0, 0, 0, 0].set(jnp.log(3.0))
  v = jnp.zeros((1, 2, 1, 4)).at[0, 0].set(8.0)
  found = attention.attend(q, k, v, jnp.ones((1, 1, 2), bool))
  np.testing.assert_allclose(found.ravel(), [6.0] * 4, rtol=1e-6)


@pytest.mark.parametrize("width", [6, 7])
def test_positions_are_those_of_the_formula(width):
  got = np.asarray(attention.positions(9, width))
  for step in range(9):
    for column in range(width):
      angle = step / 10000 ** ((column // 2 * 2) / width)
      expected = np.cos(angle) if column % 2 else np.sin(angle)
      np.testing.assert_allclose(got[step, column], expected, atol=1e-5)


def test_dropout_needs_a_key_and_is_the_keys():
  x, mask = sequences(8)
  module = block(2, dropout=0.5)
  params = module.init(jax.random.key(0), x, mask, key=None)
  without = block(2).apply(params, x, mask, key=jax.random.key(1))
  np.testing.assert_array_equal(
    module.apply(params, x, mask, key=None), without
  )
  first, again, other = (
    module.apply(params, x, mask, key=jax.random.key(seed))
    for seed in (1, 1, 2)
  )
  np.testing.assert_array_equal(first, again)
  assert np.abs(np.asarray(first - other)).max() > 0.1
  assert np.abs(np.asarray(first - without)).max() > 0.1


def test_bfloat16_is_close():
  x, mask = sequences(8)
  params = block(2).init(jax.random.key(0), x, mask, key=None)
  rough = block(2, dtype="bfloat16").apply(params, x, mask, key=None)
  exact = block(2).apply(params, x, mask, key=None)
  assert rough.dtype == jnp.float32
  np.testing.assert_allclose(rough, exact, atol=0.1)
  assert np.abs(np.asarray(rough - exact)).max() > 0


def numpy_context(params, frames, mask):
  """One sequence at a time; names as in the paper."""
  z, a = np.zeros((B, frames.shape[2])), np.zeros(mask.shape)
  for row in range(B):
    real = np.flatnonzero(mask[row])
    if not len(real):
      continue
    h = frames[row, real]
    e = np.tanh(h @ params["w"] + params["b"]) @ params["v"]
    a[row, real] = np.exp(e) / np.exp(e).sum()
    z[row] = a[row, real] @ h
  return z, a


def test_context_attention_and_its_gradient_equal_numpy():
  with jax.enable_x64(True):
    x, mask = sequences(3)
    x = jnp.asarray(x, jnp.float64)
    layer = attention.ContextAttention(width=2, dtype="float64")
    params = layer.init(jax.random.key(0), x, mask)["params"]
    weights = np.random.default_rng(3).normal(size=(B, 3))

    def total(params, x):
      z, a = layer.apply({"params": params}, x, mask)
      return (z * weights).sum(), (z, a)

    (_, (z, a)), (grads, by_x) = jax.value_and_grad(
      total, argnums=(0, 1), has_aux=True
    )(params, x)

    def named(tree):
      return {
        "w": np.asarray(tree["hidden"]["kernel"]),
        "b": np.asarray(tree["hidden"]["bias"]),
        "v": np.asarray(tree["vector"]["kernel"])[:, 0],
      }

    arrays = {**named(params), "x": np.asarray(x)}
    expected = numpy_context(arrays, arrays["x"], np.asarray(mask))
    np.testing.assert_allclose(z, expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(a, expected[1], rtol=0, atol=1e-12)
    oracle = numeric.differences(
      lambda p: (numpy_context(p, p["x"], np.asarray(mask))[0] * weights).sum(),
      arrays,
    )
    for name, grad in {**named(grads), "x": by_x}.items():
      np.testing.assert_allclose(grad, oracle[name], rtol=0, atol=1e-8)
    assert not np.asarray(z)[1].any() and not np.asarray(by_x)[1].any()
