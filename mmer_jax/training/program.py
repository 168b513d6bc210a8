"""Compiles a stage: the step of one run, mapped over runs and devices.

Each function is written for one run (`_Stage`) and mapped over the runs of a
program: what `Program` offers takes and returns arrays with a leading runs
axis. The mesh has two axes: `runs` splits the runs, `data` splits every batch;
a loss is a function of the global batch whatever the mesh.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from mmer_jax.data import normalise, schema, tables
from mmer_jax.systems import interface, supervised
from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import selection
from mmer_jax.training import step as step_lib


class Program(NamedTuple):
  """Holds the compiled functions of one stage.

  Where the corpus is resident, `table` is all of it and `rows` are the numbers
  of the rows that a batch is gathered from. Where it streams, `table` is `()`
  and `rows` are the batches themselves.

  Attributes:
    mesh: Axes `runs` and `data`.
    number: Number of the stage, from 0.
    init: (runs, batch) -> state.
    restart: (state, runs, batch) -> state at the start of this stage, from the
      best parameters of the one before, or from new ones.
    train: (state, runs, table, rows (r K b)) -> state. Donates the state.
    end_epoch: (state, runs, table, rows (r V b)) -> (state, log). Donates
      the state.
    predict: (params, runs, table, rows (r V b)) -> Prediction (r V*b k).
  """

  mesh: Mesh
  number: int
  init: Callable[..., step_lib.RunState]
  restart: Callable[..., step_lib.RunState]
  train: Callable[..., step_lib.RunState]
  end_epoch: Callable[..., tuple[step_lib.RunState, dict[str, Array]]]
  predict: Callable[..., interface.Prediction]


def build_program(
  system: interface.System,
  number: int,
  rules: interface.TrainingRules,
  mesh: Mesh,
  *,
  resident: bool,
  visible_modalities: Sequence[str] | None = None,
  input_transform: interface.InputTransform | None = None,
) -> Program:
  """Prepares the functions of a stage; each is compiled at its first call.

  Args:
    system: The model and its stages.
    number: Number of the stage, from 0.
    rules: Rules of selection and early stopping, which the runs share.
    mesh: The devices, from `make_mesh`.
    resident: Whether rows are gathered on the device, or batches are passed.
    visible_modalities: The modalities that `predict` may see; None for all.
    input_transform: Changes every normalised batch before the system sees it;
      None for nothing.

  Returns:
    The functions, over all runs.
  """
  over_runs = NamedSharding(mesh, PartitionSpec("runs"))
  fetched = mesh_lib.fetched(mesh)
  stage = _Stage(
    system=system,
    number=number,
    rules=rules,
    resident=resident,
    visible_modalities=visible_modalities,
    input_transform=input_transform,
    over_batch=NamedSharding(mesh, PartitionSpec("data")),
  )

  def over(fn: Callable[..., Any], *axes: int | None) -> Callable[..., Any]:
    return jax.vmap(fn, in_axes=axes, spmd_axis_name="runs")

  return Program(
    mesh=mesh,
    number=number,
    init=jax.jit(over(stage.init, 0, None), out_shardings=over_runs),
    restart=jax.jit(over(stage.restart, 0, 0, None), out_shardings=over_runs),
    train=jax.jit(
      over(stage.train, 0, 0, None, 0),
      out_shardings=over_runs,
      donate_argnums=0,
    ),
    end_epoch=jax.jit(
      over(stage.end_epoch, 0, 0, None, 0),
      out_shardings=(over_runs, fetched),
      donate_argnums=0,
    ),
    predict=jax.jit(over(stage.predict, 0, 0, None, 0), out_shardings=fetched),
  )


class _Stage(NamedTuple):
  """Trains and validates one run in one stage; `build_program` maps it.

  Attributes:
    system: As in `build_program`, like all others but the last.
    number: Number of the stage, from 0.
    rules: Rules of selection and early stopping.
    resident: Whether rows are gathered on the device.
    visible_modalities: The modalities that `predict` may see; None for all.
    input_transform: Changes every normalised batch; None for nothing.
    over_batch: Splits the rows of a batch over the devices.
  """

  system: interface.System
  number: int
  rules: interface.TrainingRules
  resident: bool
  visible_modalities: Sequence[str] | None
  input_transform: interface.InputTransform | None
  over_batch: NamedSharding

  @property
  def stage(self) -> interface.Stage:
    """The system's stage of this number."""
    return self.system.stages[self.number]

  def batch(
    self,
    table: Any,
    rows: Any,
    run: interface.RunSettings,
    *,
    trained: bool = False,
    visible_modalities: Sequence[str] | None = None,
  ) -> schema.Batch:
    """Makes the batch that the system sees."""
    batch = view(
      table,
      rows,
      run,
      resident=self.resident,
      visible_modalities=visible_modalities,
    )
    if self.input_transform is not None:
      batch = self.input_transform(table, run, batch, trained)
    return jax.lax.with_sharding_constraint(batch, self.over_batch)

  def init(
    self, run: interface.RunSettings, batch: schema.Batch
  ) -> step_lib.RunState:
    """Draws the parameters of a run before its first stage."""
    key = step_lib.stream_key(run.seed, "init", 0)
    params = self.system.init(key, batch, run.vectors)
    return step_lib.init_run(
      params, _terms(self.stage, params, batch, run), self.stage.optimizer
    )

  def restart(
    self,
    state: step_lib.RunState,
    run: interface.RunSettings,
    batch: schema.Batch,
  ) -> step_lib.RunState:
    """Begins this stage with what the one before has selected."""
    params = selected = state.best_params
    if self.stage.fresh:
      key = step_lib.stream_key(run.seed, "init", self.number)
      params = self.system.init(key, batch, run.vectors)
    fresh = step_lib.init_run(
      params,
      _terms(self.stage, params, batch, run),
      self.stage.optimizer,
      state.train.step,
      (*state.finished, selected),
    )
    # A run that failed stays so, and one that selected nothing, because its
    # validation loss was never finite, has failed: there is nothing to go on
    # from.
    progress = state.progress
    selected_none = (progress.best_epoch == 0) & (progress.epoch > 0)
    failed = jnp.where(
      selected_none & (progress.failed_step < 0),
      state.train.step,
      progress.failed_step,
    )
    return fresh.replace(
      progress=fresh.progress.replace(failed_step=failed, stopped=failed >= 0)
    )

  def train(
    self,
    state: step_lib.RunState,
    run: interface.RunSettings,
    table: Any,
    rows: Any,
  ) -> step_lib.RunState:
    """Takes one step per batch of `rows`."""

    def step(
      state: step_lib.RunState, row: Any
    ) -> tuple[step_lib.RunState, None]:
      batch = self.batch(table, row, run, trained=True)
      return step_lib.train_step(self.stage, state, batch, run), None

    return jax.lax.scan(step, state, rows)[0]

  def end_epoch(
    self,
    state: step_lib.RunState,
    run: interface.RunSettings,
    table: Any,
    rows: Any,
  ) -> tuple[step_lib.RunState, dict[str, Array]]:
    """Validates on `rows`, then selects, lowers the rate and stops."""
    # The rows of validation have the labels of all that was taught.
    known = run.known[: self.number + 1].any(axis=0)
    run = run.replace(
      known=jnp.broadcast_to(known, run.known.shape),
      epoch=state.progress.epoch,
    )
    validation = self._validate(state.train.params, run, table, rows, known)
    return selection.end_epoch(self.rules, state, validation)

  def _validate(
    self,
    params: interface.Params,
    run: interface.RunSettings,
    table: Any,
    rows: Any,
    known: Array,
  ) -> selection.Validation:
    predict = self.stage.predict or self.system.predict

    def one(_: None, row: Any) -> tuple[None, tuple[Array, ...]]:
      batch = self.batch(table, row, run)
      mask = batch.example_mask & batch.labelled
      logits = supervised.in_own_scale(
        predict(params, batch, run.vectors).logits,
        run.rating_mean,
        run.rating_scale,
      )
      loss, _ = self.stage.loss(params, batch, run, None)
      count = mask.sum().astype(jnp.float32)
      return None, (logits, batch.labels, mask, loss * count, count)

    _, (logits, labels, mask, losses, counts) = jax.lax.scan(one, None, rows)
    return selection.Validation(
      logits=logits.reshape(-1, logits.shape[-1]),
      labels=labels.reshape(-1, labels.shape[-1]),
      mask=mask.reshape(-1),
      known=known,
      loss=losses.sum() / jnp.maximum(counts.sum(), 1.0),
    )

  def predict(
    self,
    params: interface.Params,
    run: interface.RunSettings,
    table: Any,
    rows: Any,
  ) -> interface.Prediction:
    """Predicts for `rows` from the modalities that may be seen."""
    predict = self.stage.predict or self.system.predict

    def one(_: None, row: Any) -> tuple[None, interface.Prediction]:
      batch = self.batch(
        table, row, run, visible_modalities=self.visible_modalities
      )
      prediction = predict(params, batch, run.vectors)
      own = supervised.in_own_scale(
        prediction.logits, run.rating_mean, run.rating_scale
      )
      return None, prediction._replace(logits=own)

    prediction = jax.lax.scan(one, None, rows)[1]
    return jax.tree.map(
      lambda x: x.reshape(-1, *x.shape[2:]).astype(jnp.float32), prediction
    )


