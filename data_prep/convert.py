r"""Converts a corpus of features into shards, with a manifest.

Example:
  python -m data_prep.convert --source=utterances \
    --spec=data_prep/specs/iemocap.py:4 --input=iemocap_utterances.npz \
    --word_vectors=glove.840B.300d.txt --output=shards/iemocap4

  python -m data_prep.convert --source=cmu_processed --input=cmu-mosei \
    --word_vectors=glove.840B.300d.txt --drop_preset=facet_emotion_scores \
    --output=shards/mosei

  python -m data_prep.convert --source=csd --input=CMU_MOSEI \
    --folds=cmu_mosei_std_folds.py --word_vectors=glove.840B.300d.txt \
    --output=shards/mosei

  python -m data_prep.convert --source=word_aligned \
    --input=iemocap_word_aligned.npz --output=shards/word_aligned

  python -m data_prep.convert --source=recordings --input=recordings.csv \
    --word_vectors=glove.840B.300d.txt --acoustic=is10 --output=shards/mine

  python -m data_prep.convert --source=folder --input=labels.csv \
    --acoustic_features=covarep --visual_features=openface.h5 \
    --word_vectors=glove.840B.300d.txt --output=shards/mine

  python -m data_prep.convert --source=pickle --input=mosi_data.pkl \
    --output=shards/mosi

  python -m data_prep.convert --source=recordings --recipe=ravdess \
    --input=RAVDESS --word_vectors= --output=shards/ravdess

  python -m data_prep.convert --source=meld --input=MELD/data/MELD \
    --media=MELD.Raw --word_vectors=glove.840B.300d.txt --output=shards/meld

  python -m data_prep.convert --source=synthetic --preset=tiny \
    --output=shards/tiny
"""

import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags

from data_prep.corpus import classes, columns
from data_prep.features import alignment
from data_prep.readers import other_formats
from data_prep.sources import flags as source_flags
from data_prep.sources import registry
from data_prep.sources import source as source_lib
from data_prep.writing import beam, closing, identity, options, workspace, write
from mmer_jax.base import cli


def main(argv: Sequence[str]) -> None:
  """Converts the corpus that the command line names."""
  del argv
  convert(flags.FLAGS)


def convert(values: flags.FlagValues) -> None:
  """Converts the corpus that some flags name."""
  source = source_lib.required(values, "source")
  output = pathlib.Path(source_lib.required(values, "output"))
  registry.refuse_foreign(values)
  for path in (values.input, values.word_vectors):
    other_formats.refuse(pathlib.Path(path or "."))
  if source != "pickle":
    other_formats.refuse_pickle(pathlib.Path(values.input or "."))
  workspace.refuse_existing(output)
  corpus = registry.build(values)
  if values.acoustic_rows == alignment.WORDS:
    corpus = alignment.by_word(corpus)
  if source != "synthetic":
    corpus = columns.drop(corpus, values.drop_columns or [], values.drop_preset)
  errors = rich.console.Console(stderr=True, soft_wrap=True, highlight=False)
  manifest = write.write(
    corpus,
    output,
    options.Options(
      values.nonfinite,
      values.num_shards,
      values.file_format,
      values.workers,
      beam.Beam(values.runner, values.beam_options or ())
      if values.runner
      else None,
    ),
    errors,
    identity=identity.of(values, corpus),
    accept=classes.require_two if source != "synthetic" else None,
  )
  rich.console.Console(soft_wrap=True, highlight=False, markup=False).print(
    closing.summarise(output, corpus, manifest)
  )
  for warning in closing.warnings(corpus, manifest):
    errors.print(f"warning: {warning}", markup=False)


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the command line; importing this module does not."""
  source_flags.define(values)


if __name__ == "__main__":
  define_flags()
  cli.run(main)
