"""The networks of Aguilar et al. 2019, section 4.2."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mmer_jax.base import errors
from mmer_jax.core import (
  acoustic_words,
  attention,
  fusion,
  layers,
  lstm,
  masked,
)
from mmer_jax.data import schema


class Kind(NamedTuple):
  """Holds what tells the models of section 4.2 apart.

  Attributes:
    modalities: Modalities that it reads.
    words: Whether frames become acoustic words first (hierarchical).
    silence: Whether frames of no word take part.
    gated: Whether words are fused by the gated unit, or side by side.
    attention: Whether a sequence is pooled by attention, or by its mean.
  """

  modalities: tuple[str, ...]
  words: bool = False
  silence: bool = False
  gated: bool = False
  attention: bool = False

  @property
  def aligned(self) -> bool:
    """Whether it reads which word a frame belongs to."""
    return "acoustic" in self.modalities and not self.silence


_BOTH = ("acoustic", "lexical")
KINDS = {
  "b_aco_1": Kind(("acoustic",), silence=True),
  "b_aco_1_attention": Kind(("acoustic",), silence=True, attention=True),
  "b_aco_2": Kind(("acoustic",)),
  "b_lex": Kind(("lexical",)),
  "b_mm_1": Kind(_BOTH, silence=True),
  "b_mm_2": Kind(_BOTH),
  "h_aco_1": Kind(("acoustic",), words=True),
  "h_mm_1": Kind(_BOTH, words=True),
  "h_mm_2": Kind(_BOTH, words=True, gated=True),
  "h_mm_3": Kind(_BOTH, words=True, attention=True),
  "h_mm_4": Kind(_BOTH, words=True, gated=True, attention=True),
}


class Output(NamedTuple):
  """Holds what a network computes of a batch.

  Attributes:
    logits: Scores of the emotions.
    vector: The utterance before the last dropout; zeros where nothing is
      present.
    weights: Weights of the steps of the pooled sequence; their sum is 1, or 0
      for no step. Under mean pooling they are equal.
    gate: Mean over columns of the acoustic share of every word; None without
      a gated unit.
  """

  logits: Float[Array, "b k"]
  vector: Float[Array, "b h"]
  weights: Float[Array, "b t"]
  gate: Float[Array, "b t"] | None


class View(nn.Module):
  """Scores emotions by one of the models of section 4.2.

  Source: Aguilar et al. 2019, sections 3.2, 3.3 and 4.2; Figure 1.
  Deviation: dropout stands before every BLSTM layer but those on the features
    and before the softmax layer; the paper does not say where. An utterance
    without an aligned frame is one word of all its frames. An acoustic stream
    of one frame without an alignment (features of the whole utterance) is the
    acoustic word of all words.

  Attributes:
    kind: Key of `KINDS`.
    hidden: Width of one direction of every BLSTM.
    layers: Layers of every BLSTM.
    dropout: Rate of the dropout.
    gate: Columns of the gated unit.
    attention: Width of the attention layer.
    reading: How acoustic words are read, see `acoustic_words.AcousticWords`.
    words: Number of words, where there is no lexical stream.
    word_frames: Most frames of a word, see `acoustic_words.AcousticWords`.
    emotions: Number of outputs.
    dtype: Dtype of the matmuls.
  """

  kind: str
  hidden: int
  layers: int
  dropout: float
  gate: int
  attention: int
  reading: str
  words: int
  word_frames: int
  emotions: int
  dtype: str

  @nn.compact
  def __call__(
    self, batch: schema.Batch, *, key: PRNGKeyArray | None
  ) -> Output:
    """Scores the emotions; a key means training."""
    kind = KINDS[self.kind]
    keys = [None] * 5 if key is None else list(jax.random.split(key, 5))
    gate = None
    parts = []
    if kind.words and "lexical" in kind.modalities:
      frames, mask, gate = self._fused(batch, keys)
      parts.append(self._pool("pool", frames, mask))
    elif kind.words:
      parts.append(self._pool("pool", *self._acoustic_words(batch, keys[0])))
    else:
      for index, name in enumerate(kind.modalities):
        stream = batch.streams[name]
        mask = stream.mask
        if name == "acoustic" and not kind.silence:
          mask = frame_words(batch, stream.mask) >= 0
        states = self._blstm(name, stream.features, mask, keys[index])
        parts.append(self._pool(f"pool_{name}", states, mask))
    vector = jnp.concatenate([part[0] for part in parts], axis=-1)
    dropped = layers.dropout(vector, self.dropout, keys[4])
    logits = layers.Linear(self.emotions, name="out")(dropped)
    return Output(logits, vector, parts[-1][1], gate)

  def _blstm(
    self,
    name: str,
    frames: Float[Array, "b t d"],
    mask: Bool[Array, "b t"],
    key: PRNGKeyArray | None,
  ) -> Float[Array, "b t h"]:
    return lstm.BiLSTMStates(
      hidden=self.hidden,
      layers=self.layers,
      dropout=self.dropout,
      dtype=self.dtype,
      name=name,
    )(frames, mask, key=key)

  def _pool(
    self, name: str, frames: Float[Array, "b t h"], mask: Bool[Array, "b t"]
  ) -> tuple[Float[Array, "b h"], Float[Array, "b t"]]:
    if KINDS[self.kind].attention:
      layer = attention.ContextAttention(self.attention, self.dtype, name=name)
      return layer(frames, mask)
    count = jnp.maximum(mask.sum(axis=1, keepdims=True), 1)
    return masked.mean_over_steps(frames, mask), mask / count

  def _acoustic_words(
    self, batch: schema.Batch, key: PRNGKeyArray | None
  ) -> tuple[Float[Array, "b w h"], Bool[Array, "b w"]]:
    """Encodes acoustic words, and tells which of them have a frame."""
    stream = batch.streams["acoustic"]
    lexical = None
    if "lexical" in KINDS[self.kind].modalities:
      lexical = batch.streams["lexical"].mask
    whole = batch.acoustic_word is None and stream.mask.shape[1] == 1
    word = frame_words(batch, stream.mask)
    count = self.words if lexical is None else lexical.shape[1]
    vectors = acoustic_words.AcousticWords(
      hidden=self.hidden,
      layers=self.layers,
      dropout=self.dropout,
      reading=self.reading,
      words=1 if whole else count,
      word_frames=self.word_frames,
      dtype=self.dtype,
      name="acoustic_words",
    )(stream.features, word, key=key)
    if not whole:
      return vectors, acoustic_words.membership(word, count).any(axis=2)
    if lexical is None:
      return vectors, stream.mask
    # The one vector is that of all words, or of one where there is no word.
    alone = ~lexical.any(axis=1, keepdims=True)
    first = alone & (jnp.arange(count) == 0)[None, :]
    mask = (lexical | first) & stream.mask
    vectors = jnp.broadcast_to(vectors, (*mask.shape, vectors.shape[-1]))
    return jnp.where(mask[..., None], vectors, 0.0), mask

  def _fused(
    self, batch: schema.Batch, keys: list[PRNGKeyArray | None]
  ) -> tuple[
    Float[Array, "b w h"], Bool[Array, "b w"], Float[Array, "b w"] | None
  ]:
    """Encodes the words of both modalities as one, and returns the gates."""
    stream = batch.streams["lexical"]
    acoustic, acoustic_mask = self._acoustic_words(batch, keys[0])
    lexical = self._blstm("lexical", stream.features, stream.mask, keys[1])
    gate = None
    if KINDS[self.kind].gated:
      unit = fusion.GatedMultimodalUnit(self.gate, self.dtype, name="gated")
      gated = unit(
        acoustic, lexical, acoustic_mask, stream.mask, train=keys[0] is not None
      )
      fused, gate = gated.fused, gated.gate.mean(axis=-1)
    else:
      fused = jnp.concatenate([acoustic, lexical], axis=-1)
    mask = acoustic_mask | stream.mask
    fused = layers.dropout(fused, self.dropout, keys[2])
    return self._blstm("words", fused, mask, keys[3]), mask, gate


def frame_words(
  batch: schema.Batch, mask: Bool[Array, "b t"]
) -> Int[Array, "b t"]:
  """Finds the word of every acoustic frame, -1 for none and for padding.

  Where none of an utterance's frames is in a word, all are in the first.

  Raises:
    UserError: There are several frames and nothing says which word they are in.
  """
  if batch.acoustic_word is None and mask.shape[1] > 1:
    raise errors.UserError(
      "config.model.view or config.model.second needs to know the word of every"
      " acoustic frame, but the shards have no acoustic_word; use shards that"
      " have it, features of whole utterances, or a view with all frames, such"
      " as b_aco_1"
    )
  if batch.acoustic_word is None:
    word = jnp.full(mask.shape, -1)
  else:
    word = jnp.where(mask, batch.acoustic_word, -1)
  none = (word < 0).all(axis=1, keepdims=True)
  return jnp.where(none & mask, 0, word)
