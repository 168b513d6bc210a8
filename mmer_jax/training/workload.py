"""Makes of a config and random inputs what is timed, compiled or counted."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from mmer_jax.base import errors, progress
from mmer_jax.core import lstm
from mmer_jax.data import schema, tables
from mmer_jax.experiment import build, fit, provenance, ranges, validate
from mmer_jax.systems import interface
from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import program as program_lib
from mmer_jax.training import random_inputs
from mmer_jax.training import step as step_lib

# Where the chunk of training steps has its row numbers, (r K b).
ROWS_AXES = ("runs", None, "data")


class Workload(NamedTuple):
  """Holds a stage of training, its random inputs, and the devices for it.

  Attributes:
    system: The model and its stages.
    number: Number of the stage, from 0.
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
    """The stage of this number."""
    return self.system.stages[self.number]

  def program(self) -> program_lib.Program:
    """Prepares the compiled functions of the stage."""
    return program_lib.build_program(
      self.system, self.number, self.rules, self.mesh, resident=True
    )

  def lower(self) -> jax.stages.Lowered:
    """Traces the chunk of training steps for the mesh, from shapes alone."""
    program, mesh = self.program(), self.mesh
    return program.train.lower(
      program_lib.abstract_state(program, self.runs, self.first_batch()),
      mesh_lib.abstract(self.runs, mesh, "runs"),
      mesh_lib.abstract(self.table, mesh),
      mesh_lib.abstract(self.rows(), mesh, *ROWS_AXES),
    )

  def first_batch(self) -> schema.Batch:
    """Gives a batch of the shapes of a step."""
    return tables.take(self.table, np.zeros(self.width, np.int32))

  def rows(self) -> np.ndarray:
    """Draws the row numbers of a dispatch, (runs, steps, width)."""
    return np.random.default_rng(0).integers(
      len(self.table.example_mask),
      size=(len(self.runs.seed), self.steps, self.width),
      dtype=np.int32,
    )


@progress.doing("preparing")
def prepare(
  config: ml_collections.ConfigDict,
  *,
  runs: int,
  steps: int = 0,
  stage: int = 0,
  devices: Sequence[jax.Device] | None = None,
) -> Workload:
  """Checks what is asked for and draws the inputs.

  Args:
    config: A config of `configs/`.
    runs: How many runs share the program.
    steps: Steps per dispatch; 0 for the config's.
    stage: Number of the stage, from 0.
    devices: What the mesh is laid over; None for the devices that there are.

  Raises:
    UserError: A count is not positive, a key is out of range, or the stage's
      batches cannot be made up.
  """
  fit.fit_to_corpus(config)
  rules = validate.make_rules(config)
  ranges.check_ranges(config)
  if runs < 1:
    raise errors.UserError(f"--runs is {runs}, expected at least 1")
  system = build.build_system(config)
  chosen = _find_stage(system, stage)
  table, vectors = random_inputs.random_table(config)
  batch_size = config.training.batch_size
  width = batch_size * (1 + chosen.unlabelled) * (1 + chosen.following)
  width *= 1 + (chosen.negatives is not None)
  return Workload(
    system=system,
    number=stage,
    rules=rules,
    mesh=mesh_lib.make_mesh(
      runs,
      batch_size,
      over_runs=config.mesh.runs,
      over_data=config.mesh.data,
      devices=devices,
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


@progress.doing("counting FLOPs")
def step_flops(workload: Workload) -> float:
  """Asks XLA for the FLOPs of one step of one run.

  XLA counts the body of a loop once, whatever its trip count, so the count is
  taken of a step whose recurrent loops are unrolled.
  """
  run = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), workload.runs)
  batch = workload.first_batch()
  stage = workload.stage

  def init(
    run: interface.RunSettings, batch: schema.Batch
  ) -> step_lib.RunState:
    key = step_lib.stream_key(run.seed, "init", 0)
    params = workload.system.init(key, batch, run.vectors)
    terms = stage.loss(params, batch, run, None)[1]
    return step_lib.init_run(params, sorted(terms))

  state = jax.eval_shape(init, run, batch)
  with lstm.unroll_scans():
    lowered = jax.jit(
      lambda state, batch, run: step_lib.train_step(stage, state, batch, run)
    ).lower(state, batch, run)
  return float(lowered.cost_analysis()["flops"])


def describe(
  config: ml_collections.ConfigDict, workload: Workload
) -> dict[str, Any]:
  """Describes a workload for a JSON file."""
  return {
    "system": config.system,
    "config_sha256": provenance.config_digest(config),
    "compute_dtype": config.compute_dtype,
    "runs": len(workload.runs.seed),
    "stage": workload.stage.name,
    "batch_size": config.training.batch_size,
    "rows_per_step": workload.width,
    "steps_per_dispatch": workload.steps,
    "mesh": dict(workload.mesh.shape),
    "shapes": {
      modality: list(stream.features.shape[1:])
      for modality, stream in workload.table.streams.items()
    },
  }
