"""Makes the streams of the segments of a recording, of words or of frames."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from data_prep.features import text_features
from data_prep.sources.csd import align
from data_prep.sources.csd import lexical as lexical_lib
from data_prep.sources.csd import segments as segments_lib


class Streams(NamedTuple):
  """Holds the streams of one segment.

  Attributes:
    key: The name of the label's entry, with its number.
    label: The values of the label's columns.
    rows: Modality to (t, d); an absent modality is left out.
    words: The word of each lexical row; None where rows are no known words.
    acoustic_word: The lexical row of each acoustic frame; None where frames
      are collapsed, or were not aligned to words.
  """

  key: str
  label: np.ndarray
  rows: dict[str, np.ndarray]
  words: list[str] | None
  acoustic_word: np.ndarray | None


def of_words(
  lexical: lexical_lib.Lexical,
  frames: Mapping[str, align.Entries],
  labels: align.Entries,
  features: text_features.TextFeatures,
  options: segments_lib.Options,
  tally: Counter[str],
) -> Iterator[Streams]:
  """Yields segments whose rows are words.

  Args:
    lexical: The words, or their vectors.
    frames: Modality to the entries of its frames.
    labels: The entries of the labels.
    features: The vectors of words, where `lexical` has none.
    options: How.
    tally: Counts what is left out, in words.
  """
  collapse = options.collapse
  for segment in segments_lib.by_words(lexical, frames, labels, options, tally):
    if segment.lexical is None and features.embed is not None:
      segment = segments_lib.embed(segment, features, collapse)
      if not segments_lib.count(segment):
        tally[segments_lib.NO_VECTOR] += 1
        continue
    if not options.impute:
      segment = segments_lib.complete(segment, frames, collapse)
      if not segments_lib.count(segment):
        tally[segments_lib.INCOMPLETE] += 1
        continue
    total = segments_lib.count(segment)
    kept = segments_lib.shorten(total, options)
    tally[segments_lib.SHORTENED] += len(kept) < total
    yield _beside(segments_lib.select(segment, kept, collapse), collapse)


def _beside(segment: segments_lib.Segment, collapse: str) -> Streams:
  """Puts frames beside the words that they are in."""
  rows, acoustic_word = {}, None
  if segment.lexical is not None:
    rows[segments_lib.LEXICAL] = segment.lexical
  for name, (values, place) in segment.frames.items():
    if collapse == align.NONE:
      rows[name] = values
      if name == "acoustic":
        acoustic_word = place.astype(np.int32)
    else:
      shape = segments_lib.count(segment), values.shape[1]
      rows[name] = np.zeros(shape)
      rows[name][place] = values
  words = segment.words if segments_lib.LEXICAL in rows else None
  return Streams(segment.key, segment.label, rows, words, acoustic_word)


def of_labels(
  lexical: lexical_lib.Lexical | None,
  frames: Mapping[str, align.Entries],
  labels: align.Entries,
  features: text_features.TextFeatures,
  options: segments_lib.Options,
  tally: Counter[str],
) -> Iterator[Streams]:
  """Yields segments whose streams keep rows of their own; see `of_words`."""
  sequences = {**frames, segments_lib.LABELS: labels}
  if lexical is not None:
    sequences[segments_lib.LEXICAL] = lexical.entries
  cut = align.align(sequences, segments_lib.LABELS, options.collapse)
  if not options.impute:
    every = len(cut[segments_lib.LABELS])
    cut = align.hard_unify(cut)
    tally[segments_lib.INCOMPLETE] += every - len(cut[segments_lib.LABELS])
  for key, label in cut[segments_lib.LABELS].items():
    rows = {
      name: cut[name][key].features for name in frames if key in cut[name]
    }
    words = None
    if lexical is not None and key in cut[segments_lib.LEXICAL]:
      words, rows[segments_lib.LEXICAL] = _lexical(
        cut[segments_lib.LEXICAL][key], lexical, features, options.collapse
      )
    rows = {name: each for name, each in rows.items() if len(each)}
    if not rows:
      tally[segments_lib.NOTHING] += 1
      continue
    kept = {
      name: segments_lib.shorten(len(each), options)
      for name, each in rows.items()
    }
    tally[segments_lib.SHORTENED] += any(
      len(kept[name]) < len(each) for name, each in rows.items()
    )
    if words is not None:
      words = [words[row] for row in kept.get(segments_lib.LEXICAL, ())]
    rows = {name: each[kept[name]] for name, each in rows.items()}
    yield Streams(key, label.features[0], rows, words, None)


def _lexical(
  rows: align.Rows,
  lexical: lexical_lib.Lexical,
  features: text_features.TextFeatures,
  collapse: str,
) -> tuple[list[str] | None, np.ndarray]:
  """Makes the lexical rows of a segment, and their words."""
  if rows.features.dtype.kind != "U":
    if collapse != align.NONE or lexical.words is None:
      return None, rows.features
    return [lexical.words[tag] for tag in rows.tags], rows.features
  words = [lexical.words[tag] for tag in rows.tags]
  segment = segments_lib.Segment("", np.zeros(0), words, None, {})
  if not features.has_words:
    return None, features.embed(lexical_lib.text_of(words)).rows
  # Which word each row is of rides in place of a frame.
  times = segments_lib.Frames(rows.intervals, np.arange(len(words)))
  segment = segments_lib.embed(
    segment._replace(frames={"times": times}), features, align.MEAN
  )
  if collapse == align.NONE or not segment.words:
    return segment.words, segment.lexical
  timed = align.make_rows(segment.lexical, segment.frames["times"].values)
  return None, align.collapse_rows(timed, collapse).features
