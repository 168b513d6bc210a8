"""This project's side of `vs_torch.py`."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import cases
import jax

from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import workload


def main() -> None:
  """Times a case or the whole experiment, and prints the JSON."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--case", choices=sorted(cases.CASES))
  parser.add_argument("--seconds", type=float, default=20.0)
  parser.add_argument("--whole_table", type=pathlib.Path, metavar="SHARDS")
  parser.add_argument("--seeds", type=int, default=3)
  flags = parser.parse_args()
  if flags.whole_table:
    result = whole_table(flags.whole_table, flags.seeds)
  else:
    result = step(cases.CASES[flags.case], flags.seconds)
  sys.stdout.write(json.dumps(result) + "\n")


def step(case: cases.Case, seconds: float) -> dict[str, Any]:
  """Times a step of the project; of R runs, an R-th of it."""
  made = workload.prepare(
    cases.read(case), runs=case.runs, steps=case.steps, stage=case.stage
  )
  program, mesh = made.program(), made.mesh
  runs = mesh_lib.place(made.runs, mesh, "runs")
  table = mesh_lib.place(made.table, mesh)
  rows = mesh_lib.place(made.rows(), mesh, *workload.ROWS_AXES)
  held = [program.init(runs, mesh_lib.place(made.first_batch(), mesh))]
  parameters = sum(leaf.size for leaf in jax.tree.leaves(held[0].best_params))
  begun = time.perf_counter()
  train = program.train.lower(held[0], runs, table, rows).compile()
  compiled = time.perf_counter() - begun

  def dispatch() -> None:
    held[0] = jax.block_until_ready(train(held[0], runs, table, rows))

  taken = cases.times(dispatch, seconds)
  share = case.steps * case.runs
  return {
    "seconds": statistics.median(taken) / share,
    "dispatches": len(taken),
    "compile_seconds": compiled,
    "parameters": parameters // case.runs,
    "runs": case.runs,
  }


def whole_table(shards: pathlib.Path, seeds: int) -> dict[str, Any]:
  """Trains and evaluates all folds and seeds by the two commands."""
  overrides = [
    *(
      f"--config.{key}={value}" for key, value in cases.TABLE_OVERRIDES.items()
    ),
    f"--config.seeds={tuple(range(seeds))}",
  ]
  with tempfile.TemporaryDirectory() as workdir:
    command = [sys.executable, "-m", "mmer_jax"]
    # A first start: nothing compiled is kept.
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    begun = time.perf_counter()
    for verb in (
      ["train", f"--config={cases.TABLE}"]
      + [f"--config.data.dir={shards}", f"--workdir={workdir}/w", *overrides],
      ["evaluate", f"--workdir={workdir}/w", "--split=test"],
    ):
      subprocess.run(
        command + verb, check=True, stdout=subprocess.DEVNULL, env=environment
      )
    seconds = time.perf_counter() - begun
    results = json.loads(
      pathlib.Path(workdir, "w", "results", "test.json").read_text("utf-8")
    )
  score = results["summary"]["unweighted_accuracy"]["mean"]
  return {"seconds": seconds, "unweighted_accuracy": score}


if __name__ == "__main__":
  main()
