r"""Evaluates the selected checkpoint of every run of a workdir.

Example:
  python -m mmer_jax.evaluate --workdir=runs/mtee_iemocap --split=test \
    --modalities=lexical

Writes WORKDIR/results/<name>.json and .md and prints the table.
"""

from collections.abc import Sequence

import jax
import numpy as np

from mmer_jax.core import metrics
from mmer_jax.evaluation import restore
from mmer_jax.experiment import build
from mmer_jax.training import mesh
from mmer_jax.training import session as session_lib


def validation_thresholds(
  session: session_lib.Session,
  restored: restore.Restored,
  members: Sequence[int],
) -> np.ndarray:
  """The thresholds of `--thresholds=validation`, where all is as in training.

  Args:
    session: The runs; their decisions are binary.
    restored: Its parameters.
    members: Runs.

  Returns:
    (len(members), k + 1): of every emotion, and of one that is new.
  """
  experiment = session.experiment
  logits = predict_splits(session, restored, ("validation",), (), 0)[-1][
    "validation"
  ]
  chosen = []
  for record in (experiment.records[member] for member in members):
    rows = record.fold.validation
    probs = float64_probabilities("binary", logits[record.run][: len(rows)])
    seen = [name not in record.unseen for name in experiment.corpus.emotions]
    # A column that nobody reads stands for the new one.
    columns = [
      np.pad(each, ((0, 0), (0, 1)))
      for each in (probs, experiment.corpus.labels[rows])
    ]
    chosen.append(metrics.best_thresholds(*columns, np.array([*seen, False])))
  return np.stack(chosen)


def float64_probabilities(decision: str, logits: np.ndarray) -> np.ndarray:
  """In float64, where large logits do not saturate into ties."""
  with jax.enable_x64(True):
    return np.asarray(
      metrics.probabilities(decision, logits.astype(np.float64))
    )


def predict_splits(
  session: session_lib.Session,
  restored: restore.Restored,
  sides: Sequence[str],
  modalities: Sequence[str],
  new: int,
) -> list[dict[str, np.ndarray]]:
  """Predicts with what each stage selected.

  Args:
    session: The runs.
    restored: Its parameters.
    sides: The splits to predict.
    modalities: Empty for all.
    new: How many emotions there are no parameters for.

  Returns:
    Split to logits (r, n, k), the rows of each run's split first: before any
    training (only where there are several stages), then after each stage.
  """
  experiment = session.experiment
  last = len(experiment.system.stages) - 1
  batch = build.sample_batch(experiment.config, experiment.corpus)
  keep = tuple(modalities) or None
  compiled = session.program(last, visible_modalities=keep)
  runs = session.place_runs(restored.runs)
  params = [mesh.place(each, session.mesh, "runs") for each in restored.params]
  if last or new:
    fresh = compiled.init(runs, mesh.place(batch, session.mesh)).best_params
    params = [jax.tree.map(_extend, each, fresh) for each in params]
    params = [fresh, *params] if last else params
  # A stage that judges by another part of the system has a program of its own.
  programs = [compiled] * len(params)
  for number, stage in enumerate(experiment.system.stages[:last]):
    if stage.predict is not None:
      programs[1 + number] = session.program(number, visible_modalities=keep)
  rows = {
    side: next(session.feed(iter([experiment.rows(side)]))) for side in sides
  }
  return [
    {
      side: mesh.fetch(
        each.predict(found, runs, session.resident, rows[side]).logits
      )
      for side in sides
    }
    for each, found in zip(programs, params, strict=True)
  ]


def _extend(trained: jax.Array, fresh: jax.Array) -> jax.Array:
  """Gives what has a row per emotion untrained rows for the new ones."""
  if trained.shape == fresh.shape:
    return trained
  return fresh.at[..., : trained.shape[-1]].set(trained)
