"""Restores the parameters that each stage of a finished workdir selected."""

import pathlib
from typing import NamedTuple

import numpy as np

from mmer_jax.base import errors, progress
from mmer_jax.experiment import build
from mmer_jax.systems import interface
from mmer_jax.training import checkpoints, mesh, program, step
from mmer_jax.training import session as session_lib


class Restored(NamedTuple):
  """Holds what the checkpoint of a finished workdir says.

  Attributes:
    params: The parameters that each stage selected, with the runs axis.
    runs: The settings, normalised as in training.
    progress: Where each run ended. `failed_step` is also that of a run whose
      last stage selected nothing: its validation loss was never finite. Which
      step that began in is not known; it is 0.
  """

  params: tuple[interface.Params, ...]
  runs: interface.RunSettings
  progress: step.Progress


@progress.doing("restoring what was selected")
def restore(
  folder: pathlib.Path, session: session_lib.Session, trained: int
) -> Restored:
  """Reads the selected parameters of a finished workdir.

  Args:
    folder: The workdir.
    session: Its experiment on devices; emotions that it was not trained on
      come last.
    trained: How many emotions the workdir has parameters for.

  Raises:
    UserError: Training has not finished.
  """
  experiment = session.experiment
  last = len(experiment.system.stages) - 1
  batch = build.sample_batch(experiment.config, experiment.corpus)
  saved = _saved_settings(experiment, trained)
  store = checkpoints.Checkpoints(folder)
  try:
    if not store.position().done:
      raise errors.UserError(
        f"training in {folder} has not finished; run the same"
        " `python -m mmer_jax.train` command again to resume it"
      )
    selected, restored, progress = store.restore_best(
      program.abstract_state(
        session.program(last),
        saved,
        batch.replace(labels=batch.labels[:, :trained]),
      ),
      saved,
      mesh.replicated(session.mesh),
    )
  finally:
    store.close()
  # Normalised as in training, whatever rows the folds have by now. What check
  # and proxies were fitted to is not in a checkpoint.
  runs = experiment.runs.replace(
    mean=restored.mean,
    scale=restored.scale,
    rating_mean=restored.rating_mean,
    rating_scale=restored.rating_scale,
  )
  return Restored(selected, runs, _with_failures(progress))


def _with_failures(progress: step.Progress) -> step.Progress:
  """Marks the runs that trained and selected no epoch as failed."""
  # No epoch at all is a workdir of `mmer_jax.import_torch`.
  selected_none = (progress.best_epoch == 0) & (progress.epoch > 0)
  failed_step = np.where(
    selected_none & (progress.failed_step < 0), 0, progress.failed_step
  )
  return progress.replace(failed_step=failed_step)


def _saved_settings(
  experiment: build.Experiment, trained: int
) -> interface.RunSettings:
  """Cuts the settings to those that a checkpoint has.

  It has the emotions of training; new ones, and their roles, come after them.
  """
  runs = experiment.runs
  new = len(experiment.corpus.emotions) - trained
  roles = runs.known.shape[1] - new
  return runs.replace(
    known=runs.known[:, :roles, :trained],
    class_weight=runs.class_weight[:, :roles, :trained],
    vectors=runs.vectors[:, :trained],
    repair=None,
  )
