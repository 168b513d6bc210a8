"""Compiles the training of a config for TPU chips that are not there.

The compiler of TPUs runs on any Linux machine (package `libtpu`). What it says
of memory and what stands in the compiled program is what a chip would be given;
times are estimates.
"""

import os
import time
from typing import Any, NamedTuple

import jax
import ml_collections
from jax.experimental import topologies

from mmer_jax.base import environment, errors
from mmer_jax.training import hlo
from mmer_jax.training import workload as workload_lib

# What the compiler's errors have where a program is too large for a chip.
_TOO_LARGE = ("RESOURCE_EXHAUSTED", "Ran out of memory")
# How often a smaller number of runs is tried where the estimate did not fit.
_TRIES = 4


class Chip(NamedTuple):
  """Holds what a kind of chip can do, by its maker.

  Attributes:
    flops: Peak of bfloat16 matmuls per second; float32 ones are no faster.
    bandwidth: Bytes per second of the main memory.
    memory: Bytes of the main memory.
  """

  flops: float
  bandwidth: float
  memory: float


# Source: Google Cloud, "TPU architecture", the page of each version. By the
# names that JAX gives the devices.
CHIPS = {
  "TPU v4": Chip(275e12, 1228e9, 32 * 2**30),
  "TPU v5 lite": Chip(197e12, 819e9, 16 * 2**30),
  "TPU v5": Chip(459e12, 2765e9, 95 * 2**30),
  "TPU v6 lite": Chip(918e12, 1640e9, 32 * 2**30),
}


def compile_for(
  config: ml_collections.ConfigDict,
  *,
  topology: str,
  runs: int,
  steps: int = 0,
  stage: int = 0,
  largest: bool = False,
) -> dict[str, Any]:
  """Compiles the chunk of training steps for a slice of TPUs, and counts.

  Args:
    config: A config of `configs/`; `config.mesh` lays the runs over the chips.
    topology: As `v5e:2x2` or `v4:2x2x1`.
    runs: How many runs share the program.
    steps: Steps per dispatch; 0 for the config's.
    stage: Number of the stage, from 0.
    largest: Whether to look for the largest number of runs that fits, which
      compiles some more times.

  Returns:
    The content of the JSON file: memory of a chip in bytes, what runs in a
    step of a chip, and the estimates.

  Raises:
    UserError: There is no such topology, no `libtpu`, or the config cannot be
      laid over the chips.
  """
  devices = _devices(topology)
  compiled = _compile(config, devices, runs, steps, stage)
  result = {
    **workload_lib.describe(config, compiled.workload),
    "topology": topology,
    "chip": devices[0].device_kind,
    "chips": len(devices),
    "lower_seconds": compiled.lower_seconds,
    "compile_seconds": compiled.seconds,
    "fits": compiled.program is not None,
    "environment": environment.environment(),
  }
  if compiled.program is None:
    return {**result, "error": compiled.error}
  chip = CHIPS.get(devices[0].device_kind)
  memory = _memory(compiled.program, chip)
  per_step = _per_step(compiled, len(devices))
  result |= {"memory_per_chip": memory, "per_step_and_chip": per_step}
  if chip is not None:
    result["estimate"] = estimate(chip, per_step)
    if largest:
      result["largest_runs"] = _largest_runs(
        config, devices, memory, runs, steps, stage
      )
  return result


class _Compiled(NamedTuple):
  """Holds a compiled program; None where it does not fit, with the reason."""

  workload: workload_lib.Workload
  program: jax.stages.Compiled | None
  lower_seconds: float
  seconds: float
  error: str


def _devices(topology: str) -> list[jax.Device]:
  """Describes the chips of a slice.

  Raises:
    UserError: There is no such slice, or no compiler.
  """
  # Nothing is asked of a cloud, and the warnings that it is not are not for
  # users.
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
  os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
  os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
  errors.require("libtpu", "tpu", f"--topology={topology}")
  try:
    described = topologies.get_topology_desc(
      platform="tpu", topology_name=topology
    )
  except (jax.errors.JaxRuntimeError, ValueError, NotImplementedError) as error:
    reason = str(error).splitlines()[0]
    raise errors.UserError(
      f"--topology is {topology!r}: {reason}; expected a slice that libtpu"
      " knows, such as v5e:2x2 or v4:2x2x1"
    ) from None
  return list(described.devices)


