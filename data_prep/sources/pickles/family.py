"""Says what a family of pickles holds, in terms that all families share."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from data_prep.sources.pickles import labels as labels_lib
from mmer_jax.data import schema

# What the files call a split to the converter's name of it.
SPLITS = {
  "train": "train",
  **dict.fromkeys(("valid", "val", "dev", "validation"), "validation"),
  "test": "test",
}
# What the files call a modality.
MODALITIES = {
  **dict.fromkeys(("text", "language", "lexical"), "lexical"),
  **dict.fromkeys(("audio", "acoustic"), "acoustic"),
  **dict.fromkeys(("vision", "visual", "video"), "visual"),
}

Tally = dict[str, int]


@dataclasses.dataclass
class Utterance:
  """Holds one utterance of a pickle.

  Attributes:
    id: As the file has it; `names.Names` makes it unique.
    where: File and row, for messages.
    streams: Modality to its rows (t, d), without padding.
    label: What `Family.labels` reads; None where there is none.
    split: One of `corpus.SPLITS`, or `""`.
    words: The word of each row of the streams, in lists of words.
    text: The transcript; `""` where there is none.
    ratings: One value per rating of the family; None where there is none.
  """

  id: str
  where: str
  streams: dict[str, np.ndarray]
  label: Any
  split: str = ""
  words: list[str] | None = None
  text: str = ""
  speaker: str = ""
  session: str = ""
  dialogue: str = ""
  ratings: np.ndarray | None = None


class Stream(NamedTuple):
  """Says what the rows of a modality are.

  Attributes:
    dim: Numbers of a row.
    padding: `corpus.ZERO_ROWS` or `corpus.NO_PADDING`.
  """

  dim: int
  padding: str


@dataclasses.dataclass
class Family:
  """Holds what a reader of a family knows before the first utterance.

  Attributes:
    layout: The family's name, and what of it was recognised.
    streams: Modality to what its rows are; the features of the file alone.
    labels: Reads the labels.
    utterances: Starts a pass; it counts what it removes.
    total: How many utterances there are.
    has_words: Whether utterances carry `words`.
    has_text: Whether utterances carry `text`.
    aligned: Whether row i is the same word in every stream.
    notes: What a user should know, a sentence each.
    ratings: The scales of the utterances' ratings.
  """

  layout: str
  streams: dict[str, Stream]
  labels: labels_lib.Labels
  utterances: Callable[[Tally], Iterator[Utterance]]
  total: int
  has_words: bool = False
  has_text: bool = False
  aligned: bool = False
  notes: list[str] = dataclasses.field(default_factory=list)
  ratings: tuple[corpus_lib.Rating, ...] = ()


def in_order(streams: Mapping[str, Any]) -> dict[str, Any]:
  """Puts modalities in the order that all corpora have them."""
  return {name: streams[name] for name in schema.MODALITIES if name in streams}


def count(tally: Tally, what: str, rows: int) -> None:
  """Adds rows to a tally; none are no entry."""
  if rows:
    tally[what] = tally.get(what, 0) + int(rows)


def padded(dim: int) -> Stream:
  """Describes a modality whose rows of zeros are padding."""
  return Stream(dim, corpus_lib.ZERO_ROWS)


def unpadded(dim: int) -> Stream:
  """Describes a modality whose rows are all real."""
  return Stream(dim, corpus_lib.NO_PADDING)
