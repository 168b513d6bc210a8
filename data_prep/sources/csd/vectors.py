"""Finds the vectors of a corpus's words, and of its emotions."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from data_prep.corpus import corpus
from data_prep.corpus import text as text_lib
from data_prep.features import text_features
from data_prep.sources.csd import lexical as lexical_lib
from data_prep.sources.csd import read, roles, segments, selection
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema
from mmer_jax.data import word_vectors as word_vectors_lib


def _texts(
  sequences: Mapping[str, read.Sequence], labelled: selection.Labelled
) -> Iterator[str]:
  with sequences[roles.WORDS].opened() as words_of:
    for recording, labels in labelled.entries.items():
      yield from lexical_lib.texts_of(words_of(recording), labels)


def open_features(
  sequences: Mapping[str, read.Sequence],
  labelled: selection.Labelled,
  emotions: Sequence[str],
  choice: selection.Choice,
) -> text_features.TextFeatures:
  """Opens the vectors of words and of emotions."""
  if roles.VECTORS in sequences:
    return _own_vectors(sequences, labelled, emotions, choice)
  if roles.WORDS not in sequences:
    return text_features.TextFeatures()
  features = text_features.open_text(
    choice.text, _texts(sequences, labelled), emotions
  )
  if features.modality is None or features.has_words:
    return features
  if choice.options.align == segments.BY_WORDS:
    raise UserError(
      "--align=words needs a vector of each word, and the encoder makes one of"
      " a text; use another --text_pooling, or --align=labels"
    )
  return features


def _own_vectors(
  sequences: Mapping[str, read.Sequence],
  labelled: selection.Labelled,
  emotions: Sequence[str],
  choice: selection.Choice,
) -> text_features.TextFeatures:
  """Describes the corpus's own word vectors, and finds those of emotions."""
  sequence = sequences[roles.VECTORS]
  modality = corpus.Modality(
    corpus.numbered("vector", sequence.width), corpus.NO_PADDING
  )
  if choice.text.encoder is not None:
    raise UserError(
      f"--text_encoder needs words, and --input has {sequence.path} alone; add"
      " the .csd of words"
    )
  if choice.text.word_vectors is not None:
    vectors = text_features.open_text(choice.text, None, emotions).emotions
    if vectors.vectors.shape[1] != sequence.width:
      raise UserError(
        f"--word_vectors has vectors of {vectors.vectors.shape[1]} numbers,"
        f" {sequence.path} of {sequence.width}; give the file that these are of"
      )
  elif roles.WORDS in sequences:
    vectors = _spoken(sequences, labelled, emotions)
  else:
    vectors = None
  return text_features.TextFeatures(modality=modality, emotions=vectors)


def _spoken(
  sequences: Mapping[str, read.Sequence],
  labelled: selection.Labelled,
  emotions: Sequence[str],
) -> schema.EmotionVectors:
  """Finds the vectors of the emotions' words where somebody says them."""
  words = {e: text_lib.EMOTION_WORDS.get(e, (e,)) for e in emotions}
  found: dict[str, np.ndarray] = {}
  with contextlib.ExitStack() as stack:
    words_of, vectors_of = (
      stack.enter_context(sequences[role].opened())
      for role in (roles.WORDS, roles.VECTORS)
    )
    for recording in labelled.entries:
      wanted = set().union(*words.values()) - found.keys()
      said = words_of(recording)
      if lexical_lib.says(said, wanted):
        found.update(
          lexical_lib.vectors_of(wanted, said, vectors_of(recording))
        )
  return text_lib.emotion_vectors(
    emotions,
    words,
    word_vectors_lib.WordVectors(sequences[roles.VECTORS].width, found),
  )
