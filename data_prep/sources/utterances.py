"""Reads tables of one row per utterance, described by a spec.

See `spec` for what a spec says. Its `text` becomes the lexical modality through
a file of word vectors.
"""

import pathlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import ml_collections

from data_prep.corpus import corpus
from data_prep.corpus import text as text_lib
from data_prep.sources import spec as spec_lib
from data_prep.sources import utterance_rows
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema
from mmer_jax.data import word_vectors as word_vectors_lib


def build(
  spec: ml_collections.ConfigDict,
  path: pathlib.Path,
  word_vectors: pathlib.Path | None,
  oov: str,
  positive_above: float | None = None,
) -> corpus.Corpus:
  """Builds the corpus that a spec describes.

  Args:
    spec: What the columns mean; see `spec`.
    path: The file, or the folder of `spec.files`.
    word_vectors: Needed where the spec has text; elsewhere only for the
      emotions' vectors.
    oov: A policy of `text.OOV_POLICIES`.
    positive_above: What a value of `spec.label_columns` must exceed for the
      emotion to be present; None for 0.

  Raises:
    UserError: The spec or the tables are not as they should be.
  """
  spec_lib.check_spec(spec)
  rows = utterance_rows.Rows(spec, path, positive_above)
  features = rows.modalities()
  lexicon, vectors = _words(spec, rows, word_vectors)
  modalities = _modalities(spec, lexicon, features)

  def examples() -> Iterator[corpus.Example]:
    for example, text in rows.examples(modalities):
      if lexicon is not None:
        words, embedded = lexicon.embed(text, oov)
        example.words = words
        example.streams = {"lexical": embedded, **example.streams}
      yield example

  return corpus.Corpus(
    name=spec.name,
    source="utterances",
    layout=rows.layout,
    emotions=tuple(spec.emotions),
    label_type=spec.label_type,
    modalities=modalities,
    examples=examples,
    total=rows.total,
    options={
      "spec": _plain(spec.to_dict()),
      "word_vectors": word_vectors.name if word_vectors else None,
      "oov": oov if spec.text else None,
      "positive_above": positive_above,
    },
    tally=rows.tally,
    vectors=vectors,
    text=lexicon.summary(oov, vectors) if lexicon else None,
    word_vectors=lexicon.used if lexicon else {},
    has_words=lexicon is not None,
  )


def _modalities(
  spec: ml_collections.ConfigDict,
  lexicon: text_lib.Lexicon | None,
  features: dict[str, corpus.Modality],
) -> dict[str, corpus.Modality]:
  """Describes the text, where the spec has it, and the features."""
  if lexicon is not None:
    names = corpus.numbered("vector", lexicon.dim)
    lexical = corpus.Modality(names, corpus.NO_PADDING)
    return {"lexical": lexical, **features}
  if not features:
    raise UserError(
      f"the spec {spec.name} names neither text nor features; there is nothing"
      " to convert"
    )
  return features


def _words(
  spec: ml_collections.ConfigDict,
  rows: utterance_rows.Rows,
  path: pathlib.Path | None,
) -> tuple[text_lib.Lexicon | None, schema.EmotionVectors | None]:
  """Reads the vectors of the corpus's words and of its emotions."""
  if path is None:
    if spec.text:
      raise UserError(
        f"the spec {spec.name} reads text from {spec.text}; give"
        " --word_vectors=FILE for it, or --spec.text= to go without"
      )
    return None, None
  counts: Counter[str] = Counter()
  if spec.text:
    for text in rows.texts():
      counts.update(text_lib.tokenise(text))
  words = dict(spec.emotion_words) or {name: (name,) for name in spec.emotions}
  wanted = text_lib.forms(counts).union(*map(text_lib.composed, words.values()))
  vectors = word_vectors_lib.read(path, wanted)
  emotions = text_lib.emotion_vectors(spec.emotions, words, vectors)
  return text_lib.Lexicon(counts, vectors) if spec.text else None, emotions


def _plain(value: Any) -> Any:
  """Turns tuples into lists, as JSON will have them."""
  if isinstance(value, dict):
    return {key: _plain(item) for key, item in value.items()}
  if isinstance(value, (tuple, list)):
    return [_plain(item) for item in value]
  return value
