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
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
import rich.console
import rich.progress
from absl import flags, logging
from jax.experimental import multihost_utils
from ml_collections import config_flags

from mmer_jax import (
  checkpoints,
  errors,
  evaluate,
  experiment,
  layout,
  program,
  results,
  robustness,
  training,
  workdir,
)
from mmer_jax.data import pipeline


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


def train(
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
  experiment.fix_paths(config)
  _check_workdir(config, folder)
  setup = experiment.build(config)
  if source is not None:
    _check_source(setup, source)
  leader = jax.process_index() == 0
  writer = _event_writer(folder, tensorboard and leader)
  if leader:
    check_data(setup, folder)
    workdir.write_json(folder / "config.json", config.to_dict())
    workdir.write_json(folder / "run.json", describe(setup))
  setup = robustness.attach(setup, folder, setup.corpus.manifest["fingerprint"])
  store = checkpoints.Checkpoints(folder, keep=config.checkpoint.keep)
  stopper = Stopper()
  try:
    position = Position(0, 0, 0, False)
    if store.latest() is not None:
      position = Position(**store.position())
      logging.info("resuming %s at %s", folder, position)
    if leader:
      workdir.keep_lines(
        folder / "metrics.jsonl",
        lambda row: (
          (row["stage"], row["epoch"] - 1) < (position.stage, position.epoch)
        ),
      )
    if not position.done:
      loop = _Loop(setup, folder, store, stopper, console, writer, source)
      if not loop.run(position):
        console.print(f"stopped and saved; the same command resumes {folder}")
        return False
  finally:
    stopper.close()
    store.close()
    writer.close()
  # All processes: the prediction is a program of the whole mesh.
  outcome = evaluate.evaluate(folder, split="validation", setup=setup)
  if leader:
    description = describe(setup)
    description["failed"] = outcome["failed"]
    description["seconds_since_last_start"] = round(time.time() - started, 1)
    workdir.write_json(folder / "run.json", description)
    console.print(results.to_rich(outcome))
    console.print(f"validation results: {folder / 'results'}")
  return True


class _Loop:
  """The host's part: it feeds, logs and saves."""

  def __init__(
    self,
    setup: experiment.Experiment,
    folder: pathlib.Path,
    store: checkpoints.Checkpoints,
    stopper: Stopper,
    console: rich.console.Console,
    writer: "_Events",
    source: pathlib.Path | None,
  ):
    self._source_workdir = source
    self._setup, self._folder, self._store = setup, folder, store
    self._stopper, self._console, self._writer = stopper, console, writer
    config = setup.config
    self._rows = [
      [len(setup.stage_rows(record, number)) for record in setup.records]
      for number in range(len(setup.system.stages))
    ]
    self._plans = [
      plan_epoch(
        rows, config.training.batch_size, config.training.steps_per_dispatch
      )
      for rows in self._rows
    ]
    self._runs = experiment.as_device(setup.runs, setup.mesh)
    self._source = setup.source
    self._validation = setup.rows("validation")
    self._failed: set[int] = set()

  def run(self, position: Position) -> bool:
    """Runs all stages from a position; False when asked to stop."""
    setup, state = self._setup, None
    batch = experiment.sample_batch(setup.config, setup.corpus)
    batch = program.place(batch, setup.mesh)
    for number, stage in enumerate(setup.system.stages):
      if number < position.stage:
        continue
      compiled = setup.program(number)
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

  def _take_over(self, target: training.RunState) -> training.RunState:
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

  def _pick(self, compiled: program.Program, state: training.RunState) -> None:
    """Picks unlabelled rows by what the stage before has learnt.

    Nothing of it is saved: what resumes predicts the same again.
    """
    rows = next(self._setup.feed(iter([self._setup.pool()])))
    prediction = compiled.predict(
      state.finished[-1], self._runs, self._source, rows
    )
    self._setup = self._setup.picked(program.fetch(prediction.logits))

  def _stage(
    self,
    number: int,
    stage: training.Stage,
    compiled: program.Program,
    state: training.RunState,
    position: Position,
  ) -> tuple[training.RunState, bool]:
    setup, epochs = self._setup, self._setup.section(number).epochs
    last_stage = number == len(setup.system.stages) - 1
    with _progress(self._console) as bars:
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
          setup.feed(self._chunks(number, epoch, first)), first
        ):
          state = compiled.train(state, self._runs, self._source, rows)
          if self._stopper.agreed():
            self._save(state, Position(number, epoch, chunk + 1, False))
            return state, False
        validation = next(setup.feed(iter([self._validation])))
        state, log = compiled.end_epoch(
          state, self._runs, self._source, validation
        )
        log = program.fetch(log)
        seconds = time.perf_counter() - begun
        self._report(number, stage, epoch, log, bars, task, seconds)
        over = bool(log["stopped"].all()) or epoch + 1 == epochs
        done = over and last_stage
        following = Position(number, epoch + 1, 0, done)
        asked = self._stopper.agreed() and not over
        every = setup.config.checkpoint.every_epochs
        if done or asked or (not over and (epoch + 1) % every == 0):
          self._save(state, following)
        if asked:
          return state, False
        if over:
          break
    return state, True

  def _chunks(self, stage: int, epoch: int, first: int) -> Iterator[np.ndarray]:
    plan, setup = self._plans[stage], self._setup
    if first >= plan.chunks:
      return
    rows = pipeline.stack_runs(
      [setup.epoch(record, stage, epoch) for record in setup.records],
      plan.chunks * plan.steps,
    )
    for chunk in range(first, plan.chunks):
      yield rows[:, chunk * plan.steps : (chunk + 1) * plan.steps]

  def _save(self, state: training.RunState, position: Position) -> None:
    stages = range(len(self._plans))
    epochs = 1 + max(self._setup.section(stage).epochs for stage in stages)
    chunks = 1 + max(plan.chunks for plan in self._plans)
    number = (position.stage * epochs + position.epoch) * chunks
    number += position.chunk
    # What was fitted is in a file of its own, and changes no more.
    runs = self._runs.replace(repair=None)
    self._store.save(number, state, runs, position._asdict())

  def _report(
    self,
    number: int,
    stage: training.Stage,
    epoch: int,
    log: dict[str, np.ndarray],
    bars: rich.progress.Progress,
    task: rich.progress.TaskID,
    seconds: float,
  ) -> None:
    rows = []
    for record in self._setup.records:
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
        rows.append(_row(number, stage, epoch, record, {"failed_step": failed}))
      if not log["live"][run]:
        continue
      values = {
        key: value[run].tolist()
        for key, value in log.items()
        if key.startswith(("train_", "validation_", "step"))
      }
      values["learning_rate"] = (
        float(self._setup.runs.learning_rate[run])
        * log["learning_rate_scale"][run].item()
      )
      rows.append(_row(number, stage, epoch, record, values))
    if jax.process_index() == 0:
      workdir.append_lines(self._folder / "metrics.jsonl", rows)
    self._writer.add(rows)
    live = log["live"]
    if live.any():
      select = self._setup.config.training.select
      examples = sum(
        self._rows[number][record.run]
        for record in self._setup.records
        if live[record.run]
      )
      bars.update(
        task,
        loss=f"{log['train_loss'][live].mean():.4f}",
        value=f"{select} {log[f'validation_{select}'][live].mean():.3f}",
        rate=f"{examples / seconds:,.0f} examples/s",
      )
    bars.update(task, completed=epoch + 1)


