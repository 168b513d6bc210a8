"""Attention and the blocks of the transformer, for padded sequences.

Wherever padding lies, nothing attends to it, and it comes out as zeros.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import layers


def attend(
  queries: Float[Array, "b t h c"],
  keys: Float[Array, "b s h c"],
  values: Float[Array, "b s h c"],
  mask: Bool[Array, "b t s"],
  dropout: float = 0.0,
  key: PRNGKeyArray | None = None,
) -> Float[Array, "b t h c"]:
  """Averages values, weighted by how well their keys fit each query.

  Source: Vaswani et al. 2017, Eq. 1, once for each head.
  Deviation: none.

  Args:
    queries: One row a step and head.
    keys: Keys of the steps that are attended to.
    values: Values of the same steps.
    mask: Which steps each query may see. One that may see none gets zeros.
    dropout: Rate of the dropout of the weights.
    key: Of the dropout; None for none.

  Returns:
    One row a query and head.
  """
  scores = jnp.einsum("bthc,bshc->bhts", queries, keys)
  scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
  weights = jax.nn.softmax(
    scores * queries.shape[-1] ** -0.5, axis=-1, where=mask[:, None]
  )
  weights = layers.dropout(weights, dropout, key)
  return jnp.einsum("bhts,bshc->bthc", weights.astype(values.dtype), values)


def positions(steps: Any, width: int) -> Float[Array, "t e"]:
  """Encodes positions as sines and cosines, in turn.

  Source: Vaswani et al. 2017, section 3.5.
  Deviation: of an odd width the last column is a sine without its cosine.

  Args:
    steps: How many; an int, or a symbol where a system is exported.
    width: Columns.
  """
  column = jnp.arange(width)
  frequency = 10000.0 ** (-(column - column % 2) / width)
  angle = jnp.arange(steps)[:, None] * frequency[None, :]
  return jnp.where((column % 2 == 0)[None, :], jnp.sin(angle), jnp.cos(angle))


class MultiHeadAttention(nn.Module):
  """Attends in several heads, whose outputs one layer maps back.

  Source: Vaswani et al. 2017, section 3.2.2.
  Deviation: a head has floor(e / h) columns, one at least. Keys
    have no bias: a softmax does not see it.

  Attributes:
    heads: Number of heads, h.
    dtype: Dtype of the matmuls.
    dropout: Rate of the dropout of the weights.
  """

  heads: int
  dtype: str
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self,
    queries: Float[Array, "b t e"],
    memory: Float[Array, "b s e"],
    mask: Bool[Array, "b t s"],
    *,
    key: PRNGKeyArray | None = None,
  ) -> Float[Array, "b t e"]:
    """Reads, for every query, the steps of the memory that its mask allows."""
    width = max(queries.shape[-1] // self.heads, 1)

    def project(name: str, x: Array, use_bias: bool) -> Array:
      layer = layers.Linear(
        self.heads * width, dtype=self.dtype, use_bias=use_bias, name=name
      )
      heads = layer(x).reshape(*x.shape[:2], self.heads, width)
      return heads.astype(self.dtype)

    attended = attend(
      project("query", queries, True),
      project("key", memory, False),
      project("value", memory, True),
      mask,
      self.dropout,
      key,
    )
    joined = attended.reshape(*attended.shape[:2], -1).astype(queries.dtype)
    out = layers.Linear(queries.shape[-1], dtype=self.dtype, name="out")
    return out(joined)


class Block(nn.Module):
  """Computes a block of a transformer: an encoder's, or a decoder's.

  Attention to the steps themselves, to the memory where there is one, and a
  layer of 4e rectified units; after each, dropout, the residual and the norm.

  Source: Vaswani et al. 2017, section 3.1, as Liang et al. 2020, section 3.1,
    use it.
  Deviation: a decoder too may see later steps, where it gets all at once.

  Attributes:
    heads: Number of heads of the attention.
    dropout: Rate on what each part adds.
    dtype: Dtype of the matmuls.
    causal: Whether a step attends to none of the steps after it; the memory
      is open to all.
  """

  heads: int
  dropout: float
  dtype: str
  causal: bool = False

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t e"],
    mask: Bool[Array, "b t"],
    memory: Float[Array, "b s e"] | None = None,
    memory_mask: Bool[Array, "b s"] | None = None,
    *,
    key: PRNGKeyArray | None,
  ) -> Float[Array, "b t e"]:
    """Transforms a sequence; with a memory it is a decoder's block.

    Args:
      x: The sequence.
      mask: Its real steps; padding comes out as zeros.
      memory: What a decoder reads.
      memory_mask: The real steps of the memory.
      key: Of the dropout; None for none.
    """
    width = x.shape[-1]
    keys = [None] * 3 if key is None else jax.random.split(key, 3)

    def add(part: int, x: Array, change: Array) -> Array:
      change = layers.dropout(change, self.dropout, keys[part])
      return nn.LayerNorm(epsilon=1e-5, name=f"norm_{part}")(x + change)

    own = MultiHeadAttention(self.heads, self.dtype, name="self")
    seen = mask[:, :, None] & mask[:, None, :]
    if self.causal:
      seen = seen & jnp.tri(x.shape[1], dtype=bool)[None]
    x = add(0, x, own(x, x, seen))
    if memory is not None:
      reads = MultiHeadAttention(self.heads, self.dtype, name="memory")
      both = mask[:, :, None] & memory_mask[:, None, :]
      x = add(1, x, reads(x, memory, both))
    wide = layers.Linear(4 * width, dtype=self.dtype, name="wide")(x)
    narrow = layers.Linear(width, dtype=self.dtype, name="narrow")
    x = add(2, x, narrow(jax.nn.relu(wide)))
    return jnp.where(mask[..., None], x, 0.0)


class ContextAttention(nn.Module):
  """Weights the steps of a sequence and sums them.

  Source: Aguilar et al. 2019, section 3.3, after Bahdanau et al. 2014:
    e_i = v' tanh(W h_i + b), a = softmax(e), z = sum_i a_i h_i.
  Deviation: b has d_a columns, those of W h_i; the paper says d_h.

  Attributes:
    width: Columns of the layer, d_a.
    dtype: Dtype of the matmuls.
  """

  width: int
  dtype: str

  @nn.compact
  def __call__(
    self, frames: Float[Array, "b t h"], mask: Bool[Array, "b t"]
  ) -> tuple[Float[Array, "b h"], Float[Array, "b t"]]:
    """Returns z and a; zeros of both where no step is real."""
    hidden = layers.Linear(self.width, dtype=self.dtype, name="hidden")(frames)
    vector = layers.Linear(1, dtype=self.dtype, use_bias=False, name="vector")
    scores = vector(jnp.tanh(hidden))[..., 0]
    weights = jax.nn.softmax(scores, axis=-1, where=mask)
    return jnp.einsum("bt,bth->bh", weights, frames), weights
