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
from mmer_jax.data import normalise, schema, tables
from mmer_jax.systems import interface
from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import step as step_lib
from mmer_jax.training import workload as workload_lib


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
  if dispatches < 1:
    raise errors.UserError(f"--dispatches is {dispatches}, expected at least 1")
  workload = workload_lib.prepare(config, runs=runs, steps=steps, stage=stage)
  dtype = jnp.dtype(config.compute_dtype)
  batch_size = config.training.batch_size
  # Before and after: what else the machine does may come and go.
  before = _matmul_peak(dtype)
  timing = _time_training(workload, dispatches, trace)
  alone = _predict_seconds(workload, timing.state, 1, dispatches)
  together = _predict_seconds(workload, timing.state, batch_size, dispatches)
  peak_memory, memory_source = _peak_memory()
  peak = max(before, _matmul_peak(dtype))
  peak *= int(np.prod(list(workload.mesh.shape.values())))
  median = float(np.median(timing.step_seconds))
  flops = runs * workload_lib.step_flops(workload)
  params = jax.tree.leaves(timing.state.best_params)
  return {
    **workload_lib.describe(config, workload),
    "dispatches": dispatches,
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


class _Timing(NamedTuple):
  """Holds the seconds of training, and its last state."""

  state: step_lib.RunState
  compile_seconds: float
  first_seconds: float
  step_seconds: list[float]


def _time_training(
  workload: workload_lib.Workload, dispatches: int, trace: str
) -> _Timing:
  """Compiles the chunk of steps and times its dispatches."""
  mesh = workload.mesh
  compiled = workload.program()
  table = mesh_lib.place(workload.table, mesh)
  runs = mesh_lib.place(workload.runs, mesh, "runs")
  rows = mesh_lib.place(workload.rows(), mesh, *workload_lib.ROWS_AXES)
  state = compiled.init(runs, mesh_lib.place(workload.first_batch(), mesh))
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
    seconds.append(taken / workload.steps)
  if trace:
    with jax.profiler.trace(trace):
      for _ in range(3):
        state, _ = dispatch(state)
  return _Timing(state, compile_seconds, first, seconds)


@progress.doing("timing predictions")
def _predict_seconds(
  workload: workload_lib.Workload,
  state: step_lib.RunState,
  rows: int,
  calls: int,
) -> list[float]:
  """Times the prediction of one run, from host arrays to host arrays."""
  params, run = jax.device_put(
    jax.tree.map(
      lambda leaf: np.asarray(leaf)[0], (state.best_params, workload.runs)
    )
  )

  @jax.jit
  def predict(
    params: Any, batch: schema.Batch, run: interface.RunSettings
  ) -> Any:
    batch = normalise.normalise(batch, run.mean, run.scale)
    return workload.system.predict(params, batch, run.vectors)

  batch = tables.take(workload.table, np.arange(rows, dtype=np.int32))

  def once() -> float:
    begun = time.perf_counter()
    jax.device_get(predict(params, batch, run))
    return time.perf_counter() - begun

  once()
  return [once() for _ in range(calls)]


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
