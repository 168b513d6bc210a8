"""Computes what the runs of a workdir predict, after each of their stages."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mmer_jax.base import errors, progress
from mmer_jax.core import metrics, regression_metrics
from mmer_jax.core import thresholds as thresholds_lib
from mmer_jax.evaluation import restore
from mmer_jax.experiment import build, records
from mmer_jax.training import mesh
from mmer_jax.training import session as session_lib


class RunScores(NamedTuple):
  """Holds what one run predicts after one stage, for rows with a label.

  Attributes:
    emotions: The emotions that are scored.
    probs: (n, k) float64, their probabilities.
    labels: (n, k), 1 where the emotion is present.
    threshold: The least probability of a yes, of all emotions or of each (k,).
    taught: (k,) bool, whether the run was taught the emotion by then.
    ranges: Of ratings, lowest and highest value of each; `probs` and `labels`
      are then values in their scales.
  """

  emotions: tuple[str, ...]
  probs: np.ndarray
  labels: np.ndarray
  threshold: float | np.ndarray
  taught: np.ndarray
  ranges: tuple[regression_metrics.Range, ...] = ()


def rating_ranges(
  experiment: build.Experiment, names: Sequence[str]
) -> tuple[regression_metrics.Range, ...]:
  """Picks the ranges of the ratings that are scored; none of emotions."""
  ranges = experiment.rules.rating_ranges
  if not ranges:
    return ()
  return tuple(ranges[experiment.corpus.emotions.index(name)] for name in names)


def number(value: Any) -> float | None:
  """Returns a float, or None for one that is not defined."""
  return float(value) if np.isfinite(value) else None


def labelled_scores(
  experiment: build.Experiment,
  record: records.RunRecord,
  split: str,
  logits: np.ndarray,
  emotions: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
  """Picks probabilities and labels of the rows that can be scored.

  Args:
    experiment: The runs.
    record: One of them.
    split: The split of its fold.
    logits: (r, n, k) of the split, of all emotions of the corpus.
    emotions: The emotions that are scored: a softmax is over them alone.

  Raises:
    UserError: No row can be scored.
  """
  decision = experiment.rules.decision
  columns = [experiment.corpus.emotions.index(name) for name in emotions]
  rows = getattr(record.fold, split)
  labels = experiment.corpus.labels[rows][:, columns]
  scorable = np.ones(len(rows), bool)
  if decision == "softmax":
    scorable = labels.sum(axis=1) == 1
  if not scorable.any():
    raise errors.UserError(
      f"the {split} split of fold {record.fold.name} has no utterance of"
      f" {', '.join(emotions)}; choose other --emotions"
    )
  own = logits[record.run][: len(rows)][scorable][:, columns]
  return float64_probabilities(decision, own), labels[scorable]


def validation_thresholds(
  session: session_lib.Session,
  restored: restore.Restored,
  members: Sequence[int],
) -> np.ndarray:
  """Chooses the thresholds of a model to serve on the validation split.

  Args:
    session: The runs; their decisions are binary.
    restored: Their parameters.
    members: The runs to serve.

  Returns:
    (len(members), k + 1): the threshold of every emotion, and that of an
    emotion that is new.
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
    chosen.append(
      thresholds_lib.best_thresholds(*columns, np.array([*seen, False]))
    )
  return np.stack(chosen)


def float64_probabilities(decision: str, logits: np.ndarray) -> np.ndarray:
  """Makes probabilities in float64, where large logits do not become ties."""
  with jax.enable_x64(True):
    exact = jnp.asarray(logits, jnp.float64)
    return np.asarray(metrics.probabilities(decision, exact))


@progress.doing("predicting")
def predict_splits(
  session: session_lib.Session,
  restored: restore.Restored,
  splits: Sequence[str],
  modalities: Sequence[str],
  new: int,
) -> list[dict[str, np.ndarray]]:
  """Predicts with the parameters that each stage selected.

  Args:
    session: The runs.
    restored: Their parameters.
    splits: The splits to predict.
    modalities: The modalities that the system may see; empty for all.
    new: How many emotions there are no parameters for.

  Returns:
    Split to logits (r, n, k), the rows of each run's split first: before any
    training (only where there are several stages), then after each stage.
  """
  experiment = session.experiment
  last = len(experiment.system.stages) - 1
  batch = build.sample_batch(experiment.config, experiment.corpus)
  visible = tuple(modalities) or None
  compiled = session.program(last, visible_modalities=visible)
  runs = session.place_runs(restored.runs)
  params = [mesh.place(each, session.mesh, "runs") for each in restored.params]
  if last or new:
    fresh = compiled.init(runs, mesh.place(batch, session.mesh)).best_params
    params = [jax.tree.map(_append_untrained, each, fresh) for each in params]
    params = [fresh, *params] if last else params
  # A stage that predicts by another part of the system has its own program.
  programs = [compiled] * len(params)
  for number, stage in enumerate(experiment.system.stages[:last]):
    if stage.predict is not None:
      programs[1 + number] = session.program(number, visible_modalities=visible)
  rows = {
    split: next(session.feed(iter([experiment.rows(split)])))
    for split in splits
  }
  return [
    {
      split: mesh.fetch(
        program.predict(selected, runs, session.resident, rows[split]).logits
      )
      for split in splits
    }
    for program, selected in zip(programs, params, strict=True)
  ]


def _append_untrained(trained: jax.Array, fresh: jax.Array) -> jax.Array:
  """Appends untrained entries for the new emotions to a parameter."""
  if trained.shape == fresh.shape:
    return trained
  return fresh.at[..., : trained.shape[-1]].set(trained)
