"""Reads tables of one row per utterance, described by a spec.

See `spec` for what a spec says. Its `text` becomes the lexical modality through
a file of word vectors.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import ml_collections

from data_prep.corpus import corpus, scales
from data_prep.features import text_features
from data_prep.sources import spec as spec_lib
from data_prep.sources import (
  spec_defaults,
  utterance_ratings,
  utterance_rows,
  utterance_tables,
)
from mmer_jax.base.errors import UserError


def build(
  spec: ml_collections.ConfigDict,
  path: pathlib.Path,
  choice: text_features.Choice,
  positive_above: float | None = None,
  ratings: scales.Wanted = scales.OF_LAYOUT,
) -> corpus.Corpus:
  """Builds the corpus that a spec describes.

  Args:
    spec: What the columns mean; see `spec`.
    path: The file, or the folder of `spec.files`.
    choice: How texts become features; needed where the spec has text,
      elsewhere only for the emotions' vectors.
    positive_above: What a value of `spec.label_columns` must exceed for the
      emotion to be present; None for 0.
    ratings: Columns of ratings, where the spec names none.

  Raises:
    UserError: The spec or the tables are not as they should be.
  """
  spec = utterance_ratings.into_spec(spec, ratings)
  spec_lib.check_spec(spec)
  tables = utterance_tables.Tables(path, tuple(spec.get("files", ())))
  notes = spec_defaults.notes(spec)
  spec = spec_defaults.complete(spec, tables)
  rows = utterance_rows.Rows(spec, tables, positive_above)
  features = rows.modalities()
  text = open_text(spec, rows, choice)
  modalities = {**text.modalities(), **features}

  def examples() -> Iterator[corpus.Example]:
    for example, written in rows.examples(modalities):
      text.add(example, written)
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
      "spec": plain(spec.to_dict()),
      **choice.options(),
      "oov": choice.oov if spec.text else None,
      "positive_above": positive_above,
    },
    tally=rows.tally,
    notes=notes,
    ratings=rows.ratings,
    **text.corpus_fields(),
  )


def open_text(
  spec: ml_collections.ConfigDict,
  rows: utterance_rows.Rows,
  choice: text_features.Choice,
) -> text_features.TextFeatures:
  """Opens the features of the rows' texts, where a complete spec has text.

  Raises:
    UserError: It has, and nothing says how texts become features.
  """
  if spec.text and choice.is_none:
    raise UserError(
      f"the spec {spec.name} reads text from {spec.text}; give"
      " --word_vectors=FILE for it, or --spec.text= to go without"
    )
  texts = rows.texts() if spec.text else None
  return text_features.open_text(
    choice, texts, spec.emotions, dict(spec.emotion_words)
  )


def plain(value: Any) -> Any:
  """Turns tuples into lists, as JSON will have them."""
  if isinstance(value, dict):
    return {key: plain(item) for key, item in value.items()}
  if isinstance(value, (tuple, list)):
    return [plain(item) for item in value]
  return value
