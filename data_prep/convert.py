r"""Converts a corpus of features into shards, with a manifest.

Example:
  python -m data_prep.convert --source=utterances \
    --spec=data_prep/specs/iemocap.py:4 --input=iemocap_utterances.npz \
    --word_vectors=glove.840B.300d.txt --output=shards/iemocap4

  python -m data_prep.convert --source=cmu_processed --input=cmu-mosei \
    --word_vectors=glove.840B.300d.txt --drop_preset=facet_emotion_scores \
    --output=shards/mosei

  python -m data_prep.convert --source=word_aligned \
    --input=iemocap_word_aligned.npz --output=shards/word_aligned

  python -m data_prep.convert --source=recordings --input=recordings.csv \
    --word_vectors=glove.840B.300d.txt --acoustic=is10 --output=shards/mine

  python -m data_prep.convert --source=synthetic --preset=tiny \
    --output=shards/tiny
"""

import os
import pathlib
from collections.abc import Callable, Sequence

import rich.console
from absl import flags
from ml_collections import config_flags

from data_prep.corpus import columns, nonfinite, text
from data_prep.corpus import corpus as corpus_lib
from data_prep.sources import (
  cmu_processed,
  recordings,
  synthetic,
  utterances,
  word_aligned,
)
from data_prep.writing import examples, options, write
from mmer_jax.base import cli
from mmer_jax.base.errors import UserError

# TensorFlow, where TFDS loads it, reports on its host; nobody here asked.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# The flags that belong to some sources only.
_OWN = {
  "utterances": {
    "input",
    "spec",
    "word_vectors",
    "oov",
    "drop_columns",
    "drop_preset",
  },
  "cmu_processed": {
    "input",
    "word_vectors",
    "labels",
    "label_type",
    "emotions",
    "sentiment_bins",
    "drop_columns",
    "drop_preset",
  },
  "recordings": {
    "input",
    "word_vectors",
    "oov",
    "emotions",
    "acoustic",
    "drop_columns",
    "drop_preset",
  },
  "synthetic": {"preset", "seed", "num_examples"},
  "word_aligned": {"input", "drop_columns", "drop_preset"},
}


def main(argv: Sequence[str]) -> None:
  """Converts; see the module's examples."""
  del argv
  convert(flags.FLAGS)


def convert(values: flags.FlagValues) -> None:
  """Converts what a command line names."""
  source = _required(values, "source")
  output = pathlib.Path(_required(values, "output"))
  _refuse_foreign_flags(values)
  write.refuse_existing(output)
  corpus = _BUILD[source](values)
  if source != "synthetic":
    corpus = columns.drop(corpus, values.drop_columns or [], values.drop_preset)
  manifest = write.write(
    corpus,
    output,
    options.Options(values.nonfinite, values.num_shards, values.file_format),
    rich.console.Console(stderr=True),
  )
  counts = manifest["counts"]
  rich.console.Console(soft_wrap=True, highlight=False).print(
    f"{output}: {counts['examples']} utterances"
    f" ({counts['labelled']} labelled) in {len(manifest['shards'])} shards,"
    f" fingerprint {manifest['fingerprint'][:12]}"
  )


def _required(values: flags.FlagValues, name: str) -> str:
  if not values[name].value:
    raise UserError(f"--{name} is missing; see --help for examples")
  return values[name].value


def _refuse_foreign_flags(values: flags.FlagValues) -> None:
  for name in sorted(set().union(*_OWN.values()) - _OWN[values.source]):
    if values[name].present:
      owners = " and ".join(k for k, v in _OWN.items() if name in v)
      raise UserError(
        f"--{name} does nothing with --source={values.source}; it belongs to"
        f" {owners}"
      )


def _input(values: flags.FlagValues) -> pathlib.Path:
  path = pathlib.Path(_required(values, "input"))
  if not path.exists():
    raise UserError(f"--input={path} does not exist")
  return path


def _word_vectors(values: flags.FlagValues) -> pathlib.Path | None:
  return pathlib.Path(values.word_vectors) if values.word_vectors else None


def _utterances(values: flags.FlagValues) -> corpus_lib.Corpus:
  if values.spec is None:
    raise UserError(
      "--source=utterances needs --spec=FILE, a description of the columns;"
      " see data_prep/specs"
    )
  return utterances.build(
    values.spec, _input(values), _word_vectors(values), values.oov
  )


