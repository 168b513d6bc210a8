r"""Trains every run of a config in one program, and can be killed at any time.

Example:
  python -m mmer_jax.train --config=configs/mtee/iemocap.py:utterances \
    --config.data.dir=data/iemocap4 --workdir=runs/mtee_iemocap

Any key of the config can be overridden: --config.optimizer.learning_rate=3e-4
--config.sweep.learning_rate="(1e-3, 3e-4)" --config.seeds="(0, 1, 2, 3, 4)".
The same command again resumes an interrupted workdir.
"""

import pathlib
import signal
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NamedTuple

import jax
import numpy as np
import rich.console
import rich.progress
from absl import logging
from jax.experimental import multihost_utils

from mmer_jax.base import errors, workdir
from mmer_jax.data import batches
from mmer_jax.experiment import build, provenance
from mmer_jax.systems import interface
from mmer_jax.training import (
  checkpoints,
  mesh,
  program,
  progress,
  step,
)
from mmer_jax.training import session as session_lib


class Position(NamedTuple):
  """Where training goes on: the next chunk of the next epoch of a stage."""

  stage: int
  epoch: int
  chunk: int
  done: bool


class Plan(NamedTuple):
  """How an epoch is cut into dispatches.

  Attributes:
    chunks: Dispatches per epoch.
    steps: Steps per dispatch; the last ones of an epoch may be empty.
  """

  chunks: int
  steps: int


