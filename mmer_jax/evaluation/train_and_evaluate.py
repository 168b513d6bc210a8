"""Trains the runs of a config in a workdir and evaluates them on validation."""

import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import rich.console

from mmer_jax.base import progress, workdir
from mmer_jax.evaluation import evaluate, linear_workdir, load, tables
from mmer_jax.experiment import build, fit, input_repair, provenance
from mmer_jax.linear import experiment as linear
from mmer_jax.training import first_stage as first_stage_lib
from mmer_jax.training import log_hook, loop
from mmer_jax.training import session as session_lib


def train_and_evaluate(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  *,
  console: rich.console.Console,
  tensorboard: bool = False,
  log_to: str | log_hook.OpenLog | None = None,
  first_stage: pathlib.Path | None = None,
) -> dict[str, Any] | None:
  """Trains, or goes on with, the runs of a config, and evaluates them.

  Args:
    config: A config of `configs/`, with overrides.
    folder: The workdir.
    console: For what was chosen and the closing table.
    tensorboard: Whether to write event files too.
    log_to: What takes the rows of `metrics.jsonl` too, see `log_hook`.
    first_stage: A finished workdir of the same config with
      `config.few_shot.method="none"`: its training is taken for the first
      stage, whose result is the same bit for bit.

  Returns:
    The result on the validation split; None where training was stopped.

  Raises:
    UserError: Config, shards and workdir do not fit.
  """
  started = time.time()
  provenance.fix_paths(config)
  notes = fit.fit_to_corpus(config)
  if jax.process_index() == 0:
    for note in notes:
      console.print(note, markup=False, soft_wrap=True)
  if config.system == linear.SYSTEM:
    return linear_workdir.train(config, folder, notes, console)
  session = _begin(config, folder, first_stage, notes)
  finished = loop.train(
    session,
    folder,
    tensorboard=tensorboard,
    log_to=log_to,
    first_stage=first_stage,
  )
  if not finished:
    console.print(
      f"stopped and saved; the same command resumes {folder}", markup=False
    )
    return None
  # All processes: the prediction is a program of the whole mesh.
  result = evaluate.evaluate(
    load.TrainedWorkdir(folder, provenance.read_description(folder), session),
    evaluate.Request("validation"),
  )
  if jax.process_index() == 0:
    _describe(session, folder, result, notes, time.time() - started)
    console.print(tables.to_rich(result))
    for line in tables.failures(result):
      console.print(line, markup=False, soft_wrap=True)
  return result


@progress.doing("preparing the runs")
def _begin(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  first_stage: pathlib.Path | None,
  notes: Sequence[str],
) -> session_lib.Session:
  """Builds the experiment and writes down what the workdir is of."""
  provenance.check_workdir(config, folder)
  experiment = build.build_experiment(config)
  session = session_lib.open_session(experiment)
  if first_stage is not None:
    first_stage_lib.check_first_stage(experiment, first_stage)
  if jax.process_index() == 0:
    provenance.check_data(experiment, folder)
    workdir.write_json(folder / "config.json", config.to_dict())
    workdir.write_json(
      folder / "run.json",
      provenance.describe(experiment, session.mesh.shape, notes),
    )
  fingerprint = experiment.corpus.manifest["fingerprint"]
  return session._replace(
    experiment=input_repair.attach_repair(experiment, folder, fingerprint)
  )


def _describe(
  session: session_lib.Session,
  folder: pathlib.Path,
  result: dict[str, Any],
  notes: Sequence[str],
  seconds: float,
) -> None:
  """Writes down what became of the runs."""
  description = provenance.describe(
    session.experiment, session.mesh.shape, notes
  )
  description["failed"] = result["failed"]
  description["failures"] = [
    {"run": run["run"], "reason": run["failure"]}
    for run in result["runs"]
    if run["failure"]
  ]
  description["seconds_since_last_start"] = round(seconds, 1)
  workdir.write_json(folder / "run.json", description)
