"""Sets what the configs of one's own corpus share.

`mmer_jax.experiment.fit` settles what is open here by the shards: `auto`, and a
batch size of -1. All values are ours: sizes and budgets for corpora of some
tens to some thousands of utterances, on a CPU of two cores.
"""

import ml_collections

from mmer_jax.configs import common

VARIANTS = ("full", "smoke")


def base() -> ml_collections.ConfigDict:
  """Makes all but the model; unlocked."""
  config = common.base()
  # Those that any utterance has.
  config.data.modalities = ("auto",)
  # At most; frames of 10 ms make long sequences.
  config.data.max_length.update(lexical=40, acoustic=200, visual=100)
  # The corpus's own splits; else sessions of two speakers, one left out; else
  # groups of speakers; else groups of utterances.
  config.protocol.split = "auto"
  # One emotion of several, or several yes or no; "regression" learns the
  # ratings of the shards, where they have some.
  config.protocol.decision = "auto"
  # A power of two by the number of utterances.
  config.training.batch_size = -1
  config.training.epochs = 40
  config.training.early_stopping = 10
  # "unweighted_accuracy"; of ratings "mae".
  config.training.select = "auto"
  config.optimizer.learning_rate = 2e-3
  # Epochs of small corpora are shorter than saving them.
  config.checkpoint.every_epochs = 5
  config.benchmark.emotions = 4
  return config


def smoke(config: ml_collections.ConfigDict) -> None:
  """Shrinks data and budget to two steps, for a test."""
  batch_size = config.training.batch_size
  common.smoke(config)
  config.training.batch_size = batch_size
