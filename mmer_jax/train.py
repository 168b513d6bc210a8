r"""Trains every run of a config in one program, and can be killed at any time.

Example:
  python -m mmer_jax.train --config=configs/mtee/iemocap.py:utterances \
    --config.data.dir=data/iemocap4 --workdir=runs/mtee_iemocap

On any shards, with all that is open taken from them:
  python -m mmer_jax.train --config=configs/own/mtee.py \
    --config.data.dir=data/mine --workdir=runs/mine

Any key of the config can be overridden: --config.optimizer.learning_rate=3e-4
--config.sweep.learning_rate="(1e-3, 3e-4)" --config.seeds="(0, 1, 2, 3, 4)".
The same command again resumes an interrupted workdir.
"""

import pathlib
from collections.abc import Sequence

import jax
import rich.console
from absl import flags
from ml_collections import config_flags

from mmer_jax.base import cli, progress
from mmer_jax.evaluation import results, train_and_evaluate


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  config_flags.DEFINE_config_file(
    "config", None, "The config, as FILE[:VARIANT] or NAME[:VARIANT]."
  )
  flags.DEFINE_string(
    "workdir", None, "The folder where everything is written."
  )
  flags.DEFINE_bool(
    "tensorboard", False, "Also write event files to WORKDIR/tensorboard."
  )
  flags.DEFINE_string(
    "log_to",
    None,
    "MODULE:FUNCTION, which is called with the config and the workdir and"
    " returns what takes each row of metrics.jsonl: for W&B, MLflow and the"
    " like. See mmer_jax/training/log_hook.py.",
  )
  flags.DEFINE_string(
    "first_stage",
    "",
    "For a config with few-shot stages: a finished workdir of the same config"
    ' with --config.few_shot.method="none", whose training is its first stage.',
  )
  flags.DEFINE_alias("source", "first_stage")
  flags.DEFINE_string(
    "coordinator",
    "",
    "HOST:PORT of process 0, to train with several processes.",
  )
  flags.DEFINE_integer("num_processes", 1, "How many processes.")
  flags.DEFINE_integer("process_id", 0, "Which one this is.")
  flags.mark_flags_as_required(["config", "workdir"])


def main(argv: Sequence[str]) -> int | None:
  """Trains as the flags say; the exit status is 3 where every run failed."""
  del argv
  first_stage = flags.FLAGS.first_stage
  if flags.FLAGS.coordinator:
    jax.distributed.initialize(
      flags.FLAGS.coordinator, flags.FLAGS.num_processes, flags.FLAGS.process_id
    )
  console = rich.console.Console(stderr=True, quiet=bool(jax.process_index()))
  with progress.shown(console):
    result = train_and_evaluate.train_and_evaluate(
      flags.FLAGS.config,
      pathlib.Path(flags.FLAGS.workdir),
      console=console,
      tensorboard=flags.FLAGS.tensorboard,
      log_to=flags.FLAGS.log_to,
      first_stage=pathlib.Path(first_stage) if first_stage else None,
    )
  if result is None:
    return None
  if results.every_run_failed(result):
    return cli.ALL_RUNS_FAILED
  console.print(
    "These rows chose the epochs, so that the numbers are a little too good;"
    f" every emotion and run is in {flags.FLAGS.workdir}/results. On rows that"
    f" nothing has seen: mmer evaluate --workdir={flags.FLAGS.workdir}"
    " --split=test",
    markup=False,
    highlight=False,
    soft_wrap=True,
  )
  return None


if __name__ == "__main__":
  define_flags()
  cli.run(main)
