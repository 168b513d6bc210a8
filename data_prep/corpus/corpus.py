"""Describes a corpus to the writer: what it holds, and a stream of examples."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.data import schema

# All-zero rows are padding, or every stored row is real.
ZERO_ROWS = "zero_rows"
NO_PADDING = "none"

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Modality:
  """Describes one modality of a corpus.

  Attributes:
    columns: A name for every feature, unique.
    padding: `ZERO_ROWS` or `NO_PADDING`.
    frame_rate_hz: Frames in a second; None where it is not known.
  """

  columns: tuple[str, ...]
  padding: str
  frame_rate_hz: float | None = None

  @property
  def dim(self) -> int:
    """The number of features of a frame."""
    return len(self.columns)


class Rating(NamedTuple):
  """Describes a scale on which raters place an utterance.

  Attributes:
    name: Such as `valence`.
    low: The lowest value that the scale has.
    high: The highest.
  """

  name: str
  low: float
  high: float

  def has(self, value: np.floating) -> bool:
    """Whether the scale has a value, the ends rounded as in shards."""
    return bool(np.float32(self.low) <= value <= np.float32(self.high))


@dataclasses.dataclass
class Example:
  """Holds one utterance, as the source has it.

  Attributes:
    id: Unique in the corpus.
    where: File and row, for messages.
    streams: Modality name to (t, d); an absent modality is left out.
    labels: One value per emotion; None where unlabelled.
    split: One of `SPLITS`, or `""`.
    stream_where: Modality name to file and row, where they differ from
      `where`.
    acoustic_word: The index of the lexical row each acoustic frame belongs
      to, -1 for none; None where the corpus has no such alignment.
    words: The word of each lexical row; None where the corpus has no words.
    ratings: One value per rating of the corpus, NaN where it was not given;
      None where none was.
  """

  id: str
  where: str
  streams: dict[str, np.ndarray]
  labels: np.ndarray | None
  speaker: str = ""
  session: str = ""
  dialogue: str = ""
  split: str = ""
  stream_where: Mapping[str, str] = dataclasses.field(default_factory=dict)
  acoustic_word: np.ndarray | None = None
  words: list[str] | None = None
  ratings: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Corpus:
  """Holds what a source knows before the first example is written.

  Attributes:
    name: Lower-case letters, digits and underscores.
    source: The converter's name of the source.
    layout: What was recognised, in words.
    emotions: Names, in the order of the labels.
    label_type: `"single"` (exactly one emotion) or `"multi"`.
    modalities: The modalities that the corpus has at all.
    examples: Starts a pass over the corpus; every pass yields the same.
    total: Number of examples, for progress; None where not known.
    options: What shaped the result, for the manifest. No paths.
    vectors: Vectors of the emotions; None where no word vectors were given.
    text: The manifest's account of the text; None without text.
    word_vectors: Vectors of the words of its texts, the most frequent first.
    tally: What became of rows, in words, to how many; filled by each pass.
    notes: What a user should know of what was read, a sentence each.
    make: Makes the example of a number below `total` by itself, for sources
      that take long over each: several processes share the work. It can be
      pickled and changes nothing, `tally` included. None where examples come in
      a pass alone; they are checked and encoded by several processes, too.
    files: What examples are read from, beside the files that the command names;
      a conversion that goes on must find them as they were.
    has_words: Whether examples carry `words`.
    has_acoustic_word: Whether examples carry `acoustic_word`.
    fixed_emotions: Whether the emotions are those of a published corpus, of
      which a part may have one alone: a warning, no mistake in the labels.
    ratings: The scales beside the emotions, in the order of an example's.
  """

  name: str
  source: str
  layout: str
  emotions: tuple[str, ...]
  label_type: str
  modalities: dict[str, Modality]
  examples: Callable[[], Iterator[Example]]
  total: int | None
  options: dict[str, Any]
  vectors: schema.EmotionVectors | None = None
  text: dict[str, Any] | None = None
  word_vectors: Mapping[str, np.ndarray] = dataclasses.field(
    default_factory=dict
  )
  tally: dict[str, int] = dataclasses.field(default_factory=dict)
  notes: tuple[str, ...] = ()
  make: Callable[[int], Example] | None = None
  files: tuple[pathlib.Path, ...] = ()
  has_words: bool = False
  has_acoustic_word: bool = False
  fixed_emotions: bool = False
  ratings: tuple[Rating, ...] = ()


def as_float32(values: np.ndarray) -> np.ndarray:
  """Converts to float32; what does not fit becomes infinite."""
  with np.errstate(over="ignore"):
    return np.asarray(values).astype(np.float32)


def numbered(name: str, count: int) -> tuple[str, ...]:
  """Makes column names where nothing better is known."""
  width = max(2, len(str(count - 1)))
  return tuple(f"{name}_{i:0{width}d}" for i in range(count))


def check_dim(
  modality: Modality, name: str, frames: np.ndarray, where: str
) -> None:
  """Raises a `UserError` unless `frames` are rows of the modality."""
  if frames.ndim != 2 or frames.shape[1] != modality.dim:
    raise UserError(
      f"{where}: {name} features of shape {frames.shape}, expected rows of"
      f" {modality.dim} as in the rest of the corpus"
    )