def _compile(
  config: ml_collections.ConfigDict,
  devices: list[jax.Device],
  runs: int,
  steps: int,
  stage: int,
) -> _Compiled:
  """Compiles for devices from shapes alone."""
  workload = workload_lib.prepare(
    config, runs=runs, steps=steps, stage=stage, devices=devices
  )
  begun = time.perf_counter()
  lowered = workload.lower()
  lower_seconds = time.perf_counter() - begun
  begun = time.perf_counter()
  compiled, reason = None, ""
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    if not any(each in str(error) for each in _TOO_LARGE):
      raise
    reason = str(error).splitlines()[0]
  seconds = time.perf_counter() - begun
  return _Compiled(workload, compiled, lower_seconds, seconds, reason)


def _memory(
  compiled: jax.stages.Compiled, chip: Chip | None
) -> dict[str, float]:
  """Reads what the program takes of the memory of a chip, in bytes."""
  stats = compiled.memory_analysis()
  parts = {
    "argument_bytes": stats.argument_size_in_bytes,
    "output_bytes": stats.output_size_in_bytes,
    "reused_bytes": stats.alias_size_in_bytes,
    "temporary_bytes": stats.temp_size_in_bytes,
    "code_bytes": stats.generated_code_size_in_bytes,
  }
  total = sum(parts.values()) - 2 * parts["reused_bytes"]
  memory = {**parts, "total_bytes": total}
  if chip is not None:
    memory |= {"chip_bytes": chip.memory, "share": total / chip.memory}
  return memory


def _per_step(compiled: _Compiled, chips: int) -> dict[str, Any]:
  """Counts what runs in a step on a chip."""
  workload = compiled.workload
  counts = hlo.count(hlo.parse(compiled.program.as_text()))
  steps = workload.steps
  flops = len(workload.runs.seed) * workload_lib.step_flops(workload)
  return {
    "flops": flops / chips,
    "bytes": counts.bytes / steps,
    "fusions": counts.executed["fusion"] / steps,
    "copies": counts.executed["copy"] / steps,
    "loops_in_program": counts.loops,
    "loops_of_unknown_length": counts.unknown_loops,
    "collectives": {
      kind: {
        "count": counts.collectives[kind] / steps,
        "bytes": counts.collective_bytes[kind] / steps,
      }
      for kind in sorted(counts.collectives)
    },
  }


def estimate(chip: Chip, per_step: dict[str, Any]) -> dict[str, Any]:
  """Computes the time below which no step of these FLOPs and bytes can be.

  Source: Williams, Waterman and Patterson 2009, "Roofline": the slower of
  computing at the peak and of moving the bytes at the bandwidth.
  """
  compute = per_step["flops"] / chip.flops
  memory = per_step["bytes"] / chip.bandwidth
  return {
    "roofline_step_seconds": max(compute, memory),
    "bound_by": "compute" if compute > memory else "memory",
  }


def _largest_runs(
  config: ml_collections.ConfigDict,
  devices: list[jax.Device],
  memory: dict[str, float],
  runs: int,
  steps: int,
  stage: int,
) -> int:
  """Finds a number of runs that fits, and beside which few more would.

  What is not the corpus and the code grows with the runs. Twice as many say
  how fast; the number from that is compiled, and less where it is too much.
  """
  twice = _compile(config, devices, 2 * runs, steps, stage)
  if twice.program is None:
    return runs
  chip = CHIPS[devices[0].device_kind]
  grown = _memory(twice.program, chip)["total_bytes"]
  per_run = max((grown - memory["total_bytes"]) / runs, 1.0)
  fits = 2 * runs
  tried = int(fits + (chip.memory - grown) / per_run)
  for _ in range(_TRIES):
    tried -= tried % len(devices)
    if tried <= fits:
      break
    if _compile(config, devices, tried, steps, stage).program is not None:
      return tried
    tried = int(0.9 * tried)
  return fits
