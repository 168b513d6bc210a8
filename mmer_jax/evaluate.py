r"""Evaluates the selected checkpoint of every run of a workdir.

Example:
  python -m mmer_jax.evaluate --workdir=runs/mtee_iemocap --split=test \
    --modalities=lexical

Writes WORKDIR/results/<name>.json and .md and prints the table.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import rich.console
from absl import flags

from mmer_jax.base import cli
from mmer_jax.evaluation import evaluate, tables
from mmer_jax.robustness import noise, settings


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("workdir", None, "Of `mmer_jax.train`.")
  flags.DEFINE_enum("split", "test", evaluate.SPLITS, "Which rows.")
  flags.DEFINE_list(
    "modalities", [], "The model sees these alone; all by default."
  )
  flags.DEFINE_list(
    "emotions",
    [],
    "Judge these alone, in this order. They may be emotions of the shards that"
    " training had no label of: mtee reads them from their word vectors, a"
    " system without word vectors guesses with an untrained output. Such a one"
    " may be NAME=WORD, to be read from the vector of another word.",
  )
  flags.DEFINE_string(
    "word_vectors",
    "",
    "File of word vectors for new --emotions; by default the shards' vectors.",
  )
  flags.DEFINE_enum(
    "thresholds",
    "fixed",
    ("fixed", "validation"),
    "Of binary decisions: config.protocol.threshold, or the best of each"
    " emotion on the validation split; an unseen emotion takes the one that is"
    " best on average over the others.",
  )
  flags.DEFINE_string(
    "data_dir", "", "Shards, where they have moved since training."
  )
  flags.DEFINE_enum(
    "noise", None, noise.KINDS, "What fails; by default as in training."
  )
  flags.DEFINE_float("snr", None, "Of --noise=gaussian: power of the signal.")
  flags.DEFINE_float("noise_share", None, "Of the utterances, with --noise.")
  flags.DEFINE_enum(
    "repair",
    None,
    settings.METHODS,
    "In front of the system: modalities that do not fit the others are taken"
    " away, or regenerated; by default as in training. Fitted to the training"
    " rows of each run, once.",
  )
  flags.DEFINE_enum("score", None, settings.SCORES, "Of --repair.")
  flags.DEFINE_enum("proxy", None, settings.PROXIES, "Of --repair=proxy.")
  flags.DEFINE_float(
    "tau", None, "Of --repair; chosen on validation by default."
  )
  flags.mark_flag_as_required("workdir")


def front_of_flags() -> dict[str, Any]:
  """The `front` of `evaluate` that the flags ask for."""
  found = {
    "noise.kind": flags.FLAGS.noise,
    "noise.snr": flags.FLAGS.snr,
    "noise.share": flags.FLAGS.noise_share,
    "repair.inference": flags.FLAGS.repair,
    "repair.score": flags.FLAGS.score,
    "repair.proxy": flags.FLAGS.proxy,
    "repair.tau_from": None if flags.FLAGS.tau is None else "config",
    "repair.tau": flags.FLAGS.tau,
  }
  return {key: value for key, value in found.items() if value is not None}


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  outcome = evaluate.evaluate_workdir(
    folder,
    split=flags.FLAGS.split,
    modalities=flags.FLAGS.modalities,
    emotions=flags.FLAGS.emotions,
    word_vectors=flags.FLAGS.word_vectors,
    thresholds=flags.FLAGS.thresholds,
    data_dir=flags.FLAGS.data_dir,
    front=front_of_flags(),
  )
  console = rich.console.Console()
  console.print(tables.to_rich(outcome))
  console.print(f"results: {folder / 'results'}")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
