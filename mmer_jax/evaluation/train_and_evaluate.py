r"""Trains every run of a config in one program, and can be killed at any time.

Example:
  python -m mmer_jax.train --config=configs/mtee/iemocap.py:utterances \
    --config.data.dir=data/iemocap4 --workdir=runs/mtee_iemocap

Any key of the config can be overridden: --config.optimizer.learning_rate=3e-4
--config.sweep.learning_rate="(1e-3, 3e-4)" --config.seeds="(0, 1, 2, 3, 4)".
The same command again resumes an interrupted workdir.
"""

import pathlib
import time

import jax
import ml_collections
import rich.console
import rich.progress
from absl import logging

from mmer_jax.base import workdir
from mmer_jax.evaluation import evaluate, tables
from mmer_jax.experiment import build, input_repair, provenance
from mmer_jax.training import checkpoints, progress
from mmer_jax.training import loop as loop_lib
from mmer_jax.training import session as session_lib


def train_and_evaluate(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  *,
  console: rich.console.Console,
  tensorboard: bool = False,
  source: pathlib.Path | None = None,
) -> bool:
  """Trains, or goes on with, the runs of a config.

  Args:
    config: Of `configs/`, with overrides.
    folder: The workdir.
    console: For the progress bar and the closing table.
    tensorboard: Whether to write event files too.
    source: A finished workdir of the same config with
      `config.few_shot.method="none"`: its training is taken for the first
      stage, whose outcome is the same bit for bit.

  Returns:
    Whether training is finished; False after SIGTERM.

  Raises:
    UserError: Config, shards and workdir do not fit.
  """
  started = time.time()
  provenance.fix_paths(config)
  provenance.check_workdir(config, folder)
  experiment = build.build_experiment(config)
  session = session_lib.open_session(experiment)
  if source is not None:
    loop_lib.check_first_stage(experiment, source)
  leader = jax.process_index() == 0
  writer = progress.event_writer(folder, tensorboard and leader)
  if leader:
    provenance.check_data(experiment, folder)
    workdir.write_json(folder / "config.json", config.to_dict())
    workdir.write_json(
      folder / "run.json", provenance.describe(experiment, session.mesh.shape)
    )
  session = session._replace(
    experiment=input_repair.attach_repair(
      experiment, folder, experiment.corpus.manifest["fingerprint"]
    )
  )
  store = checkpoints.Checkpoints(folder, keep=config.checkpoint.keep)
  stopper = loop_lib.Stopper()
  try:
    position = loop_lib.Position(0, 0, 0, False)
    if store.latest() is not None:
      position = loop_lib.Position(**store.position())
      logging.info("resuming %s at %s", folder, position)
    if leader:
      workdir.keep_lines(
        folder / "metrics.jsonl",
        lambda row: (
          (row["stage"], row["epoch"] - 1) < (position.stage, position.epoch)
        ),
      )
    if not position.done:
      loop = loop_lib.TrainingLoop(
        session, folder, store, stopper, console, writer, source
      )
      if not loop.run(position):
        console.print(f"stopped and saved; the same command resumes {folder}")
        return False
  finally:
    stopper.close()
    store.close()
    writer.close()
  # All processes: the prediction is a program of the whole mesh.
  outcome = evaluate.evaluate_workdir(
    folder, split="validation", session=session
  )
  if leader:
    description = provenance.describe(experiment, session.mesh.shape)
    description["failed"] = outcome["failed"]
    description["seconds_since_last_start"] = round(time.time() - started, 1)
    workdir.write_json(folder / "run.json", description)
    console.print(tables.to_rich(outcome))
    console.print(f"validation results: {folder / 'results'}")
  return True
