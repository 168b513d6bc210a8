r"""Measures a config's training step: time, throughput, share of peak.

And its prediction: latency of one utterance, throughput in batches.

Example:
  python -m mmer_jax.benchmark --config=configs/mtee/mosei.py \
    --runs=8 --out=mtee_mosei.json

Inputs are random arrays of the shapes in `config.benchmark`, or of the shards
at --config.data.dir where one is given. Nothing is read while the clock runs.

With --topology nothing runs: the training program is compiled for TPU chips
that need not be there, and memory, FLOPs, fusions, loops and collectives of it
are counted. Times are then estimates. Needs the extra `tpu`.

  python -m mmer_jax.benchmark --config=configs/mtee/mosei.py \
    --topology=v5e:2x2 --runs=8 --mesh=4x1 --out=mtee_v5e.json
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import rich.console
import rich.table
from absl import flags
from ml_collections import config_flags

from mmer_jax.base import cli, compile_cache, workdir
from mmer_jax.training import benchmark, topology
from mmer_jax.training import mesh as mesh_lib


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  config_flags.DEFINE_config_file(
    "config", None, "The config, as FILE[:VARIANT] or NAME[:VARIANT]."
  )
  flags.DEFINE_string("out", None, "The JSON file to write.")
  flags.DEFINE_integer("runs", 1, "Concurrent runs in the program.")
  flags.DEFINE_integer("dispatches", 20, "How many dispatches to time.")
  flags.DEFINE_integer(
    "steps", 0, "Steps per dispatch; 0 for config.training.steps_per_dispatch."
  )
  flags.DEFINE_integer("stage", 0, "Number of the stage to time, from 0.")
  flags.DEFINE_string("trace", "", "A folder for a profile; empty for none.")
  flags.DEFINE_string(
    "topology",
    "",
    "A slice of TPUs to compile for, as v5e:2x2 or v4:2x2x1; empty to time on"
    " the devices that there are.",
  )
  flags.DEFINE_string(
    "mesh",
    "",
    "Devices over the runs x devices over each batch, as 4x1: config.mesh in"
    " one flag.",
  )
  flags.DEFINE_bool(
    "largest",
    False,
    "With --topology: look for the largest number of runs that fits, which"
    " compiles a few more times.",
  )
  flags.mark_flags_as_required(["config", "out"])


def main(argv: Sequence[str]) -> None:
  """Times what the flags say, writes the JSON and prints it as a table."""
  del argv
  values = flags.FLAGS
  out = pathlib.Path(values.out)
  workdir.check_writable(out)
  # What it takes to compile is one of the measures.
  compile_cache.enable(compile_cache.OFF)
  config = values.config
  if values.mesh:
    mesh_lib.set_mesh(config, values.mesh)
  shared = {"runs": values.runs, "steps": values.steps, "stage": values.stage}
  if values.topology:
    # A TPU of this machine, if there is one, is not taken.
    jax.config.update("jax_platforms", "cpu")
    result = topology.compile_for(
      config, topology=values.topology, largest=values.largest, **shared
    )
    rows = _topology_rows(result)
  else:
    result = benchmark.benchmark(
      config, dispatches=values.dispatches, trace=values.trace, **shared
    )
    rows = _rows(result)
  workdir.write_json(out, result)
  console = rich.console.Console()
  table = rich.table.Table(title=f"{result['system']}, R = {result['runs']}")
  table.add_column("measure")
  table.add_column("value", justify="right")
  for row in rows:
    table.add_row(*row)
  console.print(table)
  console.print(f"written to {out}", markup=False)


def _rows(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
  """Lays the times of the JSON out for people."""
  step = result["step_seconds"]
  one = result["predict_batch_1_seconds"]
  yield "step, median", f"{1e3 * step['median']:.2f} ms"
  yield "step, p90", f"{1e3 * step['p90']:.2f} ms"
  yield "compile", f"{result['compile_seconds']:.1f} s"
  yield "first dispatch", f"{result['first_dispatch_seconds']:.3f} s"
  yield "examples/s, per run", f"{result['examples_per_second']:,.0f}"
  yield "examples/s, all runs", f"{result['runs_examples_per_second']:,.0f}"
  yield "prediction of one, median", f"{1e3 * one['median']:.2f} ms"
  predictions = result["predict_examples_per_second"]
  yield "predictions/s, in batches", f"{predictions:,.0f}"
  yield "FLOPs per step", f"{result['flops_per_step']:.3e}"
  yield "achieved FLOP/s", f"{result['achieved_flops_per_second']:.3e}"
  peak = result["matmul_peak_flops_per_second"]
  yield "matmul peak FLOP/s", f"{peak:.3e}"
  yield "share of peak", f"{100 * result['share_of_peak']:.1f} %"
  yield "peak memory", f"{result['peak_memory_bytes'] / 2**20:,.0f} MiB"


def _topology_rows(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
  """Lays out for people what was compiled for a slice of TPUs."""
  mesh = result["mesh"]
  yield "slice", f"{result['topology']}, {result['chips']} x {result['chip']}"
  yield "mesh, runs x data", f"{mesh['runs']} x {mesh['data']}"
  yield "compile", f"{result['compile_seconds']:.1f} s"
  if not result["fits"]:
    yield "fits", f"no: {result['error']}"
    return
  memory, step = result["memory_per_chip"], result["per_step_and_chip"]
  for part in ("argument", "output", "temporary", "code", "total"):
    yield f"{part} memory", f"{memory[f'{part}_bytes'] / 2**20:,.0f} MiB"
  if "share" in memory:
    yield "of the chip's memory", f"{100 * memory['share']:.1f} %"
  yield "FLOPs per step", f"{step['flops']:.3e}"
  yield "bytes per step", f"{step['bytes']:.3e}"
  yield "fusions per step", f"{step['fusions']:,.0f}"
  yield "loops in the program", f"{step['loops_in_program']}"
  for kind, each in step["collectives"].items():
    size = each["bytes"] / 2**20
    yield f"{kind} per step", f"{each['count']:.1f} of {size:,.2f} MiB"
  if not step["collectives"]:
    yield "collectives per step", "none"
  if "estimate" in result:
    estimate = result["estimate"]
    seconds = 1e3 * estimate["roofline_step_seconds"]
    yield (
      "estimate: step, at the least",
      f"{seconds:.2f} ms ({estimate['bound_by']})",
    )
  if "largest_runs" in result:
    yield "runs that fit", f"{result['largest_runs']}"


if __name__ == "__main__":
  define_flags()
  cli.run(main)
