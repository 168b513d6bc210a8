"""Builds a corpus of .csd files from the flags of the command line."""

import pathlib

from absl import flags

from data_prep.corpus import columns, scales
from data_prep.corpus import corpus as corpus_lib
from data_prep.features import text_features
from data_prep.sources import source as source_lib
from data_prep.sources.csd import (
  align,
  folds,
  lexical,
  roles,
  segments,
  selection,
  source,
)
from data_prep.sources.csd import labels as labels_lib
from data_prep.sources.csd import unify as unify_lib
from mmer_jax.base.errors import UserError

_OWN = (
  *("align", "collapse", "sp", "unify", "impute", "folds"),
  *("seq_len", "seq_keep", "label_columns"),
)
FLAGS = frozenset(
  {
    *("input", "emotions", "label_type", "sentiment_bins", "positive_above"),
    *("name_columns", *text_features.FLAGS, *scales.FLAGS),
    *_OWN,
  }
)


def build(values: flags.FlagValues) -> corpus_lib.Corpus:
  """Builds the corpus of the .csd files that the flags name."""
  found = roles.find(source_lib.required(values, "input"))
  if roles.LABELS not in found.sequences:
    raise UserError(
      f"--input={values.input} has {', '.join(found.sequences) or 'nothing'}"
      " and no labels; add the .csd of labels"
    )
  sequence = found.sequences[roles.LABELS]
  labels = labels_lib.Labels(
    sequence.width,
    str(sequence.path),
    columns=tuple(values.label_columns or ()),
    emotions=tuple(values.emotions or ()),
    label_type=values.label_type,
    sentiment_bins=values.sentiment_bins,
    positive_above=values.positive_above,
  )
  paths = [pathlib.Path(path) for path in values.folds or ()]
  by_words = values.align == segments.BY_WORDS
  names = list(values.name_columns or ())
  implied = columns.PRESET_NAMES.get(values.drop_preset)
  choice = selection.Choice(
    segments.Options(
      values.align,
      values.collapse or (align.MEAN if by_words else align.NONE),
      values.impute,
      values.seq_len,
      values.seq_keep,
    ),
    values.sp,
    values.unify,
    folds.read(paths) if paths else None,
    text_features.choose(values),
    [*names, implied] if implied else names,
    tuple(paths),
    scales.from_flags(values),
  )
  return source.build(found, labels, choice)


def define(values: flags.FlagValues) -> None:
  """Defines the flags that no other source reads."""
  _define_alignment(values)
  flags.DEFINE_list(
    "folds",
    None,
    "csd: a file that says which recordings are for training, validation and"
    " test, or several: .json, the .py of CMU-MultimodalSDK (read, never run),"
    " a table of id and split, or lines of text. Without, there is no split.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "label_columns",
    None,
    "csd: the names of the label file's columns, where their number (1, 7, 9,"
    " 17) does not tell. --emotions chooses among them.",
    flag_values=values,
  )


def _define_alignment(values: flags.FlagValues) -> None:
  flags.DEFINE_enum(
    "align",
    segments.BY_WORDS,
    segments.ALIGN,
    "csd: frames to words and these to labels, a row a word; or each stream to"
    " labels by itself.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "collapse",
    None,
    align.COLLAPSE,
    "csd: the mean of a word's (a label's) frames, the mean weighted by the"
    " time that they share, or all frames. Default mean for words, none for"
    " labels.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "sp",
    lexical.DROP,
    lexical.SP,
    "csd: pauses (sp) among the words go, with their frames, or stay as words"
    " whose vector is zeros.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "unify",
    unify_lib.EXACT,
    unify_lib.UNIFY,
    "csd: recordings that a file lacks are left out by their exact names, or"
    " with all that begin as they do, as CMU-MultimodalSDK does.",
    flag_values=values,
  )
  flags.DEFINE_bool(
    "impute",
    True,
    "csd: words without frames of a modality have zeros there (padding); with"
    " --noimpute they are left out.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "seq_len",
    0,
    "csd: most rows of a stream, 0 for all.",
    lower_bound=0,
    flag_values=values,
  )
  flags.DEFINE_enum(
    "seq_keep",
    segments.LAST,
    segments.SEQ_KEEP,
    "csd: the rows that --seq_len keeps; CMU-MultimodalSDK the last.",
    flag_values=values,
  )
