"""The LSTM against a NumPy loop, automatic differentiation and Flax."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import layers as layers_lib
from mmer_jax.core import lstm

T, B, D, H = 6, 5, 3, 4


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def numpy_lstm(x, w_x, w_h, b, mask, reverse):
  """One direction, one sequence and one step at a time; (t, b, d)."""
  states = np.zeros((x.shape[0], x.shape[1], w_h.shape[0]))
  for row in range(x.shape[1]):
    h = np.zeros(w_h.shape[0])
    c = np.zeros(w_h.shape[0])
    steps = range(x.shape[0])
    for t in reversed(steps) if reverse else steps:
      if mask[t, row]:
        z = x[t, row] @ w_x + h @ w_h + b
        i, f, g, o = np.split(z, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
      states[t, row] = h
  return states


def masks():
  """Mixed lengths, gaps, leading padding, and a row with nothing real."""
  rng = np.random.default_rng(1)
  mask = rng.random((T, B)) < 0.6
  mask[:, 0] = True
  mask[:, 1] = False
  mask[:3, 2] = False
  mask[3:, 2] = True
  return mask


def weights(dtype=np.float64, seed=0, width=D):
  rng = np.random.default_rng(seed)
  return (
    rng.normal(size=(width, 4 * H)).astype(dtype),
    rng.normal(size=(H, 4 * H)).astype(dtype),
    rng.normal(size=(4 * H,)).astype(dtype),
  )


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


@pytest.mark.parametrize("reverse", [False, True])
def test_states_equal_a_numpy_loop(float64, reverse):
  x = np.random.default_rng(2).normal(1.0, 2.0, size=(T, B, D))
  w_x, w_h, b = weights()
  mask = masks()
  got = lstm.lstm(
    jnp.asarray(x @ w_x + b),
    jnp.asarray(w_h),
    jnp.asarray(mask),
    reverse=reverse,
  )
  expected = numpy_lstm(x, w_x, w_h, b, mask, reverse)
  np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
  assert not np.asarray(got)[:, 1].any()


def plain_lstm(z, w_h, mask, reverse):
  """The same recurrence, unrolled, for automatic differentiation."""
  h = c = jnp.zeros((z.shape[1], w_h.shape[0]), z.dtype)
  states = [h] * z.shape[0]
  steps = range(z.shape[0])
  for t in reversed(steps) if reverse else steps:
    i, f, g, o = jnp.split(z[t] + h @ w_h, 4, axis=-1)
    new_c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    new_h = jax.nn.sigmoid(o) * jnp.tanh(new_c)
    c = jnp.where(mask[t][:, None], new_c, c)
    h = jnp.where(mask[t][:, None], new_h, h)
    states[t] = h
  return jnp.stack(states)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_equal_automatic_differentiation(float64, reverse):
  rng = np.random.default_rng(3)
  z = jnp.asarray(rng.normal(0.5, 2.0, size=(T, B, 4 * H)))
  w_h, mask = jnp.asarray(weights()[1]), jnp.asarray(masks())
  target = jnp.asarray(rng.normal(size=(T, B, H)))

  def value(fn, z, w_h):
    return jnp.sum(jnp.sin(fn(z, w_h, mask, reverse=reverse)) * target)

  got = jax.grad(functools.partial(value, lstm.lstm), (0, 1))(z, w_h)
  expected = jax.grad(functools.partial(value, plain_lstm), (0, 1))(z, w_h)
  for a, b in zip(got, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
  # Padding, and a sequence that is all padding, get no gradient.
  assert not np.asarray(got[0])[~np.asarray(mask)].any()


def test_one_float32_step_is_within_rounding_of_float64():
  rng = np.random.default_rng(4)
  z = rng.normal(size=(T, B, 4 * H))
  w_h = weights()[1]
  grads = {}
  for dtype in (np.float32, np.float64):
    with jax.enable_x64(dtype == np.float64):
      grads[dtype] = jax.grad(
        lambda z, w: jnp.sum(lstm.lstm(z, w, jnp.asarray(masks())) ** 2),
        (0, 1),
      )(jnp.asarray(z.astype(dtype)), jnp.asarray(w_h.astype(dtype)))
  for a, b in zip(grads[np.float32], grads[np.float64], strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def module(
  readout="last", layers=2, bidirectional=True, dtype="float32", rate=0.0
):
  return lstm.BiLSTM(
    hidden=H,
    layers=layers,
    dropout=rate,
    readout=readout,
    bidirectional=bidirectional,
    dtype=dtype,
  )


def inputs(seed=5):
  x = np.random.default_rng(seed).normal(1.0, 2.0, size=(B, T, D))
  return jnp.asarray(x.astype(np.float32)), jnp.asarray(masks().T)


def numpy_bilstm(params, x, mask, layers, readout):
  """Every direction as a full loop; what is read of it is chosen last."""
  x, mask = np.swapaxes(np.asarray(x, np.float64), 0, 1), np.asarray(mask).T
  width = params["l0_forward_w_h"].shape[0]
  last = [
    np.flatnonzero(mask[:, row]).max(initial=-1) for row in range(mask.shape[1])
  ]
  for layer in range(layers):
    states = []
    for direction in ("forward", "backward"):
      p = {
        kind: np.asarray(params.get(f"l{layer}_{direction}_{kind}", 0.0))
        for kind in ("w_x", "w_h", "b")
      }
      if p["w_h"].ndim == 0:
        # Read where the backward direction has seen one frame only.
        p["w_h"] = np.random.default_rng(0).normal(size=(width, 4 * width))
      states.append(
        numpy_lstm(x, p["w_x"], p["w_h"], p["b"], mask, direction == "backward")
      )
    x = np.concatenate(states, axis=-1)
  rows = range(mask.shape[1])
  forward = states[0][-1]
  if readout == "final":
    return forward, states[1][0]
  backward = np.stack(
    [
      states[1][last[row], row] if last[row] >= 0 else np.zeros(width)
      for row in rows
    ]
  )
  return forward, backward


@pytest.mark.parametrize("readout", ["last", "final"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_read_outs_equal_full_loops_in_both_directions(readout, layers):
  x, mask = inputs()
  net = module(readout, layers)
  params = net.init(jax.random.key(0), x, mask, key=None)["params"]
  got = net.apply({"params": params}, x, mask, key=None)
  forward, backward = numpy_bilstm(
    params, np.asarray(x), np.asarray(mask), layers, readout
  )
  np.testing.assert_allclose(got.forward, forward, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(got.backward, backward, rtol=1e-5, atol=1e-5)
  assert not np.asarray(got.forward)[1].any()
  assert not np.asarray(got.backward)[1].any()


def test_only_the_final_read_out_has_a_recurrent_matrix_going_back():
  x, mask = inputs()
  for readout, there in (("last", False), ("final", True)):
    params = module(readout).init(jax.random.key(0), x, mask, key=None)
    assert ("l1_backward_w_h" in params["params"]) == there
    assert "l0_backward_w_h" in params["params"]


def flax_gates(w_x, w_h, b):
  """Our layout as the parameters of `nn.OptimizedLSTMCell`."""
  cell = {}
  for name, part in zip("ifgo", range(4), strict=True):
    at = slice(part * H, (part + 1) * H)
    cell[f"i{name}"] = {"kernel": w_x[:, at]}
    cell[f"h{name}"] = {"kernel": w_h[:, at], "bias": b[at]}
  return {"cell": cell}


@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_gradients_equal_flax_on_lengths(reverse):
  rng = np.random.default_rng(6)
  x = jnp.asarray(rng.normal(size=(B, T, D)).astype(np.float32))
  lengths = jnp.asarray([6, 1, 3, 4, 2])
  mask = jnp.arange(T)[None, :] < lengths[:, None]
  target = jnp.asarray(rng.normal(size=(B, T, H)).astype(np.float32))
  net = nn.RNN(nn.OptimizedLSTMCell(H), reverse=reverse, keep_order=True)

  def theirs(w_x, w_h, b):
    out = net.apply({"params": flax_gates(w_x, w_h, b)}, x, seq_lengths=lengths)
    return jnp.sum(jnp.where(mask[..., None], out * target, 0.0))

  def ours(w_x, w_h, b):
    z = jnp.swapaxes(x, 0, 1) @ w_x + b[None, None, :]
    out = jnp.swapaxes(lstm.lstm(z, w_h, mask.T, reverse=reverse), 0, 1)
    return jnp.sum(jnp.where(mask[..., None], out * target, 0.0))

  arguments = [jnp.asarray(w) for w in weights(np.float32)]
  with jax.numpy_rank_promotion("allow"):
    a, da = jax.value_and_grad(theirs, (0, 1, 2))(*arguments)
  b, db = jax.value_and_grad(ours, (0, 1, 2))(*arguments)
  np.testing.assert_allclose(a, b, rtol=1e-5)
  for u, v in zip(da, db, strict=True):
    np.testing.assert_allclose(u, v, rtol=1e-4, atol=1e-5)


def test_what_padding_holds_changes_nothing():
  x, mask = inputs()
  net = module()
  params = net.init(jax.random.key(0), x, mask, key=None)
  dirty = jnp.where(mask[..., None], x, 1e3)
  broken = jnp.where(mask[..., None], x, jnp.nan)
  clean = net.apply(params, x, mask, key=None)
  for other in (dirty, broken):
    got = net.apply(params, other, mask, key=None)
    jax.tree.map(np.testing.assert_array_equal, clean, got)


def test_more_padding_changes_nothing():
  x, mask = inputs()
  net = module()
  params = net.init(jax.random.key(0), x, mask, key=None)
  longer = jnp.pad(x, ((0, 0), (2, 3), (0, 0)))
  clean = net.apply(params, x, mask, key=None)
  got = net.apply(params, longer, jnp.pad(mask, ((0, 0), (2, 3))), key=None)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6),
    clean,
    got,
  )


@pytest.mark.long
def test_runs_are_mapped_with_their_own_weights():
  x, mask = inputs()
  net = module()
  keys = jax.random.split(jax.random.key(0), 3)
  params = jax.vmap(lambda key: net.init(key, x, mask, key=None))(keys)

  def value(params):
    return jnp.sum(net.apply(params, x, mask, key=None).forward ** 2)

  together = jax.vmap(jax.grad(value))(params)
  for run in range(3):
    alone = jax.grad(value)(jax.tree.map(lambda p, r=run: p[r], params))
    jax.tree.map(
      lambda a, b, r=run: np.testing.assert_allclose(
        a[r], b, rtol=1e-5, atol=1e-6
      ),
      together,
      alone,
    )


def test_bfloat16_matmuls_keep_a_float32_state():
  x, mask = inputs()
  net = module(dtype="bfloat16")
  params = net.init(jax.random.key(0), x, mask, key=None)
  rough = net.apply(params, x, mask, key=None)
  exact = module().apply(params, x, mask, key=None)
  assert rough.forward.dtype == jnp.float32
  assert np.abs(np.asarray(rough.forward - exact.forward)).max() > 1e-6
  np.testing.assert_allclose(rough.forward, exact.forward, atol=0.05)
  grads = jax.grad(lambda p: jnp.sum(net.apply(p, x, mask, key=None).forward))(
    params
  )
  for leaf in jax.tree.leaves(grads):
    assert leaf.dtype == jnp.float32
    assert np.isfinite(leaf).all()


def test_dropout_is_between_layers_and_only_with_a_key():
  x, mask = inputs()
  one, two = module(layers=1, rate=0.5), module(layers=2, rate=0.5)
  params = two.init(jax.random.key(0), x, mask, key=None)
  still = two.apply(params, x, mask, key=None)
  moved = two.apply(params, x, mask, key=jax.random.key(1))
  assert np.abs(np.asarray(still.forward - moved.forward)).max() > 1e-3
  single = one.init(jax.random.key(0), x, mask, key=None)
  a = one.apply(single, x, mask, key=None)
  b = one.apply(single, x, mask, key=jax.random.key(1))
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_dropout_keeps_the_mean():
  x = jnp.ones((200, 200))
  dropped = layers_lib.dropout(x, 0.3, jax.random.key(0))
  np.testing.assert_allclose(dropped.mean(), 1.0, atol=0.02)
  np.testing.assert_allclose((dropped == 0).mean(), 0.3, atol=0.02)


def test_unrolled_scans_count_every_step():
  z, w_h = jnp.ones((T, B, 4 * H)), jnp.ones((H, 4 * H))
  mask = jnp.ones((T, B), bool)

  def flops():
    lowered = jax.jit(lambda z: lstm.lstm(z, w_h, mask)).lower(z)
    return lowered.cost_analysis()["flops"]

  looped = flops()
  with lstm.unroll_scans():
    unrolled = flops()
  assert unrolled > (T - 1) * 2 * B * H * 4 * H > looped


def test_a_trace_with_loops_is_not_taken_for_an_unrolled_one():
  z, w_h = jnp.ones((T, B, 4 * H)), jnp.ones((H, 4 * H))
  mask = jnp.ones((T, B), bool)
  step = jax.jit(jax.grad(lambda z: lstm.lstm(z, w_h, mask).sum()))

  def flops():
    return step.lower(z).cost_analysis()["flops"]

  looped = flops()
  with lstm.unroll_scans():
    unrolled = flops()
  again = flops()
  assert looped == again
  assert unrolled > (T - 1) * looped / 2


def test_cells_and_their_gradients_equal_automatic_differentiation(float64):
  x = np.random.default_rng(2).normal(1.0, 2.0, size=(T, B, D))
  w_x, w_h, b = weights()
  z, mask = jnp.asarray(x @ w_x + b), jnp.asarray(masks())
  weigh = jnp.asarray(np.random.default_rng(3).normal(size=(2, T, B, H)))

  def plain(z, w_h):
    h = c = jnp.zeros((B, H))
    states, cells = [], []
    for t in range(T):
      i, f, g, o = jnp.split(z[t] + h @ w_h, 4, axis=-1)
      new = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
      real = mask[t][:, None]
      h = jnp.where(real, jax.nn.sigmoid(o) * jnp.tanh(new), h)
      c = jnp.where(real, new, c)
      states.append(h)
      cells.append(c)
    return jnp.stack(states), jnp.stack(cells)

  def total(form):
    def value(z, w_h):
      states, cells = form(z, w_h)
      return (states * weigh[0]).sum() + (cells * weigh[1]).sum()

    return jax.value_and_grad(value, (0, 1))(z, jnp.asarray(w_h))

  got = total(lambda z, w_h: lstm.lstm_with_cells(z, w_h, mask))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10),
    got,
    total(plain),
  )
