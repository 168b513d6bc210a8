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

from collections.abc import Sequence

import rich.console
from absl import flags

from data_prep.api import prepare
from data_prep.sources import flags as source_flags
from mmer_jax.base import cli


def main(argv: Sequence[str]) -> None:
  """Converts the corpus that the command line names."""
  del argv
  convert(flags.FLAGS)


def convert(values: flags.FlagValues) -> None:
  """Converts the corpus that some flags name, and says what became of it."""
  errors = rich.console.Console(stderr=True, soft_wrap=True, highlight=False)
  done = prepare.run(values, errors)
  rich.console.Console(soft_wrap=True, highlight=False, markup=False).print(
    done.summary
  )
  for warning in done.warnings:
    errors.print(f"warning: {warning}", markup=False)


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the command line; importing this module does not."""
  source_flags.define(values)


if __name__ == "__main__":
  define_flags()
  cli.run(main)
