r"""Trains every run of a config in one program, and can be killed at any time.

Example:
  python -m mmer_jax.train --config=configs/mtee/iemocap.py:utterances \
    --config.data.dir=data/iemocap4 --workdir=runs/mtee_iemocap

Any key of the config can be overridden: --config.optimizer.learning_rate=3e-4
--config.sweep.learning_rate="(1e-3, 3e-4)" --config.seeds="(0, 1, 2, 3, 4)".
The same command again resumes an interrupted workdir.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import rich.console
import rich.progress

from mmer_jax.base import errors
from mmer_jax.experiment import records
from mmer_jax.systems import interface


def log_row(
  number: int,
  stage: interface.Stage,
  epoch: int,
  record: records.RunRecord,
  values: dict[str, Any],
) -> dict[str, Any]:
  return {
    "stage": number,
    "stage_name": stage.name,
    "epoch": epoch + 1,
    "run": record.run,
    "seed": record.seed,
    "fold": record.fold.name,
    **record.setting,
    **({"unseen": " ".join(record.unseen)} if record.unseen else {}),
    **values,
  }


def progress_bars(console: rich.console.Console) -> rich.progress.Progress:
  return rich.progress.Progress(
    rich.progress.TextColumn("{task.description}"),
    rich.progress.BarColumn(),
    rich.progress.MofNCompleteColumn(),
    rich.progress.TextColumn("loss {task.fields[loss]}"),
    rich.progress.TextColumn("{task.fields[value]}"),
    rich.progress.TextColumn("{task.fields[rate]}"),
    rich.progress.TimeRemainingColumn(),
    console=console,
    disable=jax.process_index() != 0,
  )


class _Events:
  """TensorBoard event files, or nothing."""

  def __init__(self, writer: Any):
    self._writer = writer

  def add(self, rows: Sequence[dict[str, Any]]) -> None:
    if self._writer is None:
      return
    for row in rows:
      for key, value in row.items():
        if isinstance(value, float):
          self._writer.add_scalar(
            f"{row['stage_name']}/{key}/run_{row['run']}", value, row["epoch"]
          )

  def close(self) -> None:
    if self._writer is not None:
      self._writer.close()


def event_writer(folder: pathlib.Path, wanted: bool) -> _Events:
  if not wanted:
    return _Events(None)
  try:
    import tensorboardX
  except ImportError:
    raise errors.UserError(
      "--tensorboard needs the package tensorboardX, which is not installed;"
      " pip install mmer_jax[tensorboard]"
    ) from None
  return _Events(tensorboardX.SummaryWriter(str(folder / "tensorboard")))
