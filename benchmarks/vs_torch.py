r"""Times training steps beside the same models in eager PyTorch.

  pip install -e '.[bench]'
  python benchmarks/vs_torch.py --out=vs_torch.json
  python benchmarks/vs_torch.py --case=mtee --case=m3er --rounds=5
  python benchmarks/vs_torch.py --whole_table=SHARDS --out=table.json

Every system at its paper's sizes and a small one, on random inputs of full
length; both sides on the same threads, in turn (A B A B), each in a process of
its own, since PyTorch's pool of threads has no place beside JAX's in one. The
ratio of a round is ours over PyTorch's; a step of R concurrent runs counts as R
steps. Parameters differ: PyTorch has a second bias in each LSTM, weights that
a read-out at the last frame never uses, other heads in `torch_dae.DaeMmd`.

--whole_table times a whole experiment: from shards to results, all folds and
seeds of LF-LSTM, validation and test included, in one program here, one after
another there. The last line of the output is JSON, with what it ran on.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
from typing import Any

import cases

_HERE = pathlib.Path(__file__).parent


def main() -> None:
  """Times the cases, or the whole experiment, on both sides in turn."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--case", action="append", choices=sorted(cases.CASES))
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument(
    "--seconds", type=float, default=20.0, help="Of each side of a round."
  )
  parser.add_argument("--out")
  parser.add_argument("--whole_table", metavar="SHARDS")
  parser.add_argument("--seeds", type=int, default=3)
  flags = parser.parse_args()
  result: dict[str, Any] = {"machine": _machine(), "rounds": flags.rounds}
  if flags.whole_table:
    result["whole_table"] = _in_turn(
      ["--whole_table", flags.whole_table, f"--seeds={flags.seeds}"],
      flags.rounds,
    )
  else:
    result["cases"] = {
      name: _in_turn(
        ["--case", name, f"--seconds={flags.seconds}"], flags.rounds
      )
      for name in flags.case or cases.CASES
    }
  text = json.dumps(result)
  if flags.out:
    pathlib.Path(flags.out).write_text(text + "\n", encoding="utf-8")
  sys.stdout.write(_markdown(result) + "\n" + text + "\n")


def _in_turn(arguments: list[str], rounds: int) -> dict[str, Any]:
  """Runs both sides in turn, each in a process of its own."""
  sides: dict[str, list[dict[str, Any]]] = {"torch": [], "jax": []}
  for _ in range(rounds):
    for side, results in sides.items():
      done = subprocess.run(
        [sys.executable, str(_HERE / f"side_{side}.py"), *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
      )
      results.append(json.loads(done.stdout.splitlines()[-1]))
      sys.stderr.write(f"{arguments[1]} {side} {results[-1]}\n")
  ratios = [
    ours["seconds"] / theirs["seconds"]
    for ours, theirs in zip(sides["jax"], sides["torch"], strict=True)
  ]
  return {
    **sides,
    "ratio": {
      "median": statistics.median(ratios),
      "min": min(ratios),
      "max": max(ratios),
    },
  }


def _machine() -> dict[str, Any]:
  """Describes what the figures hold for."""
  versions = {
    name: importlib.metadata.version(name) for name in ("jax", "torch", "numpy")
  }
  processor = ""
  with open("/proc/cpuinfo", encoding="utf-8") as lines:
    for line in lines:
      if line.startswith("model name"):
        processor = line.partition(":")[2].strip()
        break
  return {
    "processor": processor,
    "cores": len(os.sched_getaffinity(0)),
    "python": platform.python_version(),
    "load": os.getloadavg(),
    **versions,
  }


def _markdown(result: dict[str, Any]) -> str:
  """Lays the figures out as a table."""
  rows = ["| what | PyTorch, s | mmer_jax, s | ratio | of the rounds |"]
  rows.append("|---|---:|---:|---:|---:|")
  timed = result.get("cases") or {"whole table": result["whole_table"]}
  for name, case in timed.items():
    theirs, ours = (
      statistics.median(each["seconds"] for each in case[side])
      for side in ("torch", "jax")
    )
    ratio = case["ratio"]
    rows.append(
      f"| {name} | {theirs:.4g} | {ours:.4g} | **{ratio['median']:.2f}** |"
      f" {ratio['min']:.2f} to {ratio['max']:.2f} |"
    )
  return "\n".join(rows)


if __name__ == "__main__":
  main()