def _cmu_processed(values: flags.FlagValues) -> corpus_lib.Corpus:
  return cmu_processed.build(
    _input(values),
    word_vectors=_word_vectors(values),
    label_file=values.labels,
    label_type=values.label_type,
    emotions=tuple(values.emotions or ()),
    sentiment_bins=values.sentiment_bins,
  )


def _recordings(values: flags.FlagValues) -> corpus_lib.Corpus:
  if values.word_vectors is None:
    raise UserError(
      "--source=recordings needs --word_vectors=FILE for the text;"
      " --word_vectors= goes without"
    )
  return recordings.build(
    _input(values),
    acoustic=values.acoustic,
    word_vectors=_word_vectors(values),
    oov=values.oov,
    emotions=tuple(values.emotions or ()),
  )


def _synthetic(values: flags.FlagValues) -> corpus_lib.Corpus:
  return synthetic.build(values.preset, values.seed, values.num_examples)


def _word_aligned(values: flags.FlagValues) -> corpus_lib.Corpus:
  return word_aligned.build(_input(values))


_BUILD: dict[str, Callable[[flags.FlagValues], corpus_lib.Corpus]] = {
  "utterances": _utterances,
  "cmu_processed": _cmu_processed,
  "recordings": _recordings,
  "synthetic": _synthetic,
  "word_aligned": _word_aligned,
}


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_enum(
    "source",
    None,
    list(_BUILD),
    "What the input is.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "input",
    None,
    "The corpus: a file or a folder. Not for synthetic.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "output",
    None,
    "The folder to create. Must not exist, or be empty.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "nonfinite",
    "zero",
    nonfinite.POLICIES,
    "What becomes of NaN and infinite values: 0; the nearest finite value of"
    " the column (training split where there is one; NaN becomes 0); the frame"
    " goes; the conversion ends. Recorded, with counts by column.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "num_shards", 0, "0 chooses by size.", lower_bound=0, flag_values=values
  )
  flags.DEFINE_enum(
    "file_format",
    "tfrecord",
    examples.FILE_FORMATS,
    "tfrecord is written with TensorFlow, array_record without, up to 1 GB of"
    " examples: TFDS sorts more than that with TensorFlow's file system.",
    flag_values=values,
  )
  config_flags.DEFINE_config_file(
    "spec",
    None,
    "utterances: the columns' meaning, FILE[:VARIANT].",
    flag_values=values,
  )
  flags.DEFINE_string(
    "word_vectors",
    None,
    "utterances, cmu_processed, recordings: vectors in GloVe's text format, .gz"
    " allowed.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "acoustic",
    "is10",
    list(recordings.ACOUSTIC),
    "recordings: openSMILE's functionals of Interspeech 2010, or descriptors"
    " and deltas of Interspeech 2013 each 10 ms.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "oov",
    "skip",
    text.OOV_POLICIES,
    "utterances, recordings: a word without a vector is left out, or a row of"
    " zeros.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "labels",
    "auto",
    cmu_processed.LABEL_FILES,
    "cmu_processed: ey_*.h5 (emotions) or y_*.h5; auto prefers ey.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "label_type",
    "auto",
    ["auto", "single", "multi"],
    "cmu_processed: auto is multi for ey_*.h5, single for y_*.h5.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "emotions",
    None,
    "cmu_processed: the label columns' names, where the layout does not fix"
    " them. recordings: all emotions, where the labels are not to say.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "sentiment_bins",
    None,
    "cmu_processed: LOW,HIGH. A score below LOW is negative, above HIGH"
    " positive, from LOW to HIGH neutral. Default 2.5,3.5 where all scores are"
    " in 1..5.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "drop_columns",
    None,
    "utterances, cmu_processed: features to leave out,"
    " visual:Anger,visual:Joy.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "drop_preset",
    None,
    list(columns.PRESETS),
    "utterances, cmu_processed: a named set of features to leave out."
    " facet_emotion_scores: FACET's own guesses of the emotions.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "preset",
    "tiny",
    f"synthetic: {', '.join(synthetic.PRESETS)}.",
    flag_values=values,
  )
  flags.DEFINE_integer("seed", 0, "synthetic.", flag_values=values)
  flags.DEFINE_integer(
    "num_examples", 0, "synthetic: 0 for the preset's own.", flag_values=values
  )


if __name__ == "__main__":
  define_flags()
  cli.run(main)
