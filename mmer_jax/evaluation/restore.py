r"""Evaluates the selected checkpoint of every run of a workdir.

Example:
  python -m mmer_jax.evaluate --workdir=runs/mtee_iemocap --split=test \
    --modalities=lexical

Writes WORKDIR/results/<name>.json and .md and prints the table.
"""

import pathlib
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import corpus
from mmer_jax.experiment import build
from mmer_jax.systems import interface
from mmer_jax.training import checkpoints, mesh, program, step
from mmer_jax.training import session as session_lib


def assumed_shapes(description: dict[str, Any]) -> corpus.AssumedShapes:
  """What training had and other shards may not."""
  return corpus.AssumedShapes(
    shapes={
      modality: (entry["length"], entry["dim"])
      for modality, entry in description["modalities"].items()
    },
    vectors=np.asarray(
      [emotion["vector"] for emotion in description["emotions"]], np.float32
    ),
  )


class Restored(NamedTuple):
  """What a finished workdir knows.

  Attributes:
    params: What each stage selected, with the runs axis.
    runs: The settings, normalised as in training.
    progress: Where each run ended.
  """

  params: tuple[interface.Params, ...]
  runs: interface.RunSettings
  progress: step.Progress


def restore(
  folder: pathlib.Path, session: session_lib.Session, trained: int
) -> Restored:
  """Reads the selected parameters of a finished workdir.

  Args:
    folder: The workdir.
    session: Its experiment on devices; emotions that it was not trained on come last.
    trained: How many emotions the workdir has parameters for.

  Raises:
    UserError: Training has not finished.
  """
  experiment = session.experiment
  last = len(experiment.system.stages) - 1
  batch = build.sample_batch(experiment.config, experiment.corpus)
  # The checkpoint has the emotions of training; new ones come after.
  new = len(experiment.corpus.emotions) - trained
  roles = experiment.runs.known.shape[1] - new
  saved = experiment.runs.replace(
    known=experiment.runs.known[:, :roles, :trained],
    class_weight=experiment.runs.class_weight[:, :roles, :trained],
    vectors=experiment.runs.vectors[:, :trained],
    repair=None,
  )
  store = checkpoints.Checkpoints(folder)
  try:
    if not store.position()["done"]:
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
  # Whatever rows the folds have by now. What check and proxies were fitted to
  # is not in a checkpoint.
  runs = experiment.runs.replace(mean=restored.mean, scale=restored.scale)
  return Restored(selected, runs, progress)
