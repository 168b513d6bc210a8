"""Logs the progress of training: metrics.jsonl, TensorBoard, a summary."""

import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

import jax
import numpy as np
from absl import logging

from mmer_jax.base import errors, workdir
from mmer_jax.experiment import build, records

EpochLog = dict[str, np.ndarray]


class MetricsLog:
  """Appends the metrics of each epoch to `metrics.jsonl` and to other logs."""

  def __init__(self, folder: pathlib.Path, others: Sequence["Log"] = ()):
    """Opens the log of a workdir.

    Args:
      folder: The workdir.
      others: Where the rows go besides, as to TensorBoard's event files.
    """
    self.folder = folder
    self._path = folder / "metrics.jsonl"
    self._others = others
    self._failed: set[int] = set()

  def rewind(self, stage: int, epoch: int) -> None:
    """Drops the rows that training will write again.

    Args:
      stage: Number of the stage that training goes on in.
      epoch: Number of the epoch that it begins with, from 0.
    """
    if jax.process_index():
      return
    kept = workdir.keep_lines(
      self._path, lambda row: (row["stage"], row["epoch"] - 1) < (stage, epoch)
    )
    self._failed = {row["run"] for row in kept if "failed_step" in row}

  def add(
    self, experiment: build.Experiment, number: int, epoch: int, log: EpochLog
  ) -> None:
    """Logs an epoch: one row per run, and one for a run that has failed.

    Args:
      experiment: The runs.
      number: Number of the stage, from 0.
      epoch: Number of the epoch, from 0.
      log: What `end_epoch` returned, with the runs axis.
    """
    rows = []
    for record in experiment.records:
      step = int(log["failed_step"][record.run])
      head = _row_head(experiment, number, epoch, record)
      if step >= 0 and record.run not in self._failed:
        self._failed.add(record.run)
        logging.error(
          "%s: loss or gradient is not finite at step %d of stage %s; this"
          " run stops, the others go on",
          record.describe(),
          step,
          head["stage_name"],
        )
        rows.append({**head, "failed_step": step})
      if log["live"][record.run]:
        rate = float(experiment.runs.learning_rate[record.run])
        rows.append({**head, **_run_metrics(log, record.run, rate)})
    if jax.process_index() == 0:
      workdir.append_lines(self._path, rows)
    for other in self._others:
      other.add(rows)


def _row_head(
  experiment: build.Experiment,
  number: int,
  epoch: int,
  record: records.RunRecord,
) -> dict[str, Any]:
  """Says which run and epoch a row of `metrics.jsonl` belongs to."""
  return {
    "stage": number,
    "stage_name": experiment.system.stages[number].name,
    "epoch": epoch + 1,
    "run": record.run,
    "seed": record.seed,
    "fold": record.fold.name,
    **record.setting,
    **({"unseen": " ".join(record.unseen)} if record.unseen else {}),
  }


def _run_metrics(
  log: EpochLog, run: int, learning_rate: float
) -> dict[str, Any]:
  """Picks one run's numbers out of an epoch's log."""
  values = {
    key: value[run].tolist()
    for key, value in log.items()
    if key.startswith(("train_", "validation_", "step"))
  }
  scale = log["learning_rate_scale"][run].item()
  return {**values, "learning_rate": learning_rate * scale}


def summary(
  experiment: build.Experiment,
  number: int,
  log: EpochLog,
  seconds: float | None,
) -> tuple[str, ...]:
  """Describes an epoch beside the progress bar: means over the live runs.

  Args:
    experiment: The runs.
    number: Number of the stage, from 0.
    log: What `end_epoch` returned, with the runs axis.
    seconds: How long the epoch took; None where that says nothing.

  Returns:
    Texts; none where no run is live.
  """
  live = log["live"]
  if not live.any():
    return ()
  select = experiment.config.training.select
  examples = sum(
    len(experiment.stage_rows(record, number))
    for record in experiment.records
    if live[record.run]
  )
  shown = (
    f"loss {log['train_loss'][live].mean():.4f}",
    f"{select} {log[f'validation_{select}'][live].mean():.3f}",
  )
  return (*shown, f"{examples / seconds:,.0f} examples/s") if seconds else shown


class Log(Protocol):
  """Takes rows of `metrics.jsonl`."""

  def add(self, rows: Sequence[dict[str, Any]]) -> None:
    """Takes the rows of an epoch."""

  def close(self) -> None:
    """Ends the log."""


class Events:
  """Writes TensorBoard's event files."""

  def __init__(self, folder: pathlib.Path):
    """Opens the event files of a workdir.

    Args:
      folder: The workdir, whose `tensorboard` they go to.

    Raises:
      UserError: The package tensorboardX is not installed.
    """
    tensorboard = errors.require("tensorboardX", "tensorboard", "--tensorboard")
    self._writer = tensorboard.SummaryWriter(str(folder / "tensorboard"))

  def add(self, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the numbers of rows of `metrics.jsonl`."""
    for row in rows:
      for key, value in row.items():
        if isinstance(value, float):
          self._writer.add_scalar(
            f"{row['stage_name']}/{key}/run_{row['run']}", value, row["epoch"]
          )

  def close(self) -> None:
    """Ends the files."""
    self._writer.close()
