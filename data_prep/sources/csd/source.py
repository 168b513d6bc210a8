"""Builds corpora of computational sequences (.csd).

An utterance is a segment, a row of the file of labels. By default
(`--align=words`) frames are averaged inside of each word and words are put into
the segments that they share time with, so that lexical, acoustic and visual
rows stand side by side; a word over a border is in both segments. What a word
lacks is a row of zeros, which is padding. With `--align=labels` each stream
keeps its own rows.

Words get the vectors of `--word_vectors` or of `--text_encoder`; without, they
have those of the corpus (TimestampedWordVectors). Speaker, session and dialogue
are the recording: nothing else is known of them.
"""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from data_prep.corpus import columns, corpus
from data_prep.features import text_features
from data_prep.sources.csd import (
  account,
  align,
  ratings,
  read,
  roles,
  segments,
  selection,
  streams,
  vectors,
)
from data_prep.sources.csd import labels as labels_lib
from data_prep.sources.csd import lexical as lexical_lib


class _Parts(NamedTuple):
  """Holds what the segments of a corpus are made of.

  Attributes:
    name: The name of the corpus.
    sequences: Those that are read.
    labelled: The labels of the recordings that are kept.
    labels: Reads a row of them.
    features: The vectors of words and of emotions.
    choice: What shapes the corpus.
    ratings: Reads the ratings of a row of labels.
  """

  name: str
  sequences: Mapping[str, read.Sequence]
  labelled: selection.Labelled
  labels: labels_lib.Labels
  features: text_features.TextFeatures
  choice: selection.Choice
  ratings: ratings.Ratings


def build(
  found: roles.Found, labels: labels_lib.Labels, choice: selection.Choice
) -> corpus.Corpus:
  """Builds the corpus of some sequences.

  Args:
    found: The sequences.
    labels: Reads the rows of those of the labels.
    choice: What shapes the corpus.

  Raises:
    UserError: The files do not fit each other, or what is wanted is not there.
  """
  parts = _parts(found, labels, choice)
  sequences, labelled, features = (
    parts.sequences,
    parts.labelled,
    parts.features,
  )
  tally: Counter[str] = Counter()

  def examples() -> Iterator[corpus.Example]:
    tally.clear()
    tally.update(labelled.tally)
    yield from _examples(parts, tally)
    labels.check(str(sequences[roles.LABELS].path))
    account.finish(tally, found.corpus)

  modalities = _modalities(parts)
  return corpus.Corpus(
    name=found.corpus,
    source="csd",
    layout=(
      f"computational sequences of {', '.join(sequences)}, {labels.layout},"
      f" aligned to {choice.options.align}"
    ),
    emotions=labels.names,
    label_type=labels.label_type,
    fixed_emotions=True,
    modalities=modalities,
    examples=examples,
    total=labelled.total,
    options=account.options(sequences, labels, choice),
    vectors=features.emotions,
    text=features.account,
    word_vectors=features.word_vectors,
    tally=tally,
    notes=(
      *found.notes,
      *parts.ratings.notes,
      *account.notes(
        found.sequences, sequences, choice, list(labelled.entries)
      ),
    ),
    files=(*(each.path for each in sequences.values()), *choice.files),
    has_words=_has_words(parts),
    has_acoustic_word=_has_acoustic_word(parts, modalities),
    ratings=parts.ratings.ratings,
  )


def _parts(
  found: roles.Found, labels: labels_lib.Labels, choice: selection.Choice
) -> _Parts:
  """Opens what is read of the files."""
  sequences = selection.used(found.sequences, choice)
  labelled = selection.labelled(
    sequences[roles.LABELS], selection.kept(sequences, choice), choice
  )
  features = vectors.open_features(sequences, labelled, labels.names, choice)
  rated = ratings.find(
    labels.columns,
    choice.ratings,
    labelled.entries,
    sequences[roles.LABELS].path.name,
  )
  return _Parts(
    found.corpus, sequences, labelled, labels, features, choice, rated
  )


def _modalities(parts: _Parts) -> dict[str, corpus.Modality]:
  """Describes the modalities; rows beside each other are padded with zeros."""
  options = parts.choice.options
  padding = corpus.NO_PADDING
  if options.align == segments.BY_WORDS and options.collapse != align.NONE:
    padding = corpus.ZERO_ROWS
  found = {
    name: dataclasses.replace(modality, padding=padding)
    for name, modality in parts.features.modalities().items()
  }
  for name in selection.FRAMES:
    if name in parts.sequences:
      width = parts.sequences[name].width
      found[name] = corpus.Modality(
        columns.named(name, width, parts.choice.name_columns)
        or corpus.numbered(name, width),
        padding,
      )
  return found


def _has_words(parts: _Parts) -> bool:
  options = parts.choice.options
  if options.align == segments.BY_LABELS and options.collapse != align.NONE:
    return False
  return roles.WORDS in parts.sequences and (
    parts.features.has_words or roles.VECTORS in parts.sequences
  )


def _has_acoustic_word(
  parts: _Parts, modalities: Mapping[str, corpus.Modality]
) -> bool:
  options = parts.choice.options
  return (
    options.align == segments.BY_WORDS
    and options.collapse == align.NONE
    and {"lexical", "acoustic"} <= modalities.keys()
  )


def _examples(parts: _Parts, tally: Counter[str]) -> Iterator[corpus.Example]:
  """Reads the recordings, one at a time."""
  choice = parts.choice
  make = (
    streams.of_words
    if choice.options.align == segments.BY_WORDS
    else streams.of_labels
  )
  with contextlib.ExitStack() as stack:
    readers = {
      role: stack.enter_context(sequence.opened(tally))
      for role, sequence in parts.sequences.items()
      if role != roles.LABELS
    }
    for recording, labels in parts.labelled.entries.items():
      lexical = _lexical(readers, recording, choice.sp, tally)
      frames = {
        name: readers[name](recording)
        for name in selection.FRAMES
        if name in readers
      }
      for segment in make(
        lexical, frames, labels, parts.features, choice.options, tally
      ):
        yield _example(segment, recording, parts, tally)


def _lexical(
  readers: Mapping[str, Callable[[str], dict[str, align.Rows]]],
  recording: str,
  sp: str,
  tally: Counter[str],
) -> lexical_lib.Lexical | None:
  words = None
  if roles.WORDS in readers:
    words = readers[roles.WORDS](recording)
  if roles.VECTORS in readers:
    return lexical_lib.from_vectors(readers[roles.VECTORS](recording), words)
  return None if words is None else lexical_lib.from_words(words, sp, tally)


def _example(
  segment: streams.Streams,
  recording: str,
  parts: _Parts,
  tally: Counter[str],
) -> corpus.Example:
  """Makes an utterance of a segment."""
  where = f"{parts.sequences[roles.LABELS].path.name} {segment.key}"
  labels = parts.labels(segment.label, where)
  tally[account.UNLABELLED] += labels is None
  split = (parts.choice.splits or {}).get(recording, "")
  if split:
    tally[account.in_split(split, parts.name)] += 1
  return corpus.Example(
    id=segment.key,
    where=where,
    streams={
      name: corpus.as_float32(rows) for name, rows in segment.rows.items()
    },
    labels=labels,
    speaker=recording,
    session=recording,
    dialogue=recording,
    split=split,
    stream_where={
      name: f"{parts.sequences[name].path.name} {segment.key}"
      for name in selection.FRAMES
      if name in parts.sequences
    },
    acoustic_word=segment.acoustic_word,
    words=segment.words,
    ratings=parts.ratings(segment.label, where, tally),
  )
