"""Measures the training step and the prediction of a config on random inputs.

A dispatch is one call of the compiled chunk of steps; the time of a step is
that of its dispatch over the steps in it. Nothing is read while the clock runs.
"""

import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from mmer_jax.base import environment, errors, progress
from mmer_jax.core import lstm
from mmer_jax.data import normalise, schema, tables
from mmer_jax.experiment import build, fit, provenance, ranges, validate
from mmer_jax.systems import interface
from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import program, random_inputs
from mmer_jax.training import step as step_lib


@progress.doing("preparing")
def benchmark(
  config: ml_collections.ConfigDict,
  *,
  runs: int,
  dispatches: int,
  steps: int = 0,
  stage: int = 0,
  trace: str = "",
) -> dict[str, Any]:
  """Times the training step of a config, and its prediction.

  Args:
    config: A config of `configs/`.
    runs: How many runs share the program.
    dispatches: How many are timed, after the first.
    steps: Steps per dispatch; 0 for the config's.
    stage: Number of the stage, from 0.
    trace: Folder for a profile of three more dispatches; empty for none.

  Returns:
    The content of the JSON file: seconds, examples, FLOPs and bytes.

  Raises:
    UserError: A count is not positive, or the stage cannot be timed.
  """
  setting = _prepare(config, runs, dispatches, steps, stage)
  dtype = jnp.dtype(config.compute_dtype)
  batch_size = config.training.batch_size
  # Before and after: what else the machine does may come and go.
  before = _matmul_peak(dtype)
  timing = _time_training(setting, dispatches, trace)
  alone = _predict_seconds(setting, timing.state, 1, dispatches)
  together = _predict_seconds(setting, timing.state, batch_size, dispatches)
  peak_memory, memory_source = _peak_memory()
  peak = max(before, _matmul_peak(dtype))
  peak *= int(np.prod(list(setting.mesh.shape.values())))
  median = float(np.median(timing.step_seconds))
  flops = runs * _step_flops(setting)
  params = jax.tree.leaves(timing.state.best_params)
  return {
    **_describe(config, setting, dispatches),
    "parameters": sum(leaf[0].size for leaf in params),
    "compile_seconds": timing.compile_seconds,
    "first_dispatch_seconds": timing.first_seconds,
    "step_seconds": _median_and_p90(timing.step_seconds),
    "examples_per_second": batch_size / median,
    "runs_examples_per_second": runs * batch_size / median,
    "predict_batch_1_seconds": _median_and_p90(alone),
    "predict_examples_per_second": batch_size / float(np.median(together)),
    "flops_per_step": flops,
    "achieved_flops_per_second": flops / median,
    "matmul_peak_flops_per_second": peak,
    "share_of_peak": flops / median / peak,
    "peak_memory_bytes": peak_memory,
    "peak_memory_source": memory_source,
    "environment": environment.environment(),
  }


class _Setting(NamedTuple):
  """Holds what is timed, and on what.

  Attributes:
    system: The model and its stages.
    number: Number of the timed stage, from 0.
    rules: Rules of selection and early stopping.
    mesh: The devices.
    table: A random corpus.
    runs: Settings of the runs.
    steps: Steps per dispatch.
    width: Rows per step, with all that a stage puts behind a batch.
  """

  system: interface.System
  number: int
  rules: interface.TrainingRules
  mesh: jax.sharding.Mesh
  table: schema.Batch
  runs: interface.RunSettings
  steps: int
  width: int

  @property
  def stage(self) -> interface.Stage:
    """The timed stage."""
    return self.system.stages[self.number]


def _prepare(
  config: ml_collections.ConfigDict,
  runs: int,
  dispatches: int,
  steps: int,
  number: int,
) -> _Setting:
  """Checks what is asked for and draws the inputs."""
  fit.fit_to_corpus(config)
  rules = validate.make_rules(config)
  ranges.check_ranges(config)
  for name, value in (("runs", runs), ("dispatches", dispatches)):
    if value < 1:
      raise errors.UserError(f"--{name} is {value}, expected at least 1")
  system = build.build_system(config)
  stage = _find_stage(system, number)
  table, vectors = random_inputs.random_table(config)
  batch_size = config.training.batch_size
  width = batch_size * (1 + stage.unlabelled) * (1 + stage.following)
  width *= 1 + (stage.negatives is not None)
  return _Setting(
    system=system,
    number=number,
    rules=rules,
    mesh=mesh_lib.make_mesh(
      runs, batch_size, over_runs=config.mesh.runs, over_data=config.mesh.data
    ),
    table=table,
    runs=random_inputs.same_runs(config, table, vectors, runs),
    steps=steps or config.training.steps_per_dispatch,
    width=width,
  )


def _find_stage(system: interface.System, number: int) -> interface.Stage:
  """Looks a stage up by its number; refuses one that needs a memory."""
  if not 0 <= number < len(system.stages):
    raise errors.UserError(
      f"--stage is {number}, expected one of the config's 0 to"
      f" {len(system.stages) - 1}"
    )
  if system.stages[number].gradient is not None:
    raise errors.UserError(
      f"--stage is {number}, whose batches hold a memory that the benchmark"
      " does not make up; use benchmarks/gem_step.py"
    )
  return system.stages[number]


class _Timing(NamedTuple):
  """Holds the seconds of training, and its last state."""

  state: step_lib.RunState
  compile_seconds: float
  first_seconds: float
  step_seconds: list[float]


