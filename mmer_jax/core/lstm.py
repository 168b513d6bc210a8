"""LSTM layers and read-outs: the hot kernel of the recurrent systems.

Parameters of one direction of one layer, the gates in the order input,
forget, cell, output along the last axis:

  w_x  (d, 4h)  input to gates
  w_h  (h, 4h)  state to gates
  b    (4h,)    PyTorch's bias_ih + bias_hh
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import layers

# Part of the key under which jit keeps a trace: what was traced with loops is
# not taken for what is to be traced without, and the reverse.
_unrolled = jax.make_user_context(default_value=False)


def unroll_scans() -> contextlib.AbstractContextManager[None]:
  """Unrolls the loops of what is traced inside, for counting its FLOPs.

  XLA counts the body of a loop once, whatever its trip count.
  """
  return _unrolled(True)


class Readout(NamedTuple):
  """Holds one vector per sequence and direction; zeros if nothing was real."""

  forward: Float[Array, "b h"]
  backward: Float[Array, "b h"]


def lstm(
  inputs: Float[Array, "t b g"],
  w_h: Float[Array, "h g"],
  mask: Bool[Array, "t b"],
  *,
  reverse: bool = False,
) -> Float[Array, "t b h"]:
  """Runs an LSTM over inputs that are already projected to its gates.

  Time comes first. The projection of all steps is one matmul of the caller's;
  the backward pass keeps the gates' gradients of all steps and makes the
  gradient of `w_h` of them in one matmul too, where automatic differentiation
  of the scan would accumulate an (h, 4h) array at every step.

  Args:
    inputs: x W_x + b for every step. Their dtype is the state's.
    w_h: State to gates. Its dtype is that of the matmuls.
    mask: A step that is False leaves the state as it is.
    reverse: From the last step to the first.

  Returns:
    The state after every step; zeros before the first real one.
  """
  return _lstm(inputs, w_h, mask, reverse)


def lstm_with_cells(
  inputs: Float[Array, "t b g"],
  w_h: Float[Array, "h g"],
  mask: Bool[Array, "t b"],
) -> tuple[Float[Array, "t b h"], Float[Array, "t b h"]]:
  """Runs `lstm` forward for a caller that reads its cells too.

  Args:
    inputs: Projected inputs, as for `lstm`.
    w_h: State to gates, as for `lstm`.
    mask: Real steps, as for `lstm`.

  Returns:
    The state and the cell after every step; zeros before the first real one.
  """
  return _lstm_cells(inputs, w_h, mask)


@jax.custom_vjp
def _lstm_cells(inputs: Array, w_h: Array, mask: Array) -> tuple[Array, Array]:
  states, (_, cells, *_) = _lstm_forward(inputs, w_h, mask, False)
  return states, cells


def _lstm_cells_forward(
  inputs: Array, w_h: Array, mask: Array
) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
  states, residuals = _lstm_forward(inputs, w_h, mask, False)
  return (states, residuals[1]), residuals


def _lstm_cells_backward(
  residuals: tuple[Array, ...], grads: tuple[Array, Array]
) -> tuple[Array, Array, None]:
  return _lstm_backward(False, residuals, *grads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _lstm(inputs: Array, w_h: Array, mask: Array, reverse: bool) -> Array:
  return _lstm_forward(inputs, w_h, mask, reverse)[0]


def _lstm_forward(
  inputs: Array, w_h: Array, mask: Array, reverse: bool
) -> tuple[Array, tuple[Array, ...]]:
  zeros = jnp.zeros((inputs.shape[1], w_h.shape[0]), inputs.dtype)

  def step(
    carry: tuple[Array, Array], at: tuple[Array, Array]
  ) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
    h, c = carry
    z, real = at
    z = z + layers.matmul(h, w_h)
    i, f, g, o = _activate(z)
    c_new = f * c + i * g
    h_new = o * jnp.tanh(c_new)
    c = jnp.where(real[:, None], c_new, c)
    h = jnp.where(real[:, None], h_new, h)
    return (h, c), (h, c, jnp.concatenate([i, f, g, o], axis=-1))

  _, (states, cells, gates) = jax.lax.scan(
    step,
    (zeros, zeros),
    (inputs, mask),
    reverse=reverse,
    unroll=_unrolled.value,
  )
  return states, (states, cells, gates, w_h, mask)


def _lstm_backward(
  reverse: bool,
  residuals: tuple[Array, ...],
  grad: Array,
  cell_grad: Array | None = None,
) -> tuple[Array, Array, None]:
  states, cells, gates, w_h, mask = residuals
  previous_cells = _previous(cells, reverse)
  zeros = jnp.zeros_like(states[0])
  grads = (grad,) if cell_grad is None else (grad, cell_grad)

  def step(
    carry: tuple[Array, Array], at: tuple[Any, ...]
  ) -> tuple[tuple[Array, Array], Array]:
    dh, dc = carry
    (d_state, *d_cell), cell, previous, gate, real = at
    for more in d_cell:
      dc = dc + more
    real = real[:, None]
    dh = dh + d_state
    through = jnp.where(real, 0.0, dh)
    dh = jnp.where(real, dh, 0.0)
    i, f, g, o = jnp.split(gate, 4, axis=-1)
    squashed = jnp.tanh(cell)
    dc_here = dh * o * (1 - squashed * squashed) + dc
    dz = jnp.concatenate(
      [
        dc_here * g * i * (1 - i),
        dc_here * previous * f * (1 - f),
        dc_here * i * (1 - g * g),
        dh * squashed * o * (1 - o),
      ],
      axis=-1,
    )
    dz = jnp.where(real, dz, 0.0)
    dc = jnp.where(real, dc_here * f, dc)
    return (layers.matmul(dz, w_h.T) + through, dc), dz

  _, dz = jax.lax.scan(
    step,
    (zeros, zeros),
    (grads, cells, previous_cells, gates, mask),
    reverse=not reverse,
    unroll=_unrolled.value,
  )
  before = _previous(states, reverse)
  dw = jnp.einsum(
    "tbh,tbg->hg",
    before.astype(w_h.dtype),
    dz.astype(w_h.dtype),
    preferred_element_type=dz.dtype,
  )
  return dz, dw.astype(w_h.dtype), None


_lstm.defvjp(_lstm_forward, _lstm_backward)
_lstm_cells.defvjp(_lstm_cells_forward, _lstm_cells_backward)


def _activate(z: Array) -> tuple[Array, Array, Array, Array]:
  i, f, g, o = jnp.split(z, 4, axis=-1)
  return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)


def _previous(steps: Array, reverse: bool) -> Array:
  """Shifts steps by one, so that each holds those of the step before it."""
  zeros = jnp.zeros_like(steps[:1])
  if reverse:
    return jnp.concatenate([steps[1:], zeros])
  return jnp.concatenate([zeros, steps[:-1]])


def single_cell(
  frame: Float[Array, "b d"], w_x: Float[Array, "d g"], b: Float[Array, " g"]
) -> Float[Array, "b h"]:
  """Runs one step from rest, where `w_h` and the forget gate drop out."""
  z = layers.matmul(frame, w_x) + b[None, :]
  i, _, g, o = _activate(z)
  return o * jnp.tanh(i * g)


def last_real(
  frames: Float[Array, "t b d"], mask: Bool[Array, "t b"]
) -> Float[Array, "b d"]:
  """Takes the last real frame of each sequence; its first where none is."""
  steps = jnp.arange(mask.shape[0])[:, None]
  index = jnp.max(jnp.where(mask, steps, 0), axis=0)
  return jnp.take_along_axis(frames, index[None, :, None], axis=0)[0]


class _Directions(nn.Module):
  """Holds the parameters of LSTM layers and runs one direction.

  Attributes:
    hidden: Width of one direction.
    layers: Number of layers.
    dropout: Rate on the input of every layer but the first.
    dtype: Dtype of the matmuls; the state is float32 or the parameters' dtype.
  """

  hidden: int
  layers: int
  dropout: float
  dtype: str

  def _direction(self, layer: int, name: str, x: Array, real: Array) -> Array:
    w_x, w_h, b = self._weights(layer, name, x.shape[-1], True)
    inputs = layers.matmul(x, w_x.astype(self.dtype)) + b[None, None, :]
    return lstm(
      inputs, w_h.astype(self.dtype), real, reverse=name == "backward"
    )

  def _weights(
    self, layer: int, name: str, width: int, recurrent: bool
  ) -> tuple[Array, ...]:
    shapes = {"w_x": (width, 4 * self.hidden)}
    if recurrent:
      shapes["w_h"] = (self.hidden, 4 * self.hidden)
    weights = tuple(
      self.param(f"l{layer}_{name}_{kind}", layers.uniform(self.hidden), shape)
      for kind, shape in shapes.items()
    )
    bias = self.param(
      f"l{layer}_{name}_b", _bias(self.hidden), (4 * self.hidden,)
    )
    return (*weights, bias)


class BiLSTM(_Directions):
  """Encodes sequences by stacked LSTM layers in both directions.

  Read-outs:
    `last`: both directions at the last real step, as `output[:, -1]` of a
      PyTorch BiLSTM. The backward direction of the top layer has then seen
      one frame: it is one cell and not a scan, and has no `w_h`, whose
      gradient would be zero.
    `final`: each direction at its own last step.

  Deviation: PyTorch keeps two biases per gate, which Adam moves by twice the
    step; here is one, drawn as the sum of two.

  Attributes:
    readout: `last` or `final`.
    bidirectional: If not, the backward read-out is zeros of width 0.
  """

  readout: str
  bidirectional: bool

  @nn.compact
  def __call__(
    self,
    frames: Float[Array, "b t d"],
    mask: Bool[Array, "b t"],
    *,
    key: PRNGKeyArray | None,
  ) -> Readout:
    """Encodes sequences; padding may lie anywhere and changes nothing."""
    x, real = jnp.swapaxes(frames, 0, 1), jnp.swapaxes(mask, 0, 1)
    x = jnp.where(real[..., None], x, 0.0)
    for layer in range(self.layers):
      if layer:
        at = None if key is None else jax.random.fold_in(key, layer)
        x = layers.dropout(x, self.dropout, at)
      top = layer == self.layers - 1
      forward = self._direction(layer, "forward", x, real)
      if not self.bidirectional:
        x = forward
        continue
      if top and self.readout == "last":
        w_x, b = self._weights(layer, "backward", x.shape[-1], False)
        last = single_cell(last_real(x, real), w_x.astype(self.dtype), b)
        backward = jnp.where(real.any(axis=0)[:, None], last, 0.0)
        return Readout(forward[-1], backward)
      backward = self._direction(layer, "backward", x, real)
      if top:
        return Readout(forward[-1], backward[0])
      x = jnp.concatenate([forward, backward], axis=-1)
    return Readout(x[-1], x[-1][:, :0])


class BiLSTMStates(_Directions):
  """Encodes sequences by stacked bidirectional LSTM layers, step by step.

  Deviation: one bias per gate, see `BiLSTM`.
  """

  @nn.compact
  def __call__(
    self,
    frames: Float[Array, "b t d"],
    mask: Bool[Array, "b t"],
    *,
    key: PRNGKeyArray | None,
  ) -> Float[Array, "b t h"]:
    """Returns both directions side by side, zeros at padding.

    Padding may lie anywhere: a masked step leaves the state as it is.
    """
    x, real = jnp.swapaxes(frames, 0, 1), jnp.swapaxes(mask, 0, 1)
    x = jnp.where(real[..., None], x, 0.0)
    for layer in range(self.layers):
      if layer:
        at = None if key is None else jax.random.fold_in(key, layer)
        x = layers.dropout(x, self.dropout, at)
      x = jnp.concatenate(
        [
          self._direction(layer, name, x, real)
          for name in ("forward", "backward")
        ],
        axis=-1,
      )
      x = jnp.where(real[..., None], x, 0.0)
    return jnp.swapaxes(x, 0, 1)


class Lstm(nn.Module):
  """Runs one layer in one direction and returns all its states and cells.

  Attributes:
    hidden: Width of the state.
    dtype: Dtype of the matmuls.
  """

  hidden: int
  dtype: str

  @nn.compact
  def __call__(
    self, frames: Float[Array, "b t d"], mask: Bool[Array, "b t"]
  ) -> tuple[Float[Array, "t b h"], Float[Array, "t b h"]]:
    """Returns states and cells, time first; a masked step changes neither."""
    x, real = jnp.swapaxes(frames, 0, 1), jnp.swapaxes(mask, 0, 1)
    x = jnp.where(real[..., None], x, 0.0)
    uniform, gates = layers.uniform(self.hidden), 4 * self.hidden
    w_x = self.param("w_x", uniform, (x.shape[-1], gates))
    w_h = self.param("w_h", uniform, (self.hidden, gates))
    b = self.param("b", _bias(self.hidden), (gates,))
    inputs = layers.matmul(x, w_x.astype(self.dtype)) + b[None, None, :]
    return lstm_with_cells(inputs, w_h.astype(self.dtype), real)


def _bias(hidden: int) -> Callable[[PRNGKeyArray, tuple[int, ...]], Array]:
  """Makes the initialiser of a bias that is the sum of PyTorch's two."""
  uniform = layers.uniform(hidden)

  def draw(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    first, second = jax.random.split(key)
    return uniform(first, shape) + uniform(second, shape)

  return draw
