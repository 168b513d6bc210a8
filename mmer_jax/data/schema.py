"""Shards to batches: what is resident, what streams, and in which order.

Which rows make up which batch is decided here, on the host, from (seed,
stage, epoch) alone: an index per row, -1 where a row only fills the batch. The
resident path gathers those rows inside the compiled program, the streaming
path reads them from the shards; both see the same batches.

Row i in role s is number i + s n, of n utterances: one utterance can take part
with the labels of the source emotions and, drawn into a sample, with that of
a new one.
"""

from typing import NamedTuple

import flax.struct
from jaxtyping import Array, Bool, Float, Int

PAD_ROW = -1

MODALITIES = ("lexical", "acoustic", "visual")

# Raised when the meaning of a shard or of its manifest changes.
SHARD_FORMAT = 1

# The one TFDS split that holds every example; the corpus's own train,
# validation and test are the text feature `split` of each example.
TFDS_SPLIT = "examples"


class EmotionVectors(NamedTuple):
  """Word vectors of emotions: what `emotions.npz` holds.

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
  """One modality of a batch.

  Attributes:
    features: Padded with zeros.
    mask: True on real frames. A row with none is an absent modality.
  """

  features: Float[Array, "*r b t d"]
  mask: Bool[Array, "*r b t"]


@flax.struct.dataclass
class Batch:
  """Utterances as the systems see them.

  Attributes:
    streams: Modality name to stream; only the modalities that are trained on.
    present: Modality name to whether each utterance has it.
    labels: 1 where the emotion is present.
    labelled: Whether `labels` means anything.
    example_mask: False on the rows that only fill a batch.
    role: As what a row takes part: 0 as one of the source corpus; what the
      others are is said by `training.Runs.known`.
    acoustic_word: The lexical step that each acoustic frame belongs to, -1 for
      silence, another speaker and padding; None where the shards do not say.
  """

  streams: dict[str, Stream]
  present: dict[str, Bool[Array, "*r b"]]
  labels: Float[Array, "*r b k"]
  labelled: Bool[Array, "*r b"]
  example_mask: Bool[Array, "*r b"]
  role: Int[Array, "*r b"]
  acoustic_word: Int[Array, "*r b t"] | None = None
  row: Int[Array, "*r b"] | None = None
