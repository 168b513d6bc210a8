"""Makes segments of words and their frames: what lies in a label's interval."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from data_prep.corpus import text as text_lib
from data_prep.features import alignment, text_features
from data_prep.sources.csd import align
from data_prep.sources.csd import lexical as lexical_lib

LEXICAL, LABELS = "lexical", "labels"
BY_WORDS, BY_LABELS = "words", "labels"
ALIGN = (BY_WORDS, BY_LABELS)
LAST, FIRST = "last", "first"
SEQ_KEEP = (LAST, FIRST)
NO_WORD = "of labels without a word left out"
NOTHING = "of labels without any feature left out"
INCOMPLETE = "of labels that lack a modality left out"
NO_VECTOR = "of labels without a word that has a vector left out"
SHORTENED = "of labels whose streams were cut to --seq_len"


class Options(NamedTuple):
  """Holds how a recording becomes segments.

  Attributes:
    align: `BY_WORDS`, frames first to words and these to labels, or
      `BY_LABELS`, each stream by itself (`streams`).
    collapse: One of `align.COLLAPSE`.
    impute: Whether what lacks a modality stays.
    seq_len: Most rows of a stream; 0 for all.
    seq_keep: Which rows stay, one of `SEQ_KEEP`.
  """

  align: str
  collapse: str
  impute: bool
  seq_len: int
  seq_keep: str


class Frames(NamedTuple):
  """Holds frames of some words.

  Attributes:
    values: (t, d).
    place: (t,), the row of the word that each is in.
  """

  values: np.ndarray
  place: np.ndarray


class Segment(NamedTuple):
  """Holds what lies inside one label's interval.

  Attributes:
    key: The name of the label's entry, with its number.
    label: The values of the label's columns.
    words: The word of each lexical row; None where nothing says it.
    lexical: Word vectors; None where words have none.
    frames: Modality to frames; an absent modality is left out.
  """

  key: str
  label: np.ndarray
  words: list[str] | None
  lexical: np.ndarray | None
  frames: dict[str, Frames]


def widths(frames: Mapping[str, align.Entries]) -> dict[str, int]:
  """Returns the numbers of a row of each sequence."""
  return {
    name: next(iter(entries.values())).features.shape[1]
    for name, entries in frames.items()
  }


def by_words(
  lexical: lexical_lib.Lexical,
  frames: Mapping[str, align.Entries],
  labels: align.Entries,
  options: Options,
  tally: Counter[str],
) -> Iterator[Segment]:
  """Yields the segments of a recording: its words, and their frames.

  Args:
    lexical: The words, or their vectors.
    frames: Modality to the entries of its frames.
    labels: The entries of the labels.
    options: How.
    tally: Counts what is left out, in words.
  """
  first = align.align(
    {LEXICAL: lexical.entries, **frames}, LEXICAL, options.collapse
  )
  words = first[LEXICAL]
  for name in frames:
    tally[f"of words without {name} frames"] += len(words) - len(first[name])
  if options.impute and options.collapse != align.NONE:
    first = align.impute(first, LEXICAL, widths(frames))
  # Frames have the tags of their words.
  for name in frames:
    first[name] = {
      key: rows._replace(tags=np.repeat(words[key].tags, len(rows.features)))
      for key, rows in first[name].items()
    }
  cut = align.align({**first, LABELS: labels}, LABELS, align.NONE)
  for key, label in cut[LABELS].items():
    if key not in cut[LEXICAL]:
      tally[NO_WORD] += 1
      continue
    rows = cut[LEXICAL][key]
    place = np.full(rows.tags.max() + 1, -1)
    place[rows.tags] = np.arange(len(rows.tags))
    here = {name: cut[name][key] for name in frames if key in cut[name]}
    yield Segment(
      key,
      label.features[0],
      lexical.words and [lexical.words[tag] for tag in rows.tags],
      None if rows.features.dtype.kind == "U" else rows.features,
      {name: _frames(each, place) for name, each in here.items()},
    )


def _frames(rows: align.Rows, place: np.ndarray) -> Frames:
  """Puts frames into the order of their words; others' frames are left out."""
  known = rows.tags < len(place)
  at = place[rows.tags[known]]
  order = np.argsort(at, kind="stable")
  order = order[at[order] >= 0]
  return Frames(rows.features[known][order], at[order])


def select(segment: Segment, rows: np.ndarray, collapse: str) -> Segment:
  """Takes some of a segment's words, with their frames.

  Args:
    segment: Of words.
    rows: Which words, in their order. Of a word that is taken several times
      each has the collapsed frame, and the first all others.
    collapse: How frames were collapsed.
  """
  frames = {}
  for name, (values, place) in segment.frames.items():
    if collapse == align.NONE:
      at = alignment.rows_of_frames(place, rows)
      frames[name] = Frames(values[at >= 0], at[at >= 0])
    else:
      taken, of = np.nonzero(rows[:, None] == place[None, :])
      frames[name] = Frames(values[of], taken)
  return segment._replace(
    words=segment.words and [segment.words[row] for row in rows],
    lexical=None if segment.lexical is None else segment.lexical[rows],
    frames={name: each for name, each in frames.items() if len(each.place)},
  )


def embed(
  segment: Segment, features: text_features.TextFeatures, collapse: str
) -> Segment:
  """Gives the words of a segment their vectors; pauses have zeros.

  A word without a vector is left out with its frames, or has zeros, as the
  features have it.
  """
  spoken = [
    row
    for row, word in enumerate(segment.words)
    if not lexical_lib.is_pause(word)
  ]
  embedded = features.embed(lexical_lib.text_of(segment.words))
  tokens = np.repeat(
    spoken, [len(text_lib.tokenise(segment.words[row])) for row in spoken]
  ).astype(np.int64)
  pauses = np.setdiff1d(np.arange(len(segment.words)), spoken)
  zeros = np.zeros((len(pauses), embedded.rows.shape[1]), np.float32)
  rows = np.concatenate([tokens[embedded.tokens], pauses])
  words = [*embedded.words, *(segment.words[row] for row in pauses)]
  order = np.argsort(rows, kind="stable")
  return select(segment, rows[order], collapse)._replace(
    words=[words[row] for row in order],
    lexical=np.concatenate([embedded.rows, zeros])[order],
  )


def complete(segment: Segment, names: Iterable[str], collapse: str) -> Segment:
  """Keeps the words of a segment that have frames of every modality."""
  kept = np.arange(count(segment))
  for name in names:
    known = segment.frames[name].place if name in segment.frames else ()
    kept = kept[np.isin(kept, known)]
  return select(segment, kept, collapse)


def count(segment: Segment) -> int:
  """Returns the number of a segment's words."""
  if segment.words is not None:
    return len(segment.words)
  return len(segment.lexical)


def shorten(total: int, options: Options) -> np.ndarray:
  """Lists which of some rows stay."""
  rows = np.arange(total)
  if not options.seq_len or total <= options.seq_len:
    return rows
  if options.seq_keep == LAST:
    return rows[-options.seq_len :]
  return rows[: options.seq_len]
