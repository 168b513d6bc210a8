"""Converts the pickles that published code shares its features in.

A pickle's family is recognised by its structure, never by its name: see
`splits` (MulT, MMSA), `lists` (MISA, MMIM, BBFN), `dialogues` (DialogueRNN,
MMGCN, COGMEN) and `meld`. Its text is the features of the file; with
`--text_from=words` it is the transcripts, embedded, where there are any.
Nothing in a pickle is run: see `readers.unpickle`.
"""

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from absl import flags

from data_prep.corpus import columns
from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import text as text_lib
from data_prep.features import alignment, text_features
from data_prep.sources import cmu_processed
from data_prep.sources import source as source_lib
from data_prep.sources.pickles import family as family_lib
from data_prep.sources.pickles import labels as labels_lib
from data_prep.sources.pickles import names as names_lib
from data_prep.sources.pickles import recognise
from mmer_jax.base.errors import UserError

FLAGS = frozenset(
  {
    *("input", "labels", "label_type", "emotions", "sentiment_bins"),
    *("positive_above", "name_columns", "text_from", *text_features.FLAGS),
  }
)
TEXTS = ("auto", "features", "words")


def build_from_flags(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus that some flags name."""
  if values.labels not in ("auto", *labels_lib.CHOICES):
    raise UserError(
      f"--labels={values.labels} does nothing with --source=pickle, expected"
      f" {' or '.join(labels_lib.CHOICES)}"
    )
  names = list(values.name_columns or ())
  if values.drop_preset in columns.PRESET_NAMES:
    names.append(columns.PRESET_NAMES[values.drop_preset])
  return build(
    source_lib.input_path(values),
    labels_lib.Choice(
      values.labels,
      tuple(values.emotions or ()),
      values.sentiment_bins,
      values.positive_above,
      values.label_type,
    ),
    text_features.choose(values),
    values.text_from,
    names,
  )


def define(values: flags.FlagValues) -> None:
  """Defines the flags of this source alone."""
  flags.DEFINE_enum(
    "text_from",
    "auto",
    TEXTS,
    "pickle: the text is the file's own features, or its transcripts, embedded"
    " by --word_vectors; auto takes the features where there are any.",
    flag_values=values,
  )


def build(
  path: pathlib.Path,
  labels: labels_lib.Choice,
  embedding: text_features.Choice,
  text: str = "auto",
  name_columns: Sequence[str] = (),
) -> corpus_lib.Corpus:
  """Builds the corpus of a pickle, or of a folder of them.

  Args:
    path: The file or folder.
    labels: What the command line says of labels.
    embedding: How transcripts become features.
    text: One of `TEXTS`.
    name_columns: Keys of `columns.NAMED`, for features that those are.

  Raises:
    UserError: The pickle is of no known family, or not sound.
  """
  family = recognise.read(path, labels)
  with_words = _takes_words(family, embedding, text, path)
  if with_words and _beside(family):
    # Each word keeps its row, with a vector or without.
    embedding = embedding._replace(oov="zero")
  names = names_lib.Names(family)
  features = text_features.open_text(
    embedding, names.texts if with_words else None, family.labels.names
  )
  tally: family_lib.Tally = {}

  def examples() -> Iterator[corpus_lib.Example]:
    tally.clear()
    for utterance, name in zip(
      family.utterances(tally), names.names, strict=True
    ):
      yield _example(utterance, name, family, features, with_words)

  fields = {**features.corpus_fields(), "ratings": family.ratings}
  if "lexical" in family.streams and not with_words:
    fields["has_words"] = family.has_words
  return corpus_lib.Corpus(
    name=_name_of(path),
    source="pickle",
    layout=family.layout,
    emotions=family.labels.names,
    label_type=family.labels.label_type,
    modalities=_modalities(family, features, name_columns),
    examples=examples,
    total=family.total,
    options={
      "emotions": list(family.labels.names),
      "sentiment_bins": family.labels.bins,
      "positive_above": labels.positive_above,
      "text": "words" if with_words else "features",
      **embedding.options(),
    },
    tally=tally,
    notes=(*family.notes, *names.notes),
    **fields,
  )


def _name_of(path: pathlib.Path) -> str:
  """Makes the name of the corpus: that of the file or folder."""
  return cmu_processed.corpus_name(
    path if path.is_dir() else path.with_suffix("")
  )


def _takes_words(
  family: family_lib.Family,
  embedding: text_features.Choice,
  text: str,
  path: pathlib.Path,
) -> bool:
  """Whether transcripts are embedded, in the place of the file's features."""
  there = family.has_text or family.has_words
  if text == "words":
    if not there:
      raise UserError(
        f"--text_from=words, and {path} holds no transcripts; leave it out"
      )
    if embedding.is_none:
      raise UserError(
        "--text_from=words needs --word_vectors=FILE for the words, or"
        " --text_encoder"
      )
    _note_alignment(family)
    return True
  if text == "features" or "lexical" in family.streams:
    if text == "features" and "lexical" not in family.streams:
      raise UserError(
        f"--text_from=features, and {path} holds no features of text; leave it"
        " out"
      )
    return False
  if there and embedding.is_none:
    family.notes.append(
      "the words are not converted: give --word_vectors=FILE for them,"
      " or --text_encoder"
    )
  return there and not embedding.is_none


def _note_alignment(family: family_lib.Family) -> None:
  """Says that transcripts are not aligned as the file's features were."""
  if family.aligned and "lexical" in family.streams:
    family.notes.append(
      "the file's streams are aligned word by word; the embedded transcripts"
      " have rows of their own"
    )


def _beside(family: family_lib.Family) -> bool:
  """Whether the words to embed stand beside frames, one row each."""
  return family.has_words and "lexical" not in family.streams


def _modalities(
  family: family_lib.Family,
  features: text_features.TextFeatures,
  name_columns: Sequence[str],
) -> dict[str, corpus_lib.Modality]:
  """Describes the file's features, and the embedded text instead of its."""
  found = {
    name: corpus_lib.Modality(
      columns.named(name, stream.dim, name_columns)
      or corpus_lib.numbered(name, stream.dim),
      stream.padding,
    )
    for name, stream in family.streams.items()
  }
  return family_lib.in_order({**found, **features.modalities()})


def _example(
  utterance: family_lib.Utterance,
  name: str,
  family: family_lib.Family,
  features: text_features.TextFeatures,
  with_words: bool,
) -> corpus_lib.Example:
  """Makes an example of an utterance; its text embedded, where it is to be."""
  example = corpus_lib.Example(
    id=name,
    where=utterance.where,
    streams=dict(utterance.streams),
    labels=family.labels.read(utterance.label, utterance.where),
    speaker=utterance.speaker,
    session=utterance.session,
    dialogue=utterance.dialogue,
    split=utterance.split,
    ratings=utterance.ratings,
  )
  if not with_words:
    example.words = utterance.words
    return example
  example.streams.pop("lexical", None)
  if _beside(family):
    _add_beside(example, utterance.words or [], features)
  else:
    features.add(example, utterance.text)
  return example


def _add_beside(
  example: corpus_lib.Example,
  words: list[str],
  features: text_features.TextFeatures,
) -> None:
  """Embeds words so that each has one row, beside its frames.

  A word that falls into pieces gets their mean, one without a vector zeros.
  """
  embedded = features.add(example, " ".join(words))
  if embedded is None or (embedded.tokens < 0).any():
    return
  # No token reaches over a blank.
  counts = [len(text_lib.tokenise(word)) for word in words]
  word_of_token = np.repeat(np.arange(len(words)), counts)
  real = embedded.rows.any(axis=1)
  word = np.where(real, word_of_token[embedded.tokens], -1)
  rows, _ = alignment.mean_by_word(embedded.rows, word, len(words))
  example.streams["lexical"] = rows
  example.words = words