def plan_epoch(rows: Sequence[int], batch_size: int, at_most: int) -> Plan:
  """Cuts the longest run's epoch into equal chunks of at most `at_most`."""
  longest = max(-(-count // batch_size) for count in rows)
  chunks = -(-longest // at_most)
  return Plan(chunks, -(-longest // chunks))


class Stopper:
  """Turns SIGTERM and Ctrl-C into a checkpoint at the next dispatch."""

  def __init__(self):
    """Takes the signals over; `close` gives them back."""
    self.asked = False
    self._before = {
      number: signal.signal(number, self._ask)
      for number in (signal.SIGTERM, signal.SIGINT)
    }

  def _ask(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self.asked and number == signal.SIGINT:
      raise KeyboardInterrupt
    self.asked = True

  def agreed(self) -> bool:
    """Whether any process was asked to stop; all must call it together."""
    if jax.process_count() == 1:
      return self.asked
    return bool(multihost_utils.process_allgather(np.asarray(self.asked)).any())

  def close(self) -> None:
    """Gives the signals back."""
    for number, handler in self._before.items():
      signal.signal(number, handler)


class TrainingLoop:
  """The host's part: it feeds, logs and saves."""

  def __init__(
    self,
    session: session_lib.Session,
    folder: pathlib.Path,
    store: checkpoints.Checkpoints,
    stopper: Stopper,
    console: rich.console.Console,
    writer: "_Events",
    source: pathlib.Path | None,
  ):
    self._source_workdir = source
    self._session, self._folder, self._store = session, folder, store
    self._experiment = experiment = session.experiment
    self._stopper, self._console, self._writer = stopper, console, writer
    config = experiment.config
    self._rows = [
      [
        len(experiment.stage_rows(record, number))
        for record in experiment.records
      ]
      for number in range(len(experiment.system.stages))
    ]
    self._plans = [
      plan_epoch(
        rows, config.training.batch_size, config.training.steps_per_dispatch
      )
      for rows in self._rows
    ]
    self._runs = session.place_runs(experiment.runs)
    self._source = session.resident
    self._validation = experiment.rows("validation")
    self._failed: set[int] = set()

  def run(self, position: Position) -> bool:
    """Runs all stages from a position; False when asked to stop."""
    session, experiment, state = self._session, self._experiment, None
    batch = build.sample_batch(experiment.config, experiment.corpus)
    batch = mesh.place(batch, session.mesh)
    for number, stage in enumerate(experiment.system.stages):
      if number < position.stage:
        continue
      compiled = session.program(number)
      if state is not None:
        state = compiled.restart(state, self._runs, batch)
        position = Position(number, 0, 0, False)
        self._save(state, position)
      elif self._store.latest() is None and self._source_workdir is not None:
        state = self._take_over(
          program.abstract_state(compiled, self._runs, batch)
        )
        continue
      elif self._store.latest() is None:
        state = compiled.init(self._runs, batch)
      else:
        state = self._store.restore(
          program.abstract_state(compiled, self._runs, batch)
        )
      if number and stage.unlabelled:
        self._pick(compiled, state)
      state, finished = self._stage(number, stage, compiled, state, position)
      if not finished:
        return False
    return True

  def _take_over(self, target: step.RunState) -> step.RunState:
    """The first stage as another workdir has trained it, and its log."""
    folder = self._source_workdir
    if jax.process_index() == 0:
      log = (folder / "metrics.jsonl").read_text(encoding="utf-8")
      workdir.write_text(self._folder / "metrics.jsonl", log)
    store = checkpoints.Checkpoints(folder)
    try:
      return store.restore(target)
    finally:
      store.close()

  def _pick(self, compiled: program.Program, state: step.RunState) -> None:
    """Picks unlabelled rows by what the stage before has learnt.

    Nothing of it is saved: what resumes predicts the same again.
    """
    rows = next(self._session.feed(iter([self._experiment.pool()])))
    prediction = compiled.predict(
      state.finished[-1], self._runs, self._source, rows
    )
    self._experiment = self._experiment.picked(mesh.fetch(prediction.logits))

  def _stage(
    self,
    number: int,
    stage: interface.Stage,
    compiled: program.Program,
    state: step.RunState,
    position: Position,
  ) -> tuple[step.RunState, bool]:
    session, experiment = self._session, self._experiment
    epochs = experiment.section(number).epochs
    last_stage = number == len(experiment.system.stages) - 1
    with progress.progress_bars(self._console) as bars:
      task = bars.add_task(
        stage.name,
        total=epochs,
        completed=position.epoch,
        loss="-",
        value="-",
        rate="-",
      )
      for epoch in range(position.epoch, epochs):
        begun = time.perf_counter()
        first = position.chunk if epoch == position.epoch else 0
        for chunk, rows in enumerate(
          session.feed(self._chunks(number, epoch, first)), first
        ):
          state = compiled.train(state, self._runs, self._source, rows)
          if self._stopper.agreed():
            self._save(state, Position(number, epoch, chunk + 1, False))
            return state, False
        validation = next(session.feed(iter([self._validation])))
        state, log = compiled.end_epoch(
          state, self._runs, self._source, validation
        )
        log = mesh.fetch(log)
        seconds = time.perf_counter() - begun
        self._report(number, stage, epoch, log, bars, task, seconds)
        over = bool(log["stopped"].all()) or epoch + 1 == epochs
        done = over and last_stage
        following = Position(number, epoch + 1, 0, done)
        asked = self._stopper.agreed() and not over
        every = experiment.config.checkpoint.every_epochs
        if done or asked or (not over and (epoch + 1) % every == 0):
          self._save(state, following)
        if asked:
          return state, False
        if over:
          break
    return state, True

  def _chunks(self, stage: int, epoch: int, first: int) -> Iterator[np.ndarray]:
    plan, experiment = self._plans[stage], self._experiment
    if first >= plan.chunks:
      return
    rows = batches.stack_runs(
      [experiment.epoch(record, stage, epoch) for record in experiment.records],
      plan.chunks * plan.steps,
    )
    for chunk in range(first, plan.chunks):
      yield rows[:, chunk * plan.steps : (chunk + 1) * plan.steps]

  def _save(self, state: step.RunState, position: Position) -> None:
    stages = range(len(self._plans))
    epochs = 1 + max(self._experiment.section(stage).epochs for stage in stages)
    chunks = 1 + max(plan.chunks for plan in self._plans)
    number = (position.stage * epochs + position.epoch) * chunks
    number += position.chunk
    # What was fitted is in a file of its own, and changes no more.
    runs = self._runs.replace(repair=None)
    self._store.save(number, state, runs, position._asdict())

  def _report(
    self,
    number: int,
    stage: interface.Stage,
    epoch: int,
    log: dict[str, np.ndarray],
    bars: rich.progress.Progress,
    task: rich.progress.TaskID,
    seconds: float,
  ) -> None:
    rows = []
    for record in self._experiment.records:
      run = record.run
      failed = int(log["failed_step"][run])
      if failed >= 0 and run not in self._failed:
        self._failed.add(run)
        logging.error(
          "%s: loss or gradient is not finite at step %d of stage %s; this"
          " run stops, the others go on",
          record.describe(),
          failed,
          stage.name,
        )
        rows.append(
          progress.log_row(
            number, stage, epoch, record, {"failed_step": failed}
          )
        )
      if not log["live"][run]:
        continue
      values = {
        key: value[run].tolist()
        for key, value in log.items()
        if key.startswith(("train_", "validation_", "step"))
      }
      values["learning_rate"] = (
        float(self._experiment.runs.learning_rate[run])
        * log["learning_rate_scale"][run].item()
      )
      rows.append(progress.log_row(number, stage, epoch, record, values))
    if jax.process_index() == 0:
      workdir.append_lines(self._folder / "metrics.jsonl", rows)
    self._writer.add(rows)
    live = log["live"]
    if live.any():
      select = self._experiment.config.training.select
      examples = sum(
        self._rows[number][record.run]
        for record in self._experiment.records
        if live[record.run]
      )
      bars.update(
        task,
        loss=f"{log['train_loss'][live].mean():.4f}",
        value=f"{select} {log[f'validation_{select}'][live].mean():.3f}",
        rate=f"{examples / seconds:,.0f} examples/s",
      )
    bars.update(task, completed=epoch + 1)


def check_first_stage(
  experiment: build.Experiment, source: pathlib.Path
) -> None:
  """Refuses a workdir that does not end where the second stage begins."""
  if len(experiment.system.stages) < 2:
    raise errors.UserError(
      "--source stands in for the first of several stages, got"
      f" config.few_shot.method {experiment.config.few_shot.method!r}; leave it out"
    )
  config = workdir.read_config(source)
  method = config.few_shot.method
  before = provenance.comparable(config.to_dict())
  now = provenance.comparable(experiment.config.to_dict())
  for each in (before, now):
    each.pop("few_shot")
  changed = sorted(provenance.differing_keys("config", before, now))
  if method != "none":
    changed.append(f"config.few_shot.method was {method!r}, expected 'none'")
  if changed:
    raise errors.UserError(
      f"--source={source} was trained with another config"
      f" ({'; '.join(changed)}); use one of the same config, or leave it out"
    )
  provenance.check_data(experiment, source)
  store = checkpoints.Checkpoints(source)
  try:
    if not store.position()["done"]:
      raise errors.UserError(
        f"training in --source={source} has not finished; resume it first"
      )
  finally:
    store.close()
