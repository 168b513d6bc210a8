"""PyTorch's side of `vs_torch.py`."""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import cases
import ml_collections
import numpy as np
import torch
import torch_models

from mmer_jax.experiment import build


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
  """Times a step of PyTorch."""
  torch.manual_seed(0)
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  config = cases.read(case)
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
  train = _training(model, config)
  taken = cases.times(lambda: train(streams, labels), seconds)
  return {
    "seconds": statistics.median(taken),
    "steps": len(taken),
    "parameters": sum(each.numel() for each in model.parameters()),
  }


def _training(
  model: torch.nn.Module, config: ml_collections.ConfigDict
) -> Callable[..., float]:
  """Makes a step: backward pass, clip, Adam."""
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


def whole_table(shards: pathlib.Path, seeds: int) -> dict[str, Any]:
  """Trains and evaluates run by run, on the same rows."""
  begun = time.perf_counter()
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  experiment = build.build_experiment(cases.table(shards, seeds))
  scores = [
    _run(experiment, number) for number in range(len(experiment.records))
  ]
  return {
    "seconds": time.perf_counter() - begun,
    "unweighted_accuracy": statistics.mean(scores),
  }


def _run(experiment: build.Experiment, number: int) -> float:
  """Trains one run, keeps its best epoch, and scores it on its test rows."""
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
  train = _training(model, config)
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
      train({name: x[at] for name, x in streams.items()}, labels[at])
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


if __name__ == "__main__":
  main()
