"""Runs the host's part of training: it feeds programs, logs and saves.

`train` opens a workdir, `train_stages` goes through the stages of its system,
`train_stage` through the epochs of a stage. An epoch is a few dispatches of the
compiled program and a validation. Between two dispatches training can be
stopped and saved; what is resumed ends with the same bits.
"""

import contextlib
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from mmer_jax.base import progress as progress_lib
from mmer_jax.data import batches
from mmer_jax.experiment import build
from mmer_jax.systems import interface
from mmer_jax.training import (
  checkpoints,
  log_hook,
  mesh,
  program,
  progress,
  step,
)
from mmer_jax.training import first_stage as first_stage_lib
from mmer_jax.training import session as session_lib
from mmer_jax.training import stopper as stopper_lib


class Plan(NamedTuple):
  """Says how an epoch is cut into dispatches.

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


class Training(NamedTuple):
  """Holds what the stages of one training share.

  Attributes:
    session: The experiment and its devices.
    runs: The settings of the runs, on the devices.
    table: The corpus on the devices; `()` where it streams.
    plans: How an epoch of each stage is cut into dispatches.
    store: The checkpoints of the workdir.
    log: The metrics of the workdir.
    stopper: Says when to save and stop.
  """

  session: session_lib.Session
  runs: interface.RunSettings
  table: Any
  plans: tuple[Plan, ...]
  store: checkpoints.Checkpoints
  log: progress.MetricsLog
  stopper: stopper_lib.Stopper


def train(
  session: session_lib.Session,
  folder: pathlib.Path,
  *,
  tensorboard: bool = False,
  log_to: str | log_hook.OpenLog | None = None,
  first_stage: pathlib.Path | None = None,
) -> bool:
  """Trains the runs of an experiment, or goes on where its workdir stands.

  Args:
    session: The experiment and its devices.
    folder: The workdir, which gets checkpoints and `metrics.jsonl`.
    tensorboard: Whether to write event files too.
    log_to: What takes the rows of `metrics.jsonl` too, see `log_hook`.
    first_stage: The workdir that stands in for the first stage; None for none.

  Returns:
    Whether training is finished; False where it was asked to stop.
  """
  experiment = session.experiment
  config = experiment.config
  store = checkpoints.Checkpoints(folder, keep=config.checkpoint.keep)
  others: list[progress.Log] = []
  stopper = stopper_lib.Stopper()
  try:
    position = checkpoints.START
    if store.latest() is not None:
      position = store.position()
      logging.info("resuming %s at %s", folder, position)
    if tensorboard and jax.process_index() == 0:
      others.append(progress.Events(folder))
    if log_to is not None and jax.process_index() == 0:
      others.append(log_hook.open_hook(log_to, config.to_dict(), folder))
    log = progress.MetricsLog(folder, others)
    log.rewind(position.stage, position.epoch)
    if position.done:
      return True
    training = Training(
      session=session,
      runs=session.place_runs(experiment.runs),
      table=session.resident,
      plans=plan_stages(experiment),
      store=store,
      log=log,
      stopper=stopper,
    )
    return train_stages(training, position, first_stage)
  finally:
    stopper.close()
    store.close()
    for other in others:
      other.close()


def plan_stages(experiment: build.Experiment) -> tuple[Plan, ...]:
  """Cuts an epoch of every stage into dispatches."""
  config = experiment.config.training
  return tuple(
    plan_epoch(
      [
        len(experiment.stage_rows(record, number))
        for record in experiment.records
      ],
      config.batch_size,
      config.steps_per_dispatch,
    )
    for number in range(len(experiment.system.stages))
  )


def train_stages(
  training: Training,
  position: checkpoints.Position,
  first_stage: pathlib.Path | None = None,
) -> bool:
  """Trains the stages of a system in turn, from a position.

  Args:
    training: What the stages share.
    position: Where to begin, or to go on.
    first_stage: The workdir that stands in for the first stage; None for none.

  Returns:
    Whether all are finished; False where training was asked to stop.
  """
  session, store = training.session, training.store
  experiment = session.experiment
  batch = build.sample_batch(experiment.config, experiment.corpus)
  batch = mesh.place(batch, session.mesh)
  state = None
  if first_stage is not None and store.latest() is None:
    target = program.abstract_state(session.program(0), training.runs, batch)
    state = first_stage_lib.take_over(first_stage, training.log.folder, target)
    position = checkpoints.Position(1, 0, 0, False)
    training.log.rewind(position.stage, position.epoch)
  for number in range(position.stage, len(experiment.system.stages)):
    compiled = session.program(number)
    if state is not None:
      state = compiled.restart(state, training.runs, batch)
      position = checkpoints.Position(number, 0, 0, False)
      save(training, state, position)
    elif store.latest() is None:
      state = compiled.init(training.runs, batch)
    else:
      state = store.restore(
        program.abstract_state(compiled, training.runs, batch)
      )
    if number and experiment.system.stages[number].unlabelled:
      training = _pick_unlabelled(training, compiled, state)
    state, finished = train_stage(training, compiled, state, position)
    if not finished:
      return False
  return True


def _pick_unlabelled(
  training: Training, compiled: program.Program, state: step.RunState
) -> Training:
  """Picks unlabelled rows by what the stage before has learnt.

  Nothing of it is saved: what resumes predicts the same again.
  """
  session = training.session
  rows = next(session.feed(iter([session.experiment.pool()])))
  prediction = compiled.predict(
    state.finished[-1], training.runs, training.table, rows
  )
  picked = session.experiment.picked(mesh.fetch(prediction.logits))
  return training._replace(session=session._replace(experiment=picked))


def train_stage(
  training: Training,
  compiled: program.Program,
  state: step.RunState,
  position: checkpoints.Position,
) -> tuple[step.RunState, bool]:
  """Trains the epochs of one stage, from a position in it.

  Args:
    training: What the stages share.
    compiled: The functions of the stage.
    state: All runs at the position.
    position: Where to begin, or to go on.

  Returns:
    All runs at the end, and whether that is the end of the stage; False where
    training was asked to stop.
  """
  number, experiment = position.stage, training.session.experiment
  first = position.epoch
  epochs = experiment.section(number).epochs
  last_stage = number == len(experiment.system.stages) - 1
  every = experiment.config.checkpoint.every_epochs
  with _show(training, number, position.epoch) as task:
    for epoch in range(first, epochs):
      begun = time.perf_counter()
      if epoch != first:
        position = checkpoints.Position(number, epoch, 0, False)
      state, whole = _train_epoch(training, compiled, state, position)
      if not whole:
        return state, False
      state, log = _end_epoch(training, compiled, state)
      training.log.add(experiment, number, epoch, log)
      # The first epoch waits for the compiler.
      compiled_now = epoch == first
      seconds = None if compiled_now else time.perf_counter() - begun
      shown = progress.summary(experiment, number, log, seconds)
      task.update(epoch + 1, *shown, unusual=compiled_now)
      over = bool(log["stopped"].all()) or epoch + 1 == epochs
      done = over and last_stage
      asked = training.stopper.agreed() and not over
      if done or asked or (not over and (epoch + 1) % every == 0):
        following = checkpoints.Position(number, epoch + 1, 0, done)
        save(training, state, following)
      if asked:
        return state, False
      if over:
        break
  return state, True


@contextlib.contextmanager
def _show(
  training: Training, number: int, done: int
) -> Iterator[progress_lib.Task]:
  """Shows how many epochs of a stage are done."""
  experiment = training.session.experiment
  stages = experiment.system.stages
  of = f", stage {stages[number].name}" if len(stages) > 1 else ""
  with progress_lib.doing(
    f"training{of}",
    experiment.section(number).epochs,
    "epochs",
    done,
    at_most=True,
    kept=True,
  ) as task:
    task.update(done, "compiling")
    yield task


def _train_epoch(
  training: Training,
  compiled: program.Program,
  state: step.RunState,
  position: checkpoints.Position,
) -> tuple[step.RunState, bool]:
  """Dispatches the chunks of an epoch; False where it was asked to stop."""
  chunks = _chunks(training, position)
  for chunk, rows in enumerate(training.session.feed(chunks), position.chunk):
    state = compiled.train(state, training.runs, training.table, rows)
    if training.stopper.agreed():
      save(training, state, position._replace(chunk=chunk + 1))
      return state, False
  return state, True


def _chunks(
  training: Training, position: checkpoints.Position
) -> Iterator[np.ndarray]:
  """Gives the row numbers (r, s, b) of the chunks that an epoch still has."""
  experiment = training.session.experiment
  plan = training.plans[position.stage]
  if position.chunk >= plan.chunks:
    return
  rows = batches.stack_runs(
    [
      experiment.epoch(record, position.stage, position.epoch)
      for record in experiment.records
    ],
    plan.chunks * plan.steps,
  )
  for chunk in range(position.chunk, plan.chunks):
    yield rows[:, chunk * plan.steps : (chunk + 1) * plan.steps]


def _end_epoch(
  training: Training, compiled: program.Program, state: step.RunState
) -> tuple[step.RunState, progress.EpochLog]:
  """Validates all runs and brings what is to be logged to the host."""
  session = training.session
  rows = next(session.feed(iter([session.experiment.rows("validation")])))
  state, log = compiled.end_epoch(state, training.runs, training.table, rows)
  return state, mesh.fetch(log)


def save(
  training: Training, state: step.RunState, position: checkpoints.Position
) -> None:
  """Writes a checkpoint, numbered in the order of the positions."""
  experiment = training.session.experiment
  epochs = 1 + max(
    experiment.section(number).epochs for number in range(len(training.plans))
  )
  chunks = 1 + max(plan.chunks for plan in training.plans)
  number = (position.stage * epochs + position.epoch) * chunks + position.chunk
  # What was fitted is in a file of its own, and changes no more.
  runs = training.runs.replace(repair=None)
  training.store.save(number, state, runs, position)