def _time_training(setting: _Setting, dispatches: int, trace: str) -> _Timing:
  """Compiles the chunk of steps and times its dispatches."""
  mesh = setting.mesh
  compiled = program.build_program(
    setting.system, setting.number, setting.rules, mesh, resident=True
  )
  table = mesh_lib.place(setting.table, mesh)
  runs = mesh_lib.place(setting.runs, mesh, "runs")
  rows = np.random.default_rng(0).integers(
    len(setting.table.example_mask),
    size=(len(setting.runs.seed), setting.steps, setting.width),
    dtype=np.int32,
  )
  rows = mesh_lib.place(rows, mesh, "runs", None, "data")
  state = compiled.init(runs, mesh_lib.place(_first_batch(setting), mesh))
  begun = time.perf_counter()
  with progress.doing("compiling"):
    train = compiled.train.lower(state, runs, table, rows).compile()
  compile_seconds = time.perf_counter() - begun

  def dispatch(state: step_lib.RunState) -> tuple[step_lib.RunState, float]:
    begun = time.perf_counter()
    state = jax.block_until_ready(train(state, runs, table, rows))
    return state, time.perf_counter() - begun

  state, first = dispatch(state)
  seconds = []
  for _ in progress.each(range(dispatches), "timing", dispatches, "dispatches"):
    state, taken = dispatch(state)
    seconds.append(taken / setting.steps)
  if trace:
    with jax.profiler.trace(trace):
      for _ in range(3):
        state, _ = dispatch(state)
  return _Timing(state, compile_seconds, first, seconds)


@progress.doing("timing predictions")
def _predict_seconds(
  setting: _Setting, state: step_lib.RunState, rows: int, calls: int
) -> list[float]:
  """Times the prediction of one run, from host arrays to host arrays."""
  params, run = jax.device_put(
    jax.tree.map(
      lambda leaf: np.asarray(leaf)[0], (state.best_params, setting.runs)
    )
  )

  @jax.jit
  def predict(
    params: Any, batch: schema.Batch, run: interface.RunSettings
  ) -> Any:
    batch = normalise.normalise(batch, run.mean, run.scale)
    return setting.system.predict(params, batch, run.vectors)

  batch = tables.take(setting.table, np.arange(rows, dtype=np.int32))

  def once() -> float:
    begun = time.perf_counter()
    jax.device_get(predict(params, batch, run))
    return time.perf_counter() - begun

  once()
  return [once() for _ in range(calls)]


def _step_flops(setting: _Setting) -> float:
  """Asks XLA for the FLOPs of one step of one run.

  XLA counts the body of a loop once, whatever its trip count, so the count is
  taken of a step whose recurrent loops are unrolled.
  """
  run = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), setting.runs)
  batch = _first_batch(setting)
  stage = setting.stage

  def init(
    run: interface.RunSettings, batch: schema.Batch
  ) -> step_lib.RunState:
    key = step_lib.stream_key(run.seed, "init", 0)
    params = setting.system.init(key, batch, run.vectors)
    terms = stage.loss(params, batch, run, None)[1]
    return step_lib.init_run(params, sorted(terms))

  state = jax.eval_shape(init, run, batch)
  with lstm.unroll_scans():
    lowered = jax.jit(
      lambda state, batch, run: step_lib.train_step(stage, state, batch, run)
    ).lower(state, batch, run)
  return float(lowered.cost_analysis()["flops"])


def _first_batch(setting: _Setting) -> schema.Batch:
  """Gives a batch of the shapes of a step."""
  return tables.take(setting.table, np.zeros(setting.width, np.int32))


@progress.doing("timing matrix products")
def _matmul_peak(dtype: jnp.dtype) -> float:
  """Measures the FLOP/s of large square matmuls on one device, the best."""
  size = 2048 if jax.default_backend() == "cpu" else 8192
  a = jnp.ones((size, size), dtype)
  multiply = jax.jit(lambda a: a @ a)

  def once(fn: Callable[[jax.Array], jax.Array]) -> float:
    begun = time.perf_counter()
    jax.block_until_ready(fn(a))
    return time.perf_counter() - begun

  once(multiply)
  return 2 * size**3 / min(once(multiply) for _ in range(10))


def _peak_memory() -> tuple[int, str]:
  """Reads the most bytes held so far, and says who counted them."""
  stats = jax.devices()[0].memory_stats()
  if stats and "peak_bytes_in_use" in stats:
    return int(stats["peak_bytes_in_use"]), "first device"
  kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return kib * 1024, "resident set of the process"


def _median_and_p90(seconds: list[float]) -> dict[str, float]:
  """Summarises times by their median and their 90th percentile."""
  return {
    "median": float(np.median(seconds)),
    "p90": float(np.percentile(seconds, 90)),
  }


def _describe(
  config: ml_collections.ConfigDict, setting: _Setting, dispatches: int
) -> dict[str, Any]:
  """Describes what was timed."""
  return {
    "system": config.system,
    "config_sha256": provenance.config_digest(config),
    "compute_dtype": config.compute_dtype,
    "runs": len(setting.runs.seed),
    "stage": setting.stage.name,
    "batch_size": config.training.batch_size,
    "rows_per_step": setting.width,
    "steps_per_dispatch": setting.steps,
    "dispatches": dispatches,
    "mesh": dict(setting.mesh.shape),
    "shapes": {
      modality: list(stream.features.shape[1:])
      for modality, stream in setting.table.streams.items()
    },
  }