def _row(
  number: int,
  stage: training.Stage,
  epoch: int,
  record: layout.RunRecord,
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


def _progress(console: rich.console.Console) -> rich.progress.Progress:
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


def _event_writer(folder: pathlib.Path, wanted: bool) -> _Events:
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


def describe(setup: experiment.Experiment) -> dict[str, Any]:
  """What `run.json` says: the runs, and all that predicting needs."""
  corpus = setup.corpus
  return {
    "system": setup.config.system,
    "config_sha256": experiment.digest(setup.config),
    "dataset": corpus.dataset,
    "emotions": [
      {"name": name, "vector": vector.tolist()}
      for name, vector in zip(corpus.emotions, corpus.vectors, strict=True)
    ],
    "vectors_sha256": layout.digest(setup.runs.vectors),
    "modalities": {
      modality: {"dim": dim, "length": length}
      for modality, (length, dim) in corpus.shapes.items()
    },
    "stages": [stage.name for stage in setup.system.stages],
    "runs": [
      {
        "run": record.run,
        "seed": record.seed,
        "fold": record.fold.name,
        "setting": record.setting,
        "unseen": list(record.unseen),
        "samples": [
          corpus.columns["id"][rows].tolist() for rows in record.samples
        ],
        "rows": {
          "train": len(record.fold.train),
          "validation": len(record.fold.validation),
          "test": len(record.fold.test),
          "unlabelled": len(record.pool),
        },
      }
      for record in setup.records
    ],
    "mesh": dict(setup.mesh.shape),
    "environment": results.environment(),
    "command": " ".join(sys.argv),
    "failed": [],
  }


def _check_workdir(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> None:
  if not (folder / "config.json").exists():
    return
  before = experiment.comparable(workdir.read_config(folder).to_dict())
  now = experiment.comparable(config.to_dict())
  changed = sorted(_differences("config", before, now))
  if changed:
    raise errors.UserError(
      f"{folder} was begun with another config ({'; '.join(changed)}); use"
      " the same config to resume it, or another --workdir"
    )


def _check_source(setup: experiment.Experiment, source: pathlib.Path) -> None:
  """Refuses a workdir that does not end where the second stage begins."""
  if len(setup.system.stages) < 2:
    raise errors.UserError(
      "--source stands in for the first of several stages, got"
      f" config.few_shot.method {setup.config.few_shot.method!r}; leave it out"
    )
  config = workdir.read_config(source)
  method = config.few_shot.method
  before = experiment.comparable(config.to_dict())
  now = experiment.comparable(setup.config.to_dict())
  for each in (before, now):
    each.pop("few_shot")
  changed = sorted(_differences("config", before, now))
  if method != "none":
    changed.append(f"config.few_shot.method was {method!r}, expected 'none'")
  if changed:
    raise errors.UserError(
      f"--source={source} was trained with another config"
      f" ({'; '.join(changed)}); use one of the same config, or leave it out"
    )
  check_data(setup, source)
  store = checkpoints.Checkpoints(source)
  try:
    if not store.position()["done"]:
      raise errors.UserError(
        f"training in --source={source} has not finished; resume it first"
      )
  finally:
    store.close()


def _differences(key: str, before: Any, now: Any) -> Iterator[str]:
  if isinstance(before, dict) and isinstance(now, dict):
    for name in before.keys() | now.keys():
      yield from _differences(f"{key}.{name}", before.get(name), now.get(name))
  elif before != now:
    yield f"{key} was {before!r}, now {now!r}"


def check_data(setup: experiment.Experiment, folder: pathlib.Path) -> None:
  """Refuses a workdir that was begun on other data.

  Raises:
    UserError: The fingerprint of shards or word vectors is another.
  """
  if not (folder / "run.json").exists():
    return
  description = workdir.read_json(folder / "run.json")
  if description["vectors_sha256"] != layout.digest(setup.runs.vectors):
    raise errors.UserError(
      f"{folder} was begun with other word vectors of the emotions; use the"
      " same config.data.word_vectors, or another --workdir"
    )
  before, now = description["dataset"], setup.corpus.dataset
  for what, key in (("shards", ""), ("unlabelled shards", "unlabelled")):
    old, new = (each.get(key) if key else each for each in (before, now))
    if (old or {}).get("fingerprint") != (new or {}).get("fingerprint"):
      prints = [
        each["fingerprint"][:12] if each else "none" for each in (old, new)
      ]
      raise errors.UserError(
        f"{folder} was begun on {what} with fingerprint {prints[0]}, got"
        f" {prints[1]}; use the same shards, or another --workdir"
      )


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  config_flags.DEFINE_config_file("config", None, "FILE[:variant].")
  flags.DEFINE_string("workdir", None, "Where everything is written.")
  flags.DEFINE_bool(
    "tensorboard", False, "Also write event files to WORKDIR/tensorboard."
  )
  flags.DEFINE_string(
    "source",
    "",
    "Of a config with few-shot stages: a finished workdir of the same config"
    ' with --config.few_shot.method="none", which is its first stage.',
  )
  flags.DEFINE_string(
    "coordinator",
    "",
    "HOST:PORT of process 0, to train with several processes.",
  )
  flags.DEFINE_integer("num_processes", 1, "How many processes.")
  flags.DEFINE_integer("process_id", 0, "Which one this is.")
  flags.mark_flags_as_required(["config", "workdir"])


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  if flags.FLAGS.coordinator:
    jax.distributed.initialize(
      flags.FLAGS.coordinator, flags.FLAGS.num_processes, flags.FLAGS.process_id
    )
  train(
    flags.FLAGS.config,
    pathlib.Path(flags.FLAGS.workdir),
    console=rich.console.Console(stderr=True),
    tensorboard=flags.FLAGS.tensorboard,
    source=pathlib.Path(flags.FLAGS.source) if flags.FLAGS.source else None,
  )


if __name__ == "__main__":
  define_flags()
  errors.run(main)
