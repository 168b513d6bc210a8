"""The network of MulT: transformers that read one modality by another."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import attention, layers, lstm, windows
from mmer_jax.data import schema
from mmer_jax.systems import interface


class Block(nn.Module):
  """Computes a block of a crossmodal transformer.

  Source: Tsai et al. 2019, Eq. 4: y = CM(LN(x), LN(source)) + LN(x), then
    f(LN(y)) + LN(y), f a layer of 4e rectified units.
  Deviation: one norm for x and the source, of which the paper does not say
    whether they are two. What reads a source without a step is not changed by
    it. One rate for all that is dropped inside a block: weights of the
    attention, rectified units, what either part adds.

  Attributes:
    heads: Number of heads of the attention.
    dropout: Rate of the dropout.
    dtype: Dtype of the matmuls.
  """

  heads: int
  dropout: float
  dtype: str

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t e"],
    mask: Bool[Array, "b t"],
    source: Float[Array, "b s e"] | None,
    source_mask: Bool[Array, "b s"],
    *,
    key: PRNGKeyArray | None,
  ) -> Float[Array, "b t e"]:
    """Reads the source; x itself where that is None."""
    keys = layers.split_key(key, 4)
    width = x.shape[-1]
    norm = nn.LayerNorm(epsilon=1e-5, name="norm_read")
    x = norm(x)
    seen = mask[:, :, None] & source_mask[:, None, :]
    read = attention.MultiHeadAttention(
      self.heads, self.dtype, self.dropout, name="read"
    )(x, x if source is None else norm(source), seen, key=keys[0])
    read = layers.dropout(read, self.dropout, keys[1])
    x = x + jnp.where(seen.any(axis=-1)[..., None], read, 0.0)
    x = nn.LayerNorm(epsilon=1e-5, name="norm_feed")(x)
    wide = layers.Linear(4 * width, dtype=self.dtype, name="wide")(x)
    wide = layers.dropout(jax.nn.relu(wide), self.dropout, keys[2])
    narrow = layers.Linear(width, dtype=self.dtype, name="narrow")(wide)
    x = x + layers.dropout(narrow, self.dropout, keys[3])
    return jnp.where(mask[..., None], x, 0.0)


class Reading(NamedTuple):
  """Holds what a transformer gets.

  Attributes:
    x: The sequence that reads.
    mask: Its real steps.
    source: The sequence that is read; None for x itself.
    source_mask: Its real steps.
  """

  x: Float[Array, "b t e"]
  mask: Bool[Array, "b t"]
  source: Float[Array, "b s e"] | None
  source_mask: Bool[Array, "b s"]


class Transformers(nn.Module):
  """Holds transformers of one width, and runs them.

  Source: Tsai et al. 2019, Eq. 4: every block reads the source's low-level
    features; without a source the self-attention transformer behind Eq. 4.
  Deviation: as of `Block`.

  Their parameters lie side by side, along an axis of transformers and one of
  blocks, and those whose sequences are of one length run as one: six
  transformers take as long to compile as one does.

  Attributes:
    names: Names of the transformers.
    blocks: Blocks of each of them, D.
    width: Columns of their sequences, e.
    heads: Number of heads of every attention.
    dropout: Rate of the dropout in the blocks.
    dtype: Dtype of the matmuls.
  """

  names: tuple[str, ...]
  blocks: int
  width: int
  heads: int
  dropout: float
  dtype: str

  @nn.compact
  def __call__(
    self, readings: dict[str, Reading], *, key: PRNGKeyArray | None
  ) -> dict[str, Float[Array, "b _t e"]]:
    """Transforms a sequence by each name; padding comes out as zeros."""
    stack = self.param("stack", self._draw)
    alike: dict[Any, list[str]] = {}
    for name, reading in readings.items():
      shapes = tuple(leaf.shape for leaf in jax.tree.leaves(reading))
      alike.setdefault(shapes, []).append(name)
    done = {}
    keys = layers.split_key(key, len(alike))
    for names, each in zip(alike.values(), keys, strict=True):
      at = np.array([self.names.index(name) for name in names])
      params = jax.tree.map(lambda leaf, at=at: leaf[at], stack)
      several = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *(readings[name] for name in names)
      )
      own = None if each is None else jax.random.split(each, len(names))
      out = jax.vmap(self._run)(params, several, own)
      done.update({name: out[i] for i, name in enumerate(names)})
    return done

  def _run(
    self, params: Any, reading: Reading, key: PRNGKeyArray | None
  ) -> Float[Array, "b t e"]:
    """Runs one transformer, block by block."""
    x, mask, source, source_mask = reading
    for index, each in enumerate(layers.split_key(key, self.blocks)):
      own = jax.tree.map(lambda leaf, i=index: leaf[i], params)
      x = self._block().apply(
        {"params": own}, x, mask, source, source_mask, key=each
      )
    return x

  def _block(self) -> Block:
    """Makes the block, which holds no parameters here."""
    return Block(self.heads, self.dropout, self.dtype, parent=None)

  def _draw(self, key: PRNGKeyArray) -> Any:
    """Draws the parameters of every block by a key of its own."""
    frames, mask = jnp.zeros((1, 1, self.width)), jnp.ones((1, 1), bool)

    def one(key: PRNGKeyArray) -> Any:
      return self._block().init(key, frames, mask, None, mask, key=None)[
        "params"
      ]

    keys = jax.random.split(key, (len(self.names), self.blocks))
    return jax.vmap(jax.vmap(one))(keys)


class MulT(nn.Module):
  """Reads every modality by every other one, and classifies the last steps.

  Source: Tsai et al. 2019, sections 3.2 and 3.3. The last layers are a residual
    block: x + W_2 relu(W_1 x), then one layer of scores.
  Deviation: the last step is the last real one. A modality that an utterance
    lacks is read by none and has zeros at the end. A model of one modality has
    its self-attention alone. The blocks of the self-attention are counted
    apart; the paper does not say how many.

  Attributes:
    width: Columns of every modality after its convolution, d.
    kernel: Modality name to the frames that its convolution reads.
    heads: Number of heads of every attention.
    blocks: Blocks of each crossmodal transformer, D.
    memory_blocks: Blocks of each self-attention transformer.
    dropout: Rate inside the blocks, and of what enters them.
    lexical_dropout: Rate of the word vectors.
    output_dropout: Rate inside the last residual block.
    dtype: Dtype of the matmuls.
  """

  width: int
  kernel: Mapping[str, int]
  heads: int
  blocks: int
  memory_blocks: int
  dropout: float
  lexical_dropout: float
  output_dropout: float
  dtype: str

  @nn.compact
  def __call__(
    self,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    *,
    key: PRNGKeyArray | None,
  ) -> interface.Prediction:
    """Scores as many emotions as `emotions` has rows."""
    keys = layers.split_key(key, 3)
    names = sorted(self.kernel)
    low = {
      name: self._embed(name, batch.streams[name], key=each)
      for name, each in zip(
        names, layers.split_key(keys[0], len(names)), strict=True
      )
    }
    masks = {name: batch.streams[name].mask for name in names}
    last = self._read(low, masks, key=keys[1])
    joined = jnp.concatenate(last, axis=-1)
    size = joined.shape[-1]
    inner = layers.Linear(size, dtype=self.dtype, name="inner")(joined)
    inner = layers.dropout(jax.nn.relu(inner), self.output_dropout, keys[2])
    outer = layers.Linear(size, dtype=self.dtype, name="outer")
    out = layers.Linear(len(emotions), name="out")
    return interface.Prediction(out(joined + outer(inner)))

  def _embed(
    self, name: str, stream: schema.Stream, *, key: PRNGKeyArray | None
  ) -> Float[Array, "b t e"]:
    """Convolves a modality and adds positions: Eq. 2 and 3."""
    keys = layers.split_key(key, 2)
    frames = stream.features
    if name == "lexical":
      frames = layers.dropout(frames, self.lexical_dropout, keys[0])
    low = windows.TemporalConvolution(
      self.width, self.kernel[name], self.dtype, name=f"convolution_{name}"
    )(frames, stream.mask)
    place = attention.positions(low.shape[1], self.width)[None]
    low = layers.dropout(low + place.astype(low.dtype), self.dropout, keys[1])
    return jnp.where(stream.mask[..., None], low, 0.0)

  def _read(
    self,
    low: dict[str, Float[Array, "b _t e"]],
    masks: dict[str, Bool[Array, "b _t"]],
    *,
    key: PRNGKeyArray | None,
  ) -> list[Float[Array, "b f"]]:
    """Reads the others from each modality, and gives its last real step."""
    pairs = {f"{a}_to_{b}": (a, b) for b in low for a in low if a != b}
    keys = layers.split_key(key, 2)
    read = {}
    if pairs:
      crossmodal = self._transformers("crossmodal", tuple(pairs), self.blocks)
      read = crossmodal(
        {
          name: Reading(low[b], masks[b], low[a], masks[a])
          for name, (a, b) in pairs.items()
        },
        key=keys[0],
      )
    parts = {
      target: [read[name] for name, pair in pairs.items() if pair[1] == target]
      for target in low
    }
    joined = {
      name: jnp.concatenate(each or [low[name]], axis=-1)
      for name, each in parts.items()
    }
    wide = max(len(low) - 1, 1)
    steps = self._transformers("memory", tuple(low), self.memory_blocks, wide)(
      {
        name: Reading(joined[name], mask, None, mask)
        for name, mask in masks.items()
      },
      key=keys[1],
    )
    return [
      lstm.last_real(jnp.swapaxes(steps[name], 0, 1), mask.T)
      for name, mask in masks.items()
    ]

  def _transformers(
    self, name: str, names: tuple[str, ...], blocks: int, wide: int = 1
  ) -> Transformers:
    return Transformers(
      names,
      blocks,
      wide * self.width,
      self.heads,
      self.dropout,
      self.dtype,
      name=name,
    )
