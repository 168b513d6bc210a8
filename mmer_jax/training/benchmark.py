r"""Measures a config's training step: time, throughput, share of peak.

And its prediction: latency of one utterance, throughput in batches.

Example:
  python -m mmer_jax.benchmark --config=configs/mtee/mosei.py \
    --runs=8 --out=mtee_mosei.json

Inputs are random arrays of the shapes in `config.benchmark`, or of the shards
at --config.data.dir where one is given. Nothing is read while the clock runs.
"""

import pathlib
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from mmer_jax.base import environment, errors
from mmer_jax.core import lstm
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import normalise, padding, schema, tables
from mmer_jax.experiment import build, provenance, validate
from mmer_jax.systems import interface
from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import program
from mmer_jax.training import step as step_lib

# Rows of the random corpus, in batches; more would only take memory.
_BATCHES = 4


def benchmark(
  config: ml_collections.ConfigDict,
  *,
  runs: int,
  dispatches: int,
  steps: int = 0,
  stage: int = 0,
  trace: str = "",
) -> dict[str, Any]:
  """Times the training step of a config.

  A dispatch is one call of the compiled chunk of steps; the time of a step is
  that of its dispatch over the steps in it.

  Args:
    config: Of `configs/`.
    runs: How many runs share the program.
    dispatches: How many are timed, after the first.
    steps: Steps per dispatch; 0 for the config's.
    stage: Number of the stage, from 0.
    trace: Folder for a profile of three more dispatches; empty for none.

  Returns:
    What the JSON holds: seconds, examples, FLOPs and bytes.
  """
  rules = validate.make_rules(config)
  validate.check_positive(config)
  for name, value in (("runs", runs), ("dispatches", dispatches)):
    if value < 1:
      raise errors.UserError(f"--{name} is {value}, expected at least 1")
  system = build.build_system(config)
  if not 0 <= stage < len(system.stages):
    raise errors.UserError(
      f"--stage is {stage}, expected one of the config's 0 to"
      f" {len(system.stages) - 1}"
    )
  if system.stages[stage].gradient is not None:
    raise errors.UserError(
      f"--stage is {stage}, whose batches hold a memory that the benchmark does"
      " not make up; use benchmarks/gem_step.py"
    )
  steps = steps or config.training.steps_per_dispatch
  batch_size = config.training.batch_size
  table, vectors = random_table(config)
  mesh = mesh_lib.make_mesh(
    runs, batch_size, over_runs=config.mesh.runs, over_data=config.mesh.data
  )
  settings = same_runs(config, table, vectors, runs)
  timed = system.stages[stage]
  width = batch_size * (1 + timed.unlabelled) * (1 + timed.following)
  width *= 1 + (timed.negatives is not None)
  compiled = program.build_program(system, stage, rules, mesh, resident=True)
  source = mesh_lib.place(table, mesh)
  placed = mesh_lib.place(settings, mesh, "runs")
  rows = np.random.default_rng(0).integers(
    len(table.example_mask), size=(runs, steps, width), dtype=np.int32
  )
  rows = mesh_lib.place(rows, mesh, "runs", None, "data")
  batch = tables.take(table, np.zeros(width, np.int32))

  state = compiled.init(placed, mesh_lib.place(batch, mesh))
  begun = time.perf_counter()
  train = compiled.train.lower(state, placed, source, rows).compile()
  compile_seconds = time.perf_counter() - begun

  def dispatch(state: step_lib.RunState) -> tuple[step_lib.RunState, float]:
    begun = time.perf_counter()
    state = jax.block_until_ready(train(state, placed, source, rows))
    return state, time.perf_counter() - begun

  state, first = dispatch(state)
  # Before and after: what else the machine does may come and go.
  peaks = [_matmul_peak(jnp.dtype(config.compute_dtype))]
  seconds = []
  for _ in range(dispatches):
    state, taken = dispatch(state)
    seconds.append(taken / steps)
  if trace:
    with jax.profiler.trace(trace):
      for _ in range(3):
        state, _ = dispatch(state)
  alone = _predict_seconds(system, state, table, settings, 1, dispatches)
  together = _predict_seconds(
    system, state, table, settings, batch_size, dispatches
  )
  peak_memory, memory_source = _peak_memory()
  median = float(np.median(seconds))
  flops = runs * _step_flops(timed, system, batch, settings)
  peak = max(*peaks, _matmul_peak(jnp.dtype(config.compute_dtype)))
  devices = int(np.prod(list(mesh.shape.values())))
  return {
    "system": config.system,
    "config_sha256": provenance.config_digest(config),
    "compute_dtype": config.compute_dtype,
    "runs": runs,
    "stage": timed.name,
    "batch_size": batch_size,
    "rows_per_step": width,
    "steps_per_dispatch": steps,
    "dispatches": dispatches,
    "mesh": dict(mesh.shape),
    "shapes": {
      modality: list(stream.features.shape[1:])
      for modality, stream in table.streams.items()
    },
    "parameters": sum(
      leaf[0].size for leaf in jax.tree.leaves(state.best_params)
    ),
    "compile_seconds": compile_seconds,
    "first_dispatch_seconds": first,
    "step_seconds": {
      "median": median,
      "p90": float(np.percentile(seconds, 90)),
    },
    "examples_per_second": batch_size / median,
    "runs_examples_per_second": runs * batch_size / median,
    "predict_batch_1_seconds": {
      "median": float(np.median(alone)),
      "p90": float(np.percentile(alone, 90)),
    },
    "predict_examples_per_second": batch_size / float(np.median(together)),
    "flops_per_step": flops,
    "achieved_flops_per_second": flops / median,
    "matmul_peak_flops_per_second": peak * devices,
    "share_of_peak": flops / median / (peak * devices),
    "peak_memory_bytes": peak_memory,
    "peak_memory_source": memory_source,
    "environment": environment.environment(),
  }


