"""The memory fusion network, for the systems whose memory it is.

Source: Zadeh et al. 2018a, "Memory Fusion Network for Multi-view Sequential
Learning", AAAI 2018.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import layers
from mmer_jax.core import lstm as lstm_lib
from mmer_jax.data import schema
from mmer_jax.systems import interface


class Encoded(NamedTuple):
  """Holds what the memory fusion network reads out.

  Attributes:
    states: Modality name to the last state of its LSTM; zeros where it is
      absent.
    memory: The gated memory after the last step.
  """

  states: dict[str, Float[Array, "b h"]]
  memory: Float[Array, "b u"]


class MemoryFusion(nn.Module):
  """Runs LSTMs, and remembers what `look` sees of their consecutive cells.

  Source: Zadeh et al. 2018a (MFN).
  Deviation: a stream that ends before another holds its last cell; where none
    has a frame the memory stays as it is.

  What is seen and the proposal depend on the LSTMs alone and are made for all
  steps at once; the memory's gates are the one recurrence besides.

  Attributes:
    hidden: Width of every LSTM.
    memory: Width of the memory.
    proposal: Hidden units of the network that proposes what to remember.
    gate: Hidden units of the networks of the two gates.
    dropout: Rate of the dropout inside these networks.
    dtype: Dtype of the matmuls.
  """

  hidden: int
  memory: int
  proposal: int
  gate: int
  dropout: float
  dtype: str

  @nn.compact
  def __call__(
    self, streams: dict[str, schema.Stream], *, key: PRNGKeyArray | None
  ) -> Encoded:
    """Encodes sequences; they need not be of one length."""
    keys = [None] * 4 if key is None else jax.random.split(key, 4)
    steps = max(stream.mask.shape[1] for stream in streams.values())
    states, cells, masks = {}, [], []
    for name in sorted(streams):
      stream = streams[name]
      more = steps - stream.mask.shape[1]
      mask = jnp.pad(stream.mask, ((0, 0), (0, more)))
      frames = jnp.pad(stream.features, ((0, 0), (0, more), (0, 0)))
      lstm = lstm_lib.Lstm(self.hidden, self.dtype, name=f"lstm_{name}")
      hidden, cell = lstm(frames, mask)
      states[name] = hidden[-1]
      cells.append(cell)
      masks.append(mask)
    now = jnp.concatenate(cells, axis=-1)
    before = jnp.concatenate([jnp.zeros_like(now[:1]), now[:-1]])
    seen = self.look(before, now, key=keys[0])
    proposal = self.network(
      "proposal", seen, self.proposal, self.memory, keys[1]
    )
    real = jnp.stack(masks).any(axis=0).T
    memory = self._remember(seen, jnp.tanh(proposal), real, [*keys[2:]])
    return Encoded(states, memory)

  def look(
    self,
    before: Float[Array, "t b c"],
    now: Float[Array, "t b c"],
    *,
    key: PRNGKeyArray | None,
  ) -> Float[Array, "t b s"]:
    """Makes what the memory is told of each step.

    Args:
      before: The cells of the modalities in the order of their names, side by
        side, after the step before.
      now: The same after the step.
      key: Of the dropout; None for none.
    """
    raise NotImplementedError

  def _remember(
    self,
    seen: Float[Array, "t b s"],
    proposal: Float[Array, "t b u"],
    real: Bool[Array, "t b"],
    keys: list[PRNGKeyArray | None],
  ) -> Float[Array, "b u"]:
    """Runs the memory over all steps; both gates are one product each."""
    width = seen.shape[-1]
    inputs, from_memory, out, bias = [], [], [], []
    kept = []
    for name, key in zip(("retain", "update"), keys, strict=True):
      kernel, b = self._layer(f"{name}_hidden", width + self.memory, self.gate)
      from_cells = layers.matmul(seen, kernel[:width].astype(self.dtype))
      inputs.append(from_cells + b[None, None, :])
      from_memory.append(kernel[width:])
      kernel, b = self._layer(f"{name}_out", self.gate, self.memory)
      out.append(kernel)
      bias.append(b)
      ones = jnp.ones((*seen.shape[:2], self.gate), seen.dtype)
      kept.append(layers.dropout(ones, self.dropout, key))
    # Gates side by side: (t b 2 gate).
    before, scale = jnp.stack(inputs, axis=2), jnp.stack(kept, axis=2)
    recur, close = jnp.stack(from_memory, axis=1), jnp.stack(out)
    offset = jnp.stack(bias)

    def step(memory: Array, at: tuple[Array, ...]) -> tuple[Array, None]:
      from_cells, scale, new, present = at
      hidden = from_cells + jnp.einsum(
        "bu,ugh->bgh",
        memory.astype(self.dtype),
        recur.astype(self.dtype),
        preferred_element_type=memory.dtype,
      )
      hidden = jax.nn.relu(hidden) * scale
      gates = jax.nn.sigmoid(
        jnp.einsum(
          "bgh,ghu->bgu",
          hidden.astype(self.dtype),
          close.astype(self.dtype),
          preferred_element_type=memory.dtype,
        )
        + offset[None]
      )
      changed = gates[:, 0] * memory + gates[:, 1] * new
      return jnp.where(present[:, None], changed, memory), None

    start = jnp.zeros((seen.shape[1], self.memory), seen.dtype)
    return jax.lax.scan(step, start, (before, scale, proposal, real))[0]

  def network(
    self, name: str, x: Array, hidden: int, out: int, key: PRNGKeyArray | None
  ) -> Array:
    """Applies a network of one hidden layer."""
    inner = layers.Linear(hidden, dtype=self.dtype, name=f"{name}_hidden")
    outer = layers.Linear(out, dtype=self.dtype, name=f"{name}_out")
    return outer(layers.dropout(jax.nn.relu(inner(x)), self.dropout, key))

  def _layer(self, name: str, size: int, out: int) -> tuple[Array, Array]:
    """Makes the parameters of a linear layer."""
    uniform = layers.uniform(size)
    return (
      self.param(f"{name}_kernel", uniform, (size, out)),
      self.param(f"{name}_bias", uniform, (out,)),
    )


class Mfn(nn.Module):
  """Classifies the states and the memory of the memory fusion network.

  Source: Zadeh et al. 2018a.
  Deviation: that of its encoder, see `MemoryFusion`.

  Attributes:
    encoder: The memory fusion network.
    classifier: Width of the hidden layer.
  """

  encoder: MemoryFusion
  classifier: int

  @nn.compact
  def __call__(
    self,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    *,
    key: PRNGKeyArray | None,
  ) -> interface.Prediction:
    """Scores as many emotions as `emotions` has rows."""
    keys = [None] * 2 if key is None else jax.random.split(key, 2)
    encoded = self.encoder(batch.streams, key=keys[0])
    parts = [encoded.states[name] for name in sorted(encoded.states)]
    joined = jnp.concatenate([*parts, encoded.memory], axis=-1)
    return interface.Prediction(
      classify(self.encoder, self.classifier, len(emotions), joined, keys[1])
    )


def classify(
  encoder: MemoryFusion,
  width: int,
  emotions: int,
  x: Array,
  key: PRNGKeyArray | None,
) -> Array:
  """Applies the classifier: one hidden layer."""
  hidden = layers.Linear(width, dtype=encoder.dtype, name="hidden")(x)
  hidden = layers.dropout(jax.nn.relu(hidden), encoder.dropout, key)
  return layers.Linear(emotions, name="out")(hidden)
