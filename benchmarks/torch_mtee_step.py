r"""Times MTEE's training step against the same model in eager PyTorch.

Needs PyTorch beside this project's environment:

  pip install torch
  python benchmarks/torch_mtee_step.py --rounds=5

Both train on the same shapes (T = 20, batch 64, dims 300/74/35, hidden
300/200/100, two layers, six emotions, binary cross-entropy, clip 1, Adam) on
the same threads, in turn, each in a process of its own; the last line of the
output is JSON.

PyTorch has no place beside JAX's thread pool in one process, so the script
calls itself: `--side=torch` and `--side=jax` time one of them. Another
interpreter for PyTorch can be named with `--torch_python`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

STEPS, BATCH, EMOTIONS = 20, 64, 6
DIMS = {"lexical": 300, "acoustic": 74, "visual": 35}
HIDDEN = {"lexical": 300, "acoustic": 200, "visual": 100}


def torch_step(repeats: int) -> list[float]:
  """Times each step of the published architecture in PyTorch."""
  import torch
  from torch import nn

  class Mtee(nn.Module):
    """Sum of both directions at the last step, dot products, fusion."""

    def __init__(self):
      super().__init__()
      self.encoders = nn.ModuleDict(
        {
          name: nn.LSTM(
            dim,
            HIDDEN[name],
            2,
            batch_first=True,
            bidirectional=True,
            dropout=0.15,
          )
          for name, dim in DIMS.items()
        }
      )
      self.maps = nn.ModuleDict(
        {
          name: nn.Linear(HIDDEN["lexical"], HIDDEN[name])
          for name in ("acoustic", "visual")
        }
      )
      self.fusion = nn.Linear(3, 1, bias=False)
      self.register_buffer("vectors", torch.randn(EMOTIONS, HIDDEN["lexical"]))

    def forward(self, streams):
      scores = []
      for name, frames in streams.items():
        out, _ = self.encoders[name](frames)
        both = out[:, -1].unflatten(1, (2, HIDDEN[name])).sum(1)
        space = self.vectors
        if name in self.maps:
          space = self.maps[name](space)
        scores.append(both @ space.T)
      return self.fusion(torch.stack(scores, dim=-1)).squeeze(-1)

  torch.manual_seed(0)
  net = Mtee()
  optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
  loss_fn = nn.BCEWithLogitsLoss(pos_weight=torch.ones(EMOTIONS))
  streams = {name: torch.randn(BATCH, STEPS, d) for name, d in DIMS.items()}
  labels = (torch.rand(BATCH, EMOTIONS) < 0.3).float()

  def step():
    optimiser.zero_grad()
    loss_fn(net(streams), labels).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()

  return _time(step, repeats)


def jax_step(repeats: int) -> list[float]:
  """Times each step of `mmer_jax`, dispatched one by one."""
  import jax
  import numpy as np

  from configs.mtee import mosei
  from mmer_jax.data import tables
  from mmer_jax.experiment import build
  from mmer_jax.training import random_inputs
  from mmer_jax.training import step as step_lib

  config = mosei.get_config("readme")
  system = build.build_system(config)
  table, vectors = random_inputs.random_table(config)
  runs = random_inputs.same_runs(config, table, vectors, 1)
  run = jax.tree.map(lambda leaf: leaf[0], runs)
  batch = tables.take(table, np.arange(BATCH))
  params = system.init(jax.random.key(0), batch, vectors)
  held = [step_lib.init_run(params, ())]
  compiled = jax.jit(
    lambda state, batch: step_lib.train_step(
      system.stages[-1], state, batch, run
    ),
    donate_argnums=0,
  )

  def step():
    held[0] = jax.block_until_ready(compiled(held[0], batch))

  return _time(step, repeats)


def _time(step, repeats: int) -> list[float]:
  for _ in range(3):
    step()
  seconds = []
  for _ in range(repeats):
    begun = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - begun)
  return seconds


def main() -> None:
  """Runs both sides in turn, or one of them."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--side", choices=("torch", "jax"))
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--repeats", type=int, default=20)
  parser.add_argument("--torch_python", default=sys.executable)
  flags = parser.parse_args()
  if flags.side:
    fn = {"torch": torch_step, "jax": jax_step}[flags.side]
    sys.stdout.write(json.dumps(statistics.median(fn(flags.repeats))) + "\n")
    return
  medians: dict[str, list[float]] = {"torch": [], "jax": []}
  for _ in range(flags.rounds):
    for side, seconds in medians.items():
      python = flags.torch_python if side == "torch" else sys.executable
      done = subprocess.run(
        [python, __file__, f"--side={side}", f"--repeats={flags.repeats}"],
        check=True,
        capture_output=True,
        text=True,
      )
      seconds.append(json.loads(done.stdout.splitlines()[-1]))
  ratios = [
    j / t for j, t in zip(medians["jax"], medians["torch"], strict=True)
  ]
  result = {
    "median_step_seconds": medians,
    "ratio_jax_to_torch": {
      "median": statistics.median(ratios),
      "min": min(ratios),
      "max": max(ratios),
    },
  }
  sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
  main()