def random_table(
  config: ml_collections.ConfigDict,
) -> tuple[schema.Batch, np.ndarray]:
  """A corpus of random numbers and emotion vectors, in a config's shapes.

  Every row has full length: the most work that the shapes can hold.
  """
  shape = config.benchmark
  dims, count, width = shape.dims.to_dict(), shape.emotions, shape.vector_dim
  lengths = config.data.max_length.to_dict()
  if config.data.dir:
    folder = pathlib.Path(config.data.dir)
    manifest = manifest_lib.load_manifest(folder)
    pad = padding.Padding(manifest, config.data.modalities, lengths)
    dims, lengths = pad.dims, pad.lengths
    count = len(config.data.emotions or manifest["emotions"])
    vectors = manifest_lib.load_emotion_vectors(folder)
    width = 0 if vectors is None else vectors.vectors.shape[1]
  rng = np.random.default_rng(0)
  n = _BATCHES * config.training.batch_size

  def stream(modality: str) -> schema.Stream:
    size = (n, max(lengths[modality], 1), dims[modality])
    return schema.Stream(
      rng.standard_normal(size, np.float32), np.ones(size[:2], bool)
    )

  labels = rng.random((n, count)) < 0.3
  if config.protocol.decision == "softmax":
    labels = np.eye(count, dtype=bool)[rng.integers(count, size=n)]
  table = schema.make_batch(
    {modality: stream(modality) for modality in config.data.modalities},
    labels.astype(np.float32),
    acoustic_word=_even_words(config.data.modalities, lengths, n),
  )
  return table, rng.standard_normal((count, width), np.float32)


def _even_words(
  modalities: Sequence[str], lengths: dict[str, int], count: int
) -> np.ndarray | None:
  """Gives every word as many frames; None where there are fewer than words."""
  if not {"lexical", "acoustic"} <= set(modalities):
    return None
  words, frames = lengths["lexical"], lengths["acoustic"]
  if not 0 < words <= frames:
    return None
  word = np.arange(frames) * words // frames
  return np.broadcast_to(word, (count, frames)).astype(np.int32)


def same_runs(
  config: ml_collections.ConfigDict,
  table: schema.Batch,
  vectors: np.ndarray,
  runs: int,
) -> interface.RunSettings:
  """Settings of runs that differ in their seed alone."""

  def same(key: str) -> np.ndarray:
    return np.full(runs, config.optimizer[key], np.float32)

  count = table.labels.shape[1]
  normalised = [m for m in config.data.normalise if m in table.streams]
  zeros = {
    m: np.zeros((runs, table.streams[m].features.shape[-1]), np.float32)
    for m in normalised
  }
  return interface.RunSettings(
    seed=np.arange(runs, dtype=np.uint32),
    fold=np.ones(runs, np.int32),
    learning_rate=same("learning_rate"),
    weight_decay=same("weight_decay"),
    clip_norm=same("clip_norm"),
    known=np.ones((runs, 1, count), bool),
    class_weight=np.ones((runs, 1, count), np.float32),
    mean=zeros,
    scale={m: np.ones_like(value) for m, value in zeros.items()},
    vectors=np.repeat(vectors[None], runs, axis=0),
    keep={},
  )


def _step_flops(
  stage: interface.Stage,
  system: interface.System,
  batch: schema.Batch,
  settings: interface.RunSettings,
) -> float:
  """XLA's count for one step of one run.

  XLA counts the body of a loop once, whatever its trip count, so the count is
  taken of a step whose recurrent loops are unrolled.
  """
  run = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), settings)

  def step(
    run: interface.RunSettings, batch: schema.Batch
  ) -> step_lib.RunState:
    key = step_lib.stream_key(run.seed, "init", 0)
    params = system.init(key, batch, run.vectors)
    terms = stage.loss(params, batch, run, None)[1]
    return step_lib.init_run(params, sorted(terms))

  state = jax.eval_shape(step, run, batch)
  with lstm.unroll_scans():
    lowered = jax.jit(
      lambda state, batch, run: step_lib.train_step(stage, state, batch, run)
    ).lower(state, batch, run)
  return float(lowered.cost_analysis()["flops"])


def _predict_seconds(
  system: interface.System,
  state: step_lib.RunState,
  table: schema.Batch,
  settings: interface.RunSettings,
  rows: int,
  calls: int,
) -> list[float]:
  """Seconds of a prediction of one run, from host arrays to host arrays."""
  params, run = jax.device_put(
    jax.tree.map(
      lambda leaf: np.asarray(leaf)[0], (state.best_params, settings)
    )
  )

  @jax.jit
  def predict(
    params: Any, batch: schema.Batch, run: interface.RunSettings
  ) -> Any:
    batch = normalise.normalise(batch, run.mean, run.scale)
    return system.predict(params, batch, run.vectors)

  batch = tables.take(table, np.arange(rows, dtype=np.int32))

  def once() -> float:
    begun = time.perf_counter()
    jax.device_get(predict(params, batch, run))
    return time.perf_counter() - begun

  once()
  return [once() for _ in range(calls)]


def _matmul_peak(dtype: jnp.dtype) -> float:
  """FLOP/s of the best of a few large square matmuls on one device."""
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
  stats = jax.devices()[0].memory_stats()
  if stats and "peak_bytes_in_use" in stats:
    return int(stats["peak_bytes_in_use"]), "first device"
  kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return kib * 1024, "resident set of the process"
