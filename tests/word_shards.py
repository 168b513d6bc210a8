"""Shards of words and frames, and the same without any word."""

import dataclasses

import rich.console

from data_prep.sources import synthetic
from data_prep.writing import options, write

QUIET = rich.console.Console(quiet=True)


def converted(corpus, folder):
  write.write(corpus, folder, options.Options("zero", 1, "array_record"), QUIET)
  return folder


def convert_both(folder):
  """Converts the synthetic corpus of words, and the same without any word."""
  corpus = synthetic.build("words", 0, 200)

  def mute():
    for example in corpus.examples():
      streams = {"acoustic": example.streams["acoustic"]}
      yield dataclasses.replace(
        example, streams=streams, words=None, acoustic_word=None
      )

  silent = dataclasses.replace(
    corpus,
    modalities={"acoustic": corpus.modalities["acoustic"]},
    examples=mute,
    make=None,
    vectors=None,
    has_words=False,
    has_acoustic_word=False,
  )
  return (
    converted(corpus, folder / "both"),
    converted(silent, folder / "acoustic"),
  )


def small(config, shards_folder, **changes):
  with config.unlocked():
    config.data.dir = str(shards_folder)
    config.data.max_length.update(lexical=14, acoustic=30)
    config.protocol.split = "corpus"
    config.training.batch_size = 64
    config.update_from_flattened_dict(changes)
  return config