def view(
  table: Any,
  rows: Any,
  run: interface.RunSettings,
  *,
  resident: bool,
  visible_modalities: Sequence[str] | None = None,
) -> schema.Batch:
  """Normalises a batch and drops modalities that the run may not see.

  Args:
    table: The resident corpus, or `()`.
    rows: Row numbers of one batch in `table`, or the batch itself.
    run: Settings of one run.
    resident: Whether `rows` are numbers.
    visible_modalities: The modalities to keep; None for all that the run sees.
  """
  batch = tables.take(table, rows) if resident else rows
  batch = normalise.normalise(batch, run.mean, run.scale)
  batch = normalise.keep_modalities(batch, run.keep)
  if visible_modalities is None:
    return batch
  seen = {name: name in visible_modalities for name in batch.streams}
  return normalise.keep_modalities(batch, seen)


def abstract_state(
  program: Program, runs: interface.RunSettings, batch: schema.Batch
) -> step_lib.RunState:
  """Describes the state without computing it, for restoring a checkpoint.

  Returns:
    Shapes, dtypes and shardings in the place of arrays.
  """
  state = jax.eval_shape(program.init, runs, batch)
  state = state.replace(finished=(state.best_params,) * program.number)
  return mesh_lib.abstract(state, program.mesh, "runs")


def _terms(
  stage: interface.Stage,
  params: interface.Params,
  batch: schema.Batch,
  run: interface.RunSettings,
) -> tuple[str, ...]:
  """Names what the stage's loss logs beside its value."""
  terms = jax.eval_shape(
    lambda params: stage.loss(params, batch, run, None)[1], params
  )
  return tuple(sorted(terms))
