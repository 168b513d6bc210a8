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

from mmer_jax.base import cli, errors
from mmer_jax.evaluation import evaluate, load, results, tables
from mmer_jax.robustness import noise, settings

# A flag, the flag that it refines, and the values of that one that read it.
_REFINES = (
  ("snr", "noise", ("gaussian",)),
  ("noise_share", "noise", noise.KINDS[1:]),
  ("noise_strength", "noise", noise.STRENGTHS),
  ("score", "repair", ("check", "proxy")),
  ("tau", "repair", ("check", "proxy")),
  ("proxy", "repair", ("proxy",)),
)


# What the numbers of a split mean.
_MEANING = {
  "train": "Each run was scored on the rows that it was trained on, so that the"
  " numbers say what it remembers.",
  "validation": "Each run was scored on the rows that chose its epoch, so that"
  " the numbers are a little too good.",
  "test": "Each run was scored on rows that neither its training nor the choice"
  " of its epoch saw.",
}


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("workdir", None, "A workdir of `mmer_jax.train`.")
  flags.DEFINE_enum("split", "test", evaluate.SPLITS, "The split to score.")
  flags.DEFINE_list(
    "modalities", [], "The model sees these alone; by default all."
  )
  flags.DEFINE_list(
    "emotions",
    [],
    "Judge these alone, in this order. They may be emotions of the shards that"
    " training had no label of: mtee reads them from their word vectors, a"
    " system without word vectors guesses with an untrained output. A new one"
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
    "Thresholds of binary decisions: config.protocol.threshold, or the best of"
    " each emotion on the validation split; an unseen emotion takes the one"
    " that is best on average over the others.",
  )
  flags.DEFINE_string(
    "data_dir", "", "Other shards, or those of training where they moved to."
  )
  flags.DEFINE_enum(
    "noise", None, noise.KINDS, "Noise on the input; by default as in training."
  )
  flags.DEFINE_float("snr", None, "Signal over noise, of powers.")
  flags.DEFINE_float("noise_share", None, "Share of noisy utterances.")
  flags.DEFINE_float(
    "noise_strength",
    None,
    "How much of a modality is stuck, gone (gaps), clipped or shifted, 0 to 1.",
  )
  flags.DEFINE_enum(
    "repair",
    None,
    settings.METHODS,
    "Modalities that do not fit the others are taken away (check) or"
    " regenerated (proxy) before the system sees them; by default as in"
    " training. Fitted to the training rows of each run, once.",
  )
  flags.DEFINE_enum("score", None, settings.SCORES, "How --repair compares.")
  flags.DEFINE_enum("proxy", None, settings.PROXIES, "How it regenerates.")
  flags.DEFINE_float(
    "tau", None, "Threshold of --repair; by default chosen on validation."
  )
  flags.mark_flag_as_required("workdir")


def check_flags() -> None:
  """Refuses flags that would change nothing.

  Raises:
    UserError: A flag is given without the one that it refines.
  """
  for name, needed, values in _REFINES:
    given = flags.FLAGS[needed].value
    if flags.FLAGS[name].value is not None and given not in values:
      raise errors.UserError(
        f"--{name} is given with --{needed}={given or ''}, expected"
        f" --{needed}={' or '.join(values)}; add it, or leave --{name} out"
      )


def input_transform() -> dict[str, Any]:
  """Collects the keys of noise and repair that the flags change."""
  keys = {
    "noise.kind": flags.FLAGS.noise,
    "noise.snr": flags.FLAGS.snr,
    "noise.share": flags.FLAGS.noise_share,
    "noise.strength": flags.FLAGS.noise_strength,
    "repair.inference": flags.FLAGS.repair,
    "repair.score": flags.FLAGS.score,
    "repair.proxy": flags.FLAGS.proxy,
    "repair.tau_from": None if flags.FLAGS.tau is None else "config",
    "repair.tau": flags.FLAGS.tau,
  }
  return {key: value for key, value in keys.items() if value is not None}


def main(argv: Sequence[str]) -> int | None:
  """Evaluates as the flags say; the exit status is 3 where every run failed."""
  del argv
  check_flags()
  folder = pathlib.Path(flags.FLAGS.workdir)
  result = evaluate.evaluate_workdir(
    folder,
    evaluate.Request(
      split=flags.FLAGS.split,
      modalities=tuple(flags.FLAGS.modalities),
      emotions=tuple(flags.FLAGS.emotions),
      thresholds=flags.FLAGS.thresholds,
    ),
    load.Inputs(
      data_dir=flags.FLAGS.data_dir,
      word_vectors=flags.FLAGS.word_vectors,
      input_transform=input_transform(),
    ),
  )
  console = rich.console.Console()
  console.print(tables.to_rich(result))
  for line in tables.failures(result):
    console.print(line, markup=False)
  guess = tables.baseline(result)
  console.print(
    f"{_MEANING[flags.FLAGS.split]} Where an interval reaches what stands under"
    f" {guess}, it may be guessing. Every emotion and run: {folder}/results;"
    f" as a page: mmer report --workdirs={folder} --out=report",
    markup=False,
    soft_wrap=True,
  )
  return cli.ALL_RUNS_FAILED if results.every_run_failed(result) else None


if __name__ == "__main__":
  define_flags()
  cli.run(main)
