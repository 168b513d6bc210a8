"""All runs of a program, compiled: `training` mapped over runs and devices.

Every function here takes and returns arrays with a leading runs axis. The
mesh has two axes: `runs` splits the runs, `data` splits every batch; a loss is
a function of the global batch whatever the mesh.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from mmer_jax import errors, training
from mmer_jax.data import pipeline, schema

# (source, run, batch, whether it is trained on) -> what the system sees.
FrontFn = Callable[[Any, training.Runs, schema.Batch, bool], schema.Batch]


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
  init: Callable[..., training.RunState]
  restart: Callable[..., training.RunState]
  train: Callable[..., training.RunState]
  end_epoch: Callable[..., tuple[training.RunState, dict[str, Array]]]
  predict: Callable[..., training.Prediction]


def make_mesh(runs: int, batch_size: int, *, over_runs: int, over_data: int):
  """Lays the devices over the runs and over each batch.

  Args:
    runs: How many runs the program has.
    batch_size: Examples per batch.
    over_runs: Devices along the runs; 0 for as many as divide them.
    over_data: Devices along each batch; 0 for the rest, as many as divide it.

  Returns:
    A mesh over the first `over_runs * over_data` devices.

  Raises:
    UserError: The devices do not suffice, or do not divide runs or batch.
  """
  devices = jax.devices()
  if not over_runs:
    free = len(devices) // (over_data or 1)
    over_runs = max(n for n in range(1, max(free, 1) + 1) if runs % n == 0)
  if not over_data:
    free = len(devices) // over_runs
    over_data = max(
      n for n in range(1, max(free, 1) + 1) if batch_size % n == 0
    )
  if over_runs * over_data > len(devices):
    raise errors.UserError(
      f"config.mesh asks for {over_runs} x {over_data} devices, got"
      f" {len(devices)}; set config.mesh.runs and config.mesh.data to 0"
    )
  for name, axis, size in (
    ("runs", over_runs, runs),
    ("data", over_data, batch_size),
  ):
    if size % axis:
      raise errors.UserError(
        f"config.mesh.{name} is {axis}, which does not divide {size}"
        f" ({'runs' if name == 'runs' else 'config.training.batch_size'});"
        f" set config.mesh.{name}=0"
      )
  count = over_runs * over_data
  if jax.process_count() > 1 and count != len(devices):
    raise errors.UserError(
      f"a mesh of {over_runs} x {over_data} leaves devices of"
      f" {jax.process_count()} processes without work, expected all"
      f" {len(devices)}; change config.training.batch_size"
    )
  return jax.make_mesh(
    (over_runs, over_data),
    ("runs", "data"),
    axis_types=(AxisType.Auto, AxisType.Auto),
    devices=devices[:count],
  )


def place(tree: Any, mesh: Mesh, *axes: str | None) -> Any:
  """Puts host arrays on the mesh, split along the named axes.

  Every process passes the same arrays and keeps what is its own.
  """

  def put(leaf: Any) -> Array:
    host = np.asarray(leaf)
    sharding = NamedSharding(mesh, PartitionSpec(*axes[: host.ndim]))
    return jax.make_array_from_callback(
      host.shape, sharding, lambda index: host[index]
    )

  return jax.tree.map(put, tree)


def replicated(mesh: Mesh) -> NamedSharding:
  """Every device has all of it."""
  return NamedSharding(mesh, PartitionSpec())


def fetch(tree: Any) -> Any:
  """Brings replicated arrays to the host."""
  return jax.tree.map(np.asarray, jax.device_get(tree))


def build(
  system: training.System,
  number: int,
  rules: training.Rules,
  mesh: Mesh,
  *,
  resident: bool,
  keep: Sequence[str] | None = None,
  front: FrontFn | None = None,
) -> Program:
  """Compiles nothing yet: jit does at the first call of each function.

  Args:
    system: The paper.
    number: Which of its stages, from 0.
    rules: Shared by the runs.
    mesh: From `make_mesh`.
    resident: Whether rows are gathered on the device, or batches are passed.
    keep: The modalities that `predict` may see; None for all.
    front: What becomes of every normalised batch before the system sees it;
      None for nothing.

  Returns:
    The functions.
  """
  stage = system.stages[number]
  predict_fn = stage.predict or system.predict
  over_runs = NamedSharding(mesh, PartitionSpec("runs"))
  everywhere = replicated(mesh)
  over_batch = NamedSharding(mesh, PartitionSpec("data"))

  def batch_of(
    source: Any,
    rows: Any,
    run: training.Runs,
    *,
    trained: bool = False,
    keep: Sequence[str] | None = None,
  ) -> schema.Batch:
    batch = view(source, rows, run, resident=resident, keep=keep)
    if front is not None:
      batch = front(source, run, batch, trained)
    return jax.lax.with_sharding_constraint(batch, over_batch)

  def over(fn: Callable[..., Any], *axes: int | None) -> Callable[..., Any]:
    return jax.vmap(fn, in_axes=axes, spmd_axis_name="runs")

  def init(run: training.Runs, batch: schema.Batch) -> training.RunState:
    key = training.stream_key(run.seed, "init", 0)
    params = system.init(key, batch, run.vectors)
    return training.init_run(
      params, _terms(stage, params, batch, run), stage.optimizer
    )

  def restart(
    state: training.RunState, run: training.Runs, batch: schema.Batch
  ) -> training.RunState:
    params = selected = state.best_params
    if stage.fresh:
      key = training.stream_key(run.seed, "init", number)
      params = system.init(key, batch, run.vectors)
    fresh = training.init_run(
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
    state: training.RunState, run: training.Runs, source: Any, rows: Any
  ) -> training.RunState:
    def step(
      state: training.RunState, row: Any
    ) -> tuple[training.RunState, None]:
      batch = batch_of(source, row, run, trained=True)
      return training.train_step(stage, state, batch, run.vectors, run), None

    return jax.lax.scan(step, state, rows)[0]

  def end_epoch(
    state: training.RunState, run: training.Runs, source: Any, rows: Any
  ) -> tuple[training.RunState, dict[str, Array]]:
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
      loss, _ = stage.loss(params, batch, run.vectors, run, None)
      count = mask.sum().astype(jnp.float32)
      return None, (logits, batch.labels, mask, loss * count, count)

    _, (logits, labels, mask, losses, counts) = jax.lax.scan(one, None, rows)
    validation = training.Validation(
      logits=logits.reshape(-1, logits.shape[-1]),
      labels=labels.reshape(-1, labels.shape[-1]),
      mask=mask.reshape(-1),
      known=known,
      loss=losses.sum() / jnp.maximum(counts.sum(), 1.0),
    )
    return training.end_epoch(rules, state, validation)

  def predict(
    params: Any, run: training.Runs, source: Any, rows: Any
  ) -> training.Prediction:
    def one(_: None, row: Any) -> tuple[None, training.Prediction]:
      batch = batch_of(source, row, run, keep=keep)
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
  run: training.Runs,
  *,
  resident: bool,
  keep: Sequence[str] | None = None,
) -> schema.Batch:
  """A batch as a run sees it: normalised, without what it is to do without.

  Args:
    source: See `Program`.
    rows: Likewise, of one batch.
    run: Of one run.
    resident: As of `build`.
    keep: As of `build`.
  """
  batch = pipeline.take(source, rows) if resident else rows
  batch = pipeline.normalise(batch, run.mean, run.scale)
  batch = pipeline.keep_modalities(batch, run.keep)
  if keep is None:
    return batch
  seen = {name: name in keep for name in batch.streams}
  return pipeline.keep_modalities(batch, seen)


def abstract_state(
  program: Program, runs: training.Runs, batch: schema.Batch
) -> training.RunState:
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
  stage: training.Stage,
  params: Any,
  batch: schema.Batch,
  run: training.Runs,
) -> tuple[str, ...]:
  terms = jax.eval_shape(
    lambda params: stage.loss(params, batch, run.vectors, run, None)[1], params
  )
  return tuple(sorted(terms))
