"""All runs of a program, compiled: `training` mapped over runs and devices.

Every function here takes and returns arrays with a leading runs axis. The
mesh has two axes: `runs` splits the runs, `data` splits every batch; a loss is
a function of the global batch whatever the mesh.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from mmer_jax.data import normalise, schema, tables
from mmer_jax.systems import interface
from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import selection
from mmer_jax.training import step as step_lib


class Program(NamedTuple):
  """The compiled functions of one stage.

  `source` is what the rows are gathered from: the resident table and an array
  of row numbers, or `()` and the batches themselves where they stream.

  Attributes:
    mesh: Axes `runs` and `data`.
    number: Of the stage, from 0.
    init: (runs, batch) -> state.
    restart: (state) -> state at the start of this stage, from the best
      parameters of the one before, or from new ones.
    train: (state, runs, source, rows (r K b)) -> state. Donates the state.
    end_epoch: (state, runs, source, rows (r V b)) -> (state, log). Donates
      the state.
    predict: (params, runs, source, rows (r V b)) -> Prediction (r V*b k).
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
  """Compiles nothing yet: jit does at the first call of each function.

  Args:
    system: The paper.
    number: Which of its stages, from 0.
    rules: Shared by the runs.
    mesh: From `make_mesh`.
    resident: Whether rows are gathered on the device, or batches are passed.
    visible_modalities: The modalities that `predict` may see; None for all.
    input_transform: What becomes of every normalised batch before the system sees it;
      None for nothing.

  Returns:
    The functions.
  """
  stage = system.stages[number]
  predict_fn = stage.predict or system.predict
  over_runs = NamedSharding(mesh, PartitionSpec("runs"))
  everywhere = mesh_lib.replicated(mesh)
  over_batch = NamedSharding(mesh, PartitionSpec("data"))

  def batch_of(
    source: Any,
    rows: Any,
    run: interface.RunSettings,
    *,
    trained: bool = False,
    visible_modalities: Sequence[str] | None = None,
  ) -> schema.Batch:
    batch = view(
      source,
      rows,
      run,
      resident=resident,
      visible_modalities=visible_modalities,
    )
    if input_transform is not None:
      batch = input_transform(source, run, batch, trained)
    return jax.lax.with_sharding_constraint(batch, over_batch)

  def over(fn: Callable[..., Any], *axes: int | None) -> Callable[..., Any]:
    return jax.vmap(fn, in_axes=axes, spmd_axis_name="runs")

  def init(
    run: interface.RunSettings, batch: schema.Batch
  ) -> step_lib.RunState:
    key = step_lib.stream_key(run.seed, "init", 0)
    params = system.init(key, batch, run.vectors)
    return step_lib.init_run(
      params, _terms(stage, params, batch, run), stage.optimizer
    )

  def restart(
    state: step_lib.RunState, run: interface.RunSettings, batch: schema.Batch
  ) -> step_lib.RunState:
    params = selected = state.best_params
    if stage.fresh:
      key = step_lib.stream_key(run.seed, "init", number)
      params = system.init(key, batch, run.vectors)
    fresh = step_lib.init_run(
      params,
      _terms(stage, params, batch, run),
      stage.optimizer,
      state.train.step,
      (*state.finished, selected),
    )
    # A run that failed stays so: there is nothing to go on from.
    failed = state.progress.failed_step
    return fresh.replace(
      progress=fresh.progress.replace(failed_step=failed, stopped=failed >= 0)
    )

  def train(
    state: step_lib.RunState, run: interface.RunSettings, source: Any, rows: Any
  ) -> step_lib.RunState:
    def step(
      state: step_lib.RunState, row: Any
    ) -> tuple[step_lib.RunState, None]:
      batch = batch_of(source, row, run, trained=True)
      return step_lib.train_step(stage, state, batch, run), None

    return jax.lax.scan(step, state, rows)[0]

  def end_epoch(
    state: step_lib.RunState, run: interface.RunSettings, source: Any, rows: Any
  ) -> tuple[step_lib.RunState, dict[str, Array]]:
    params = state.train.params
    # The rows of validation have the labels of all that was taught.
    known = run.known[: number + 1].any(axis=0)
    run = run.replace(
      known=jnp.broadcast_to(known, run.known.shape),
      epoch=state.progress.epoch,
    )

    def one(_: None, row: Any) -> tuple[None, tuple[Array, ...]]:
      batch = batch_of(source, row, run)
      mask = batch.example_mask & batch.labelled
      logits = predict_fn(params, batch, run.vectors).logits
      loss, _ = stage.loss(params, batch, run, None)
      count = mask.sum().astype(jnp.float32)
      return None, (logits, batch.labels, mask, loss * count, count)

    _, (logits, labels, mask, losses, counts) = jax.lax.scan(one, None, rows)
    validation = selection.Validation(
      logits=logits.reshape(-1, logits.shape[-1]),
      labels=labels.reshape(-1, labels.shape[-1]),
      mask=mask.reshape(-1),
      known=known,
      loss=losses.sum() / jnp.maximum(counts.sum(), 1.0),
    )
    return selection.end_epoch(rules, state, validation)

  def predict(
    params: Any, run: interface.RunSettings, source: Any, rows: Any
  ) -> interface.Prediction:
    def one(_: None, row: Any) -> tuple[None, interface.Prediction]:
      batch = batch_of(source, row, run, visible_modalities=visible_modalities)
      return None, predict_fn(params, batch, run.vectors)

    prediction = jax.lax.scan(one, None, rows)[1]
    return jax.tree.map(
      lambda x: x.reshape(-1, *x.shape[2:]).astype(jnp.float32), prediction
    )

  return Program(
    mesh=mesh,
    number=number,
    init=jax.jit(over(init, 0, None), out_shardings=over_runs),
    restart=jax.jit(over(restart, 0, 0, None), out_shardings=over_runs),
    train=jax.jit(
      over(train, 0, 0, None, 0), out_shardings=over_runs, donate_argnums=0
    ),
    end_epoch=jax.jit(
      over(end_epoch, 0, 0, None, 0),
      out_shardings=(over_runs, everywhere),
      donate_argnums=0,
    ),
    predict=jax.jit(over(predict, 0, 0, None, 0), out_shardings=everywhere),
  )


