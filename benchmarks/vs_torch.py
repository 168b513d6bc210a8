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
a read-out at the last frame never uses, other heads in `torch_models.DaeMmd`.

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
import time
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
  """Holds what is timed.

  Attributes:
    config: A config's name, with its variant.
    overrides: Keys of it that are set otherwise.
    runs: Concurrent runs of our side.
    stage: Number of the stage.
    steps: Steps of a dispatch.
  """

  config: str
  overrides: dict[str, Any]
  runs: int = 1
  stage: int = 0
  steps: int = 4


CASES = {
  "mtee": Case("mtee/mosei:readme", {}),
  "m3er": Case("m3er/ablation", {}),
  "h_mm_4": Case("multiview/multimodal", {"model.view": "h_mm_4"}),
  "b_aco_1": Case("multiview/multimodal", {"model.view": "b_aco_1"}),
  "dae_mmd": Case("dae_mmd/semi", {}, stage=1, steps=1),
  "mtee_small": Case(
    "mtee/iemocap:utterances", {"training.batch_size": 64}, runs=16
  ),
}


def main() -> None:
  """Times the cases on both sides, or one side of one case."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--case", action="append", choices=sorted(CASES))
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument(
    "--seconds", type=float, default=20.0, help="Of each side of a round."
  )
  parser.add_argument("--out")
  parser.add_argument("--whole_table", metavar="SHARDS")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--side", choices=("torch", "jax"))
  flags = parser.parse_args()
  if flags.side:
    sys.stdout.write(json.dumps(_one_side(flags)) + "\n")
    return
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
      for name in flags.case or CASES
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
        [sys.executable, __file__, f"--side={side}", *arguments],
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


def _one_side(flags: argparse.Namespace) -> dict[str, Any]:
  """Times one side in this process."""
  if flags.whole_table:
    shards = pathlib.Path(flags.whole_table)
    side = {"torch": _torch_table, "jax": _jax_table}[flags.side]
    return side(shards, flags.seeds)
  side = {"torch": _torch_step, "jax": _jax_step}[flags.side]
  return side(CASES[flags.case[0]], flags.seconds)


def _config(case: Case) -> Any:
  """Reads the config of a case."""
  from mmer_jax.base import config_file

  config = config_file.read(case.config).copy_and_resolve_references()
  with config.unlocked():
    config.update_from_flattened_dict(case.overrides)
  return config


def _jax_step(case: Case, seconds: float) -> dict[str, Any]:
  """Times a step of the project; of R runs, an R-th of it."""
  import jax

  from mmer_jax.training import mesh as mesh_lib
  from mmer_jax.training import workload

  made = workload.prepare(
    _config(case), runs=case.runs, steps=case.steps, stage=case.stage
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

  times = _times(dispatch, seconds)
  share = case.steps * case.runs
  return {
    "seconds": statistics.median(times) / share,
    "dispatches": len(times),
    "compile_seconds": compiled,
    "parameters": parameters // case.runs,
    "runs": case.runs,
  }


def _torch_step(case: Case, seconds: float) -> dict[str, Any]:
  """Times a step of PyTorch."""
  import torch
  import torch_models

  torch.manual_seed(0)
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  config = _config(case)
  shape = config.benchmark
  rows = config.training.batch_size * (2 if case.stage else 1)
  model = torch_models.make(config, shape.dims.to_dict(), shape.emotions)
  streams = {
    name: torch.randn(
      rows, max(config.data.max_length[name], 1), shape.dims[name]
    )
    for name in sorted(config.data.modalities)
  }
  labels = (torch.rand(rows, shape.emotions) < 0.3).float()
  if config.protocol.decision == "softmax":
    labels = torch.eye(shape.emotions)[torch.randint(shape.emotions, (rows,))]
  step = _torch_training(model, config)
  times = _times(lambda: step(streams, labels), seconds)
  return {
    "seconds": statistics.median(times),
    "steps": len(times),
    "parameters": sum(each.numel() for each in model.parameters()),
  }


def _torch_training(model: Any, config: Any) -> Any:
  """Makes a step: backward pass, clip, Adam."""
  import torch

  optimiser = torch.optim.Adam(
    model.parameters(),
    lr=config.optimizer.learning_rate,
    weight_decay=config.optimizer.weight_decay,
  )

  def step(streams: Any, labels: Any) -> float:
    optimiser.zero_grad()
    loss = model(streams, labels)
    loss.backward()
    if config.optimizer.clip_norm:
      torch.nn.utils.clip_grad_norm_(
        model.parameters(), config.optimizer.clip_norm
      )
    optimiser.step()
    return float(loss.detach())

  return step


def _times(once: Any, seconds: float) -> list[float]:
  """Times calls after two others, for so many seconds, three at least."""
  for _ in range(2):
    once()
  times, begun = [], time.perf_counter()
  while len(times) < 3 or time.perf_counter() - begun < seconds:
    start = time.perf_counter()
    once()
    times.append(time.perf_counter() - start)
  return times


# The experiment of --whole_table: both sides do all epochs.
_TABLE = {"training.epochs": 10, "training.early_stopping": 0}


def _table_config(shards: pathlib.Path, seeds: int) -> Any:
  case = Case(
    "baselines/lf_lstm_iemocap:utterances",
    {**_TABLE, "data.dir": str(shards), "seeds": tuple(range(seeds))},
  )
  return _config(case)


def _jax_table(shards: pathlib.Path, seeds: int) -> dict[str, Any]:
  """Trains and evaluates all folds and seeds by the two commands."""
  import tempfile

  overrides = [
    *(f"--config.{key}={value}" for key, value in _TABLE.items()),
    f"--config.seeds={tuple(range(seeds))}",
  ]
  with tempfile.TemporaryDirectory() as workdir:
    command = [sys.executable, "-m", "mmer_jax"]
    # A first start: nothing compiled is kept.
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    begun = time.perf_counter()
    for verb in (
      ["train", "--config=baselines/lf_lstm_iemocap:utterances"]
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


def _torch_table(shards: pathlib.Path, seeds: int) -> dict[str, Any]:
  """Trains and evaluates run by run, on the same rows."""
  import torch

  from mmer_jax.experiment import build

  begun = time.perf_counter()
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  experiment = build.build_experiment(_table_config(shards, seeds))
  scores = [
    _torch_run(experiment, number) for number in range(len(experiment.records))
  ]
  return {
    "seconds": time.perf_counter() - begun,
    "unweighted_accuracy": statistics.mean(scores),
  }


def _torch_run(experiment: Any, number: int) -> float:
  """Trains one run, keeps its best epoch, and scores it on its test rows."""
  import torch
  import torch_models

  config, corpus = experiment.config, experiment.corpus
  record = experiment.records[number]
  torch.manual_seed(record.seed)
  streams = {
    name: torch.from_numpy(
      (stream.features - _of_run(experiment.runs.mean, name, number))
      * _of_run(experiment.runs.scale, name, number, 1.0)
      * stream.mask[..., None]
    )
    for name, stream in corpus.table.streams.items()
  }
  labels = torch.from_numpy(np.asarray(corpus.labels))
  model = torch_models.make(
    config, {name: x.shape[-1] for name, x in streams.items()}, labels.shape[1]
  )
  step = _torch_training(model, config)
  sides = {
    side: torch.from_numpy(rows[corpus.labelled[rows]])
    for side, rows in (
      ("train", record.fold.train),
      ("validation", record.fold.validation),
      ("test", record.fold.test),
    )
  }

  def score(side: str) -> float:
    """Computes the unweighted accuracy of a side."""
    rows = sides[side]
    model.eval()
    with torch.no_grad():
      predicted = torch.cat(
        [
          model.scores({name: x[at] for name, x in streams.items()}).argmax(1)
          for at in rows.split(config.training.batch_size)
        ]
      )
    model.train()
    true = labels[rows].argmax(1)
    recalls = [
      (predicted[true == label] == label).float().mean()
      for label in true.unique()
    ]
    return float(torch.stack(recalls).mean())

  best, kept = -1.0, None
  for _ in range(config.training.epochs):
    order = sides["train"][torch.randperm(len(sides["train"]))]
    for at in order.split(config.training.batch_size):
      step({name: x[at] for name, x in streams.items()}, labels[at])
    validated = score("validation")
    if validated > best:
      best = validated
      kept = {key: x.clone() for key, x in model.state_dict().items()}
  model.load_state_dict(kept)
  return score("test")


def _of_run(
  values: Any, name: str, number: int, default: float = 0.0
) -> np.ndarray:
  """Looks up a run's statistics; the default where it has none."""
  return np.asarray(values[name][number] if name in values else default)


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
