"""Counts what each system's training step does, for a test to compare.

  python -m tests.program_counts           # prints the counts as JSON
  python -m tests.program_counts --write   # and keeps them for the tests

Every system of `SYSTEMS` in its smallest config, two runs, two steps a
dispatch. Counted before compilation: FLOPs of a step, loops and matmuls of the
program. After it, of the version of JAX that is named: bytes, fusions and
copies of a step; and with each batch split over two devices, the collectives.
Nothing is timed and nothing runs.
"""

import argparse
import json
import pathlib
import sys
from typing import Any

import jax
import ml_collections

from mmer_jax.base import config_file
from mmer_jax.training import hlo, workload

KEPT = pathlib.Path(__file__).parent / "training" / "program_counts.json"
# System to a config of it with the variant `smoke`.
CONFIGS = {
  "dae_mmd": "dae_mmd/fully:smoke",
  "ef_lstm": "baselines/ef_lstm_mosei:smoke",
  "graph_mfn": "baselines/graph_mfn_mosei:smoke",
  "lf_lstm": "baselines/lf_lstm_mosei:smoke",
  "m3er": "m3er/ablation:smoke",
  "mfn": "m3er/mfn:smoke",
  "mtee": "quickstart:smoke",
  "mtl": "baselines/mtl_mosei:smoke",
  "mult": "baselines/mult_mosei:smoke",
  "multiview": "multiview/multimodal:smoke",
}


def main() -> None:
  """Prints the counts of all systems, and keeps them if it is told to."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--write", action="store_true")
  write = parser.parse_args().write
  jax.config.update("jax_num_cpu_devices", 2)
  counts = {
    "jax": jax.__version__,
    "before_compilation": {
      name: before_compilation(read(name)) for name in CONFIGS
    },
    "compiled": {name: compiled(read(name)) for name in CONFIGS},
  }
  text = json.dumps(counts, indent=2, sort_keys=True) + "\n"
  if write:
    KEPT.write_text(text, encoding="utf-8")
  sys.stdout.write(text)


def read(system: str) -> ml_collections.ConfigDict:
  """Reads the smallest config of a system."""
  return config_file.read(CONFIGS[system]).copy_and_resolve_references()


def before_compilation(config: ml_collections.ConfigDict) -> dict[str, float]:
  """Counts in the program that is handed to the compiler."""
  made = _prepare(config, devices=1)
  text = made.lower().as_text()
  return {
    "flops": workload.step_flops(made),
    "loops": text.count("stablehlo.while"),
    "matmuls": text.count("stablehlo.dot_general"),
  }


def compiled(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Counts in what the compiler has made, on one device and on two."""
  made = _prepare(config, devices=1)
  alone = hlo.count(hlo.parse(made.lower().compile().as_text()))
  split = _prepare(config, devices=2)
  over_two = hlo.count(hlo.parse(split.lower().compile().as_text()))
  return {
    "bytes": alone.bytes / made.steps,
    "fusions": alone.executed["fusion"] / made.steps,
    "copies": alone.executed["copy"] / made.steps,
    "loops": alone.loops,
    "collectives": dict(over_two.collectives),
    "collective_bytes": dict(over_two.collective_bytes),
  }


def _prepare(
  config: ml_collections.ConfigDict, devices: int
) -> workload.Workload:
  """Makes two runs, each batch split over the devices."""
  with config.unlocked():
    config.mesh.runs, config.mesh.data = 1, devices
  return workload.prepare(
    config, runs=2, steps=2, devices=jax.devices()[:devices]
  )


if __name__ == "__main__":
  main()
