"""The GRU against a NumPy loop and PyTorch's, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import gru
from tests.core import lstm_test

HIDDEN = 3


@functools.cache
def made():
  """Random parameters, the loop's masks (gaps, leading padding), states."""
  rng = np.random.default_rng(2)
  mask = lstm_test.masks().T
  with jax.enable_x64(True):
    module = gru.BiGru(HIDDEN, "float64")
    x = rng.normal(1.0, 2.0, size=(*mask.shape, 4))
    shapes = jax.eval_shape(
      module.init, jax.random.key(0), jnp.asarray(x), jnp.asarray(mask)
    )["params"]
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)
    states = jax.jit(lambda p, x, m: module.apply({"params": p}, x, m))(
      params, x, mask
    )
  return params, x, mask, np.asarray(states)


def numpy_gru(params, x, mask, direction):
  """One direction of one sequence, one step at a time."""
  w_x, w_h, b, c = (params[k][direction] for k in ("w_x", "w_h", "b", "c"))
  states, h = np.zeros((len(x), HIDDEN)), np.zeros(HIDDEN)
  for t in reversed(range(len(x))) if direction else range(len(x)):
    if mask[t]:
      (r_x, z_x, n_x), (r_h, z_h, n_h) = (
        np.split(part, 3) for part in (x[t] @ w_x + b, h @ w_h)
      )
      r, z = lstm_test.sigmoid(r_x + r_h), lstm_test.sigmoid(z_x + z_h)
      h = (1 - z) * np.tanh(n_x + r * (n_h + c)) + z * h
      states[t] = h
  return states


def test_both_directions_equal_a_loop():
  params, x, mask, states = made()
  for row in range(len(x)):
    both = [numpy_gru(params, x[row], mask[row], i) for i in (0, 1)]
    np.testing.assert_allclose(
      states[row], np.concatenate(both, axis=1), atol=1e-12
    )


def test_states_equal_pytorchs():
  torch = pytest.importorskip("torch")
  params, x, mask, states = made()
  other = torch.nn.GRU(4, HIDDEN, bidirectional=True, batch_first=True).double()
  state = {}
  for direction, end in enumerate(("", "_reverse")):
    zeros = np.zeros(2 * HIDDEN)
    state |= {
      f"weight_ih_l0{end}": params["w_x"][direction].T,
      f"weight_hh_l0{end}": params["w_h"][direction].T,
      f"bias_ih_l0{end}": params["b"][direction],
      f"bias_hh_l0{end}": np.concatenate([zeros, params["c"][direction]]),
    }
  other.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
  for row in range(len(x)):
    real = mask[row]
    if real.any():
      expected = other(torch.tensor(x[row][real])[None])[0][0].detach().numpy()
      np.testing.assert_allclose(states[row][real], expected, atol=1e-12)
  assert not states[~mask].any()
