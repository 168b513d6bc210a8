"""Describes what shards, tables and batches of utterances hold."""

from typing import Any, NamedTuple

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# In place of a row number: a row that only fills a batch.
PAD_ROW = -1

MODALITIES = ("lexical", "acoustic", "visual")

# Raised when the meaning of a shard or of its manifest changes.
SHARD_FORMAT = 1

# The one TFDS split that holds every example; the corpus's own train,
# validation and test are the text feature `split` of each example.
TFDS_SPLIT = "examples"


class EmotionVectors(NamedTuple):
  """Holds one word vector per emotion, as `emotions.npz` does.

  Attributes:
    names: The label's name, as in the manifest.
    words: The word whose vector stands for the emotion; `""` where the word
      vectors had none (its row is zeros).
    vectors: One row per emotion, float32.
  """

  names: tuple[str, ...]
  words: tuple[str, ...]
  vectors: Float[Array, "k e"]


@flax.struct.dataclass
class Stream:
  """Holds one modality of a batch, padded and masked.

  Attributes:
    features: Padded with zeros.
    mask: True on real frames. A row with none is an absent modality.
  """

  features: Float[Array, "*r b t d"]
  mask: Bool[Array, "*r b t"]


@flax.struct.dataclass
class Batch:
  """Holds utterances as the systems see them.

  Attributes:
    streams: Modality name to stream; only the modalities that are trained on.
    present: Modality name to whether each utterance has it.
    labels: 1 where the emotion is present.
    labelled: Whether `labels` means anything.
    example_mask: False on the rows that only fill a batch.
    role: What a row is used as: 0 for a training utterance with its own
      labels; `RunSettings.known` in `systems/interface.py` says which emotions
      each further role knows.
    acoustic_word: The lexical step that each acoustic frame belongs to, -1 for
      silence, another speaker and padding; None where the shards do not say.
    row: The row number of each utterance in its corpus; None where a batch was
      not gathered from one.
  """

  streams: dict[str, Stream]
  present: dict[str, Bool[Array, "*r b"]]
  labels: Float[Array, "*r b k"]
  labelled: Bool[Array, "*r b"]
  example_mask: Bool[Array, "*r b"]
  role: Int[Array, "*r b"]
  acoustic_word: Int[Array, "*r b t"] | None = None
  row: Int[Array, "*r b"] | None = None


def make_batch(
  streams: dict[str, Stream],
  labels: Any,
  *,
  labelled: Any = None,
  example_mask: Any = None,
  role: Any = None,
  acoustic_word: Any = None,
  row: Any = None,
) -> Batch:
  """Builds a batch from padded streams; an empty mask is an absent modality.

  Args:
    streams: Modality name to stream, of NumPy or of traced arrays.
    labels: 1 where the emotion is present, (..., b, k); decides whether the
      rest is made with NumPy or with JAX.
    labelled: Whether each row has labels; all have by default.
    example_mask: Which rows are utterances; all are by default.
    role: See `Batch.role`; 0 by default.
    acoustic_word: See `Batch.acoustic_word`.
    row: See `Batch.row`.
  """
  xp = np if isinstance(labels, np.ndarray) else jnp
  leading = labels.shape[:-1]
  return Batch(
    streams=streams,
    present={m: stream.mask.any(axis=-1) for m, stream in streams.items()},
    labels=labels,
    labelled=xp.ones(leading, bool) if labelled is None else labelled,
    example_mask=(
      xp.ones(leading, bool) if example_mask is None else example_mask
    ),
    role=xp.zeros(leading, np.int32) if role is None else role,
    acoustic_word=acoustic_word,
    row=row,
  )
