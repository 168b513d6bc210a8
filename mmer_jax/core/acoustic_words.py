"""Acoustic words: one vector for the acoustic frames of each word.

`word` is, for every acoustic frame, the number of the word that it belongs to;
any other number is that of no word: silence, another speaker, padding.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mmer_jax.core import lstm

READINGS = ("boundary", "end", "segment")

# How many words: an int, or a symbol where a system is exported.
Count = Any


def membership(word: Int[Array, "b t"], words: Count) -> Bool[Array, "b w t"]:
  """Tells which frames each word has."""
  return word[:, None, :] == jnp.arange(words)[None, :, None]


def segments(
  word: Int[Array, "b t"], words: Count, frames: Count
) -> tuple[Int[Array, "b w l"], Bool[Array, "b w l"]]:
  """Lists the frames of each word in order.

  Args:
    word: The word of every frame.
    words: How many words there are.
    frames: Most frames of a word; the rest of a longer one is cut.

  Returns:
    Positions of frames in the utterance, and which of them are real.
  """
  inside = (word >= 0) & (word < words)
  order = jnp.argsort(jnp.where(inside, word, words), axis=1, stable=True)
  count = membership(word, words).sum(axis=2)
  start = jnp.cumsum(count, axis=1) - count
  place = start[:, :, None] + jnp.arange(frames)[None, None, :]
  real = jnp.arange(frames)[None, None, :] < count[:, :, None]
  place = jnp.where(real, place, 0)
  index = jnp.take_along_axis(order, place.reshape(word.shape[0], -1), axis=1)
  return index.reshape(place.shape), real


class AcousticWords(nn.Module):
  """Encodes the frames of every word as one vector, by BLSTM layers.

  Source: Aguilar et al. 2019, section 3.2, "the output of a bidirectional LSTM
    at every segment".
  Deviation: the paper does not say which output. `boundary`: one pass over the
    frames of all words, the forward direction read at the word's last frame
    and the backward one at its first. `end`: both at the last. `segment`: every
    word is a sequence of its own, all of a batch in one short scan, and words
    know nothing of each other.

  Attributes:
    hidden: Width of one direction.
    layers: BLSTM layers.
    dropout: Rate on the input of every layer but the first.
    reading: One of `READINGS`.
    words: Most words of an utterance.
    word_frames: Under `segment`, most frames of a word; a longer one is cut.
    dtype: Dtype of the matmuls.
  """

  hidden: int
  layers: int
  dropout: float
  reading: str
  words: Count
  word_frames: int
  dtype: str

  @nn.compact
  def __call__(
    self,
    frames: Float[Array, "b t d"],
    word: Int[Array, "b t"],
    *,
    key: PRNGKeyArray | None,
  ) -> Float[Array, "b w h"]:
    """Returns both directions side by side; zeros for a word without frame."""
    parts = {
      "hidden": self.hidden,
      "layers": self.layers,
      "dropout": self.dropout,
      "dtype": self.dtype,
      "name": "encoder",
    }
    if self.reading == "segment":
      encoder = lstm.BiLSTM(**parts, readout="final", bidirectional=True)
      return self._segments(encoder, frames, word, key)
    inside = (word >= 0) & (word < self.words)
    states = lstm.BiLSTMStates(**parts)(frames, inside, key=key)
    member = membership(word, self.words)
    steps = jnp.arange(frames.shape[1])[None, None, :]
    last = jnp.max(jnp.where(member, steps, -1), axis=2, keepdims=True)
    first = jnp.min(
      jnp.where(member, steps, frames.shape[1]), axis=2, keepdims=True
    )
    places = (last, last if self.reading == "end" else first)
    # A product with ones and zeros: gathering is slow under vmap.
    return jnp.concatenate(
      [
        jnp.einsum(
          "bwt,bth->bwh", (steps == place).astype(states.dtype), direction
        )
        for place, direction in zip(
          places, jnp.split(states, 2, axis=-1), strict=True
        )
      ],
      axis=-1,
    )

  def _segments(
    self,
    encoder: lstm.BiLSTM,
    frames: Float[Array, "b t d"],
    word: Int[Array, "b t"],
    key: PRNGKeyArray | None,
  ) -> Float[Array, "b w h"]:
    """Encodes every word as a sequence of its own."""
    # The smaller of the two, were time a symbol too.
    size = word[:, : self.word_frames].shape[1]
    index, real = segments(word, self.words, size)
    count = frames.shape[0] * self.words
    own = jnp.take_along_axis(
      frames, index.reshape(frames.shape[0], -1)[..., None], axis=1
    ).reshape(count, size, frames.shape[-1])
    read = encoder(own, real.reshape(count, size), key=key)
    joined = jnp.concatenate([read.forward, read.backward], axis=-1)
    return joined.reshape(frames.shape[0], self.words, -1)
