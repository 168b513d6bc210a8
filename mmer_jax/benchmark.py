r"""Measures a config's training step: time, throughput, share of peak.

And its prediction: latency of one utterance, throughput in batches.

Example:
  python -m mmer_jax.benchmark --config=configs/mtee/mosei.py \
    --runs=8 --out=mtee_mosei.json

Inputs are random arrays of the shapes in `config.benchmark`, or of the shards
at --config.data.dir where one is given. Nothing is read while the clock runs.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import rich.console
import rich.table
from absl import flags
from ml_collections import config_flags

from mmer_jax.base import cli, workdir
from mmer_jax.training import benchmark


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
  flags.mark_flags_as_required(["config", "out"])


def main(argv: Sequence[str]) -> None:
  """Times what the flags say, writes the JSON and prints it as a table."""
  del argv
  out = pathlib.Path(flags.FLAGS.out)
  workdir.check_writable(out)
  result = benchmark.benchmark(
    flags.FLAGS.config,
    runs=flags.FLAGS.runs,
    dispatches=flags.FLAGS.dispatches,
    steps=flags.FLAGS.steps,
    stage=flags.FLAGS.stage,
    trace=flags.FLAGS.trace,
  )
  workdir.write_json(out, result)
  console = rich.console.Console()
  console.print(_table(result))
  console.print(f"written to {out}", markup=False)


def _table(result: dict[str, Any]) -> rich.table.Table:
  """Lays the numbers of the JSON out for people."""
  step = result["step_seconds"]
  one = result["predict_batch_1_seconds"]
  rows = (
    ("step, median", f"{1e3 * step['median']:.2f} ms"),
    ("step, p90", f"{1e3 * step['p90']:.2f} ms"),
    ("compile", f"{result['compile_seconds']:.1f} s"),
    ("first dispatch", f"{result['first_dispatch_seconds']:.3f} s"),
    ("examples/s, per run", f"{result['examples_per_second']:,.0f}"),
    ("examples/s, all runs", f"{result['runs_examples_per_second']:,.0f}"),
    ("prediction of one, median", f"{1e3 * one['median']:.2f} ms"),
    (
      "predictions/s, in batches",
      f"{result['predict_examples_per_second']:,.0f}",
    ),
    ("FLOPs per step", f"{result['flops_per_step']:.3e}"),
    ("achieved FLOP/s", f"{result['achieved_flops_per_second']:.3e}"),
    ("matmul peak FLOP/s", f"{result['matmul_peak_flops_per_second']:.3e}"),
    ("share of peak", f"{100 * result['share_of_peak']:.1f} %"),
    ("peak memory", f"{result['peak_memory_bytes'] / 2**20:,.0f} MiB"),
  )
  table = rich.table.Table(title=f"{result['system']}, R = {result['runs']}")
  table.add_column("measure")
  table.add_column("value", justify="right")
  for row in rows:
    table.add_row(*row)
  return table


if __name__ == "__main__":
  define_flags()
  cli.run(main)