def view(
  source: Any,
  rows: Any,
  run: interface.RunSettings,
  *,
  resident: bool,
  visible_modalities: Sequence[str] | None = None,
) -> schema.Batch:
  """A batch as a run sees it: normalised, without what it is to do without.

  Args:
    source: See `Program`.
    rows: Likewise, of one batch.
    run: Of one run.
    resident: As of `build`.
    visible_modalities: As of `build`.
  """
  batch = tables.take(source, rows) if resident else rows
  batch = normalise.normalise(batch, run.mean, run.scale)
  batch = normalise.keep_modalities(batch, run.keep)
  if visible_modalities is None:
    return batch
  seen = {name: name in visible_modalities for name in batch.streams}
  return normalise.keep_modalities(batch, seen)


def abstract_state(
  program: Program, runs: interface.RunSettings, batch: schema.Batch
) -> step_lib.RunState:
  """Shapes, dtypes and shardings of the state, for restoring a checkpoint."""
  sharding = NamedSharding(program.mesh, PartitionSpec("runs"))
  state = jax.eval_shape(program.init, runs, batch)
  state = state.replace(finished=(state.best_params,) * program.number)
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=sharding
    ),
    state,
  )


def _terms(
  stage: interface.Stage,
  params: Any,
  batch: schema.Batch,
  run: interface.RunSettings,
) -> tuple[str, ...]:
  terms = jax.eval_shape(
    lambda params: stage.loss(params, batch, run, None)[1], params
  )
  return tuple(sorted(terms))
