r"""Times a GEM step against a plain one and one that solves on the host.

  pip install quadprog
  python benchmarks/gem_step.py --tasks=1 --tasks=5

MTEE in the sizes of `configs/mtee/mosei.py:readme`: a batch of 64 and a memory
of 64 samples for each task. The plain step is on the same rows as one batch;
the step on the host has the same gradients, brings products and Gram matrix to
NumPy, solves with quadprog in float64 and goes back. In turn, several rounds;
the last line of the output is JSON.
"""

import argparse
import json
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import quadprog

from configs.mtee import mosei
from mmer_jax.data import tables
from mmer_jax.experiment import build
from mmer_jax.training import random_inputs
from mmer_jax.training import step as step_lib


def steps(tasks: int):
  """Compiles the three steps; gives each with its first state."""
  config = mosei.get_config("readme")
  with config.unlocked():
    config.protocol.unseen = (("surprise",),)
    config.few_shot.method = "gem"
    config.few_shot.memory = config.training.batch_size
  system = build.build_system(config)
  table, vectors = random_inputs.random_table(config)
  run = jax.tree.map(
    lambda leaf: jnp.asarray(leaf[0]),
    random_inputs.same_runs(config, table, vectors, 1),
  )
  rows = np.random.default_rng(0).integers(
    len(table.labels), size=(1 + tasks) * config.training.batch_size
  )
  batch = jax.tree.map(jnp.asarray, tables.take(table, rows.astype(np.int32)))
  params = jax.jit(system.init)(jax.random.key(0), batch, run.vectors)
  state = step_lib.init_run(params, ("projected",))
  plain, gem = system.stages

  def step_of(stage):
    return jax.jit(lambda state: step_lib.train_step(stage, state, batch, run))

  bare = {"loss": state.progress.sums["loss"]}
  without = state.replace(progress=state.progress.replace(sums=bare))
  return {
    "plain": (step_of(plain), without),
    "gem": (step_of(gem), state),
    "host": (host_step(system, run, batch, tasks, config.few_shot), state),
  }


def host_step(system, run, batch, tasks, few_shot):
  """Makes GEM's step as published: gradients, quadprog on the host, update."""
  plain, gem = system.stages
  groups = jax.tree.map(
    lambda leaf: leaf.reshape(1 + tasks, -1, *leaf.shape[1:]), batch
  )

  @jax.jit
  def gradients(params):
    grads = jax.vmap(
      lambda group: jax.grad(plain.loss, has_aux=True)(
        params, group, run, jax.random.key(1)
      )[0]
    )(groups)
    leaves = [leaf.reshape(1 + tasks, -1) for leaf in jax.tree.leaves(grads)]
    return grads, sum(leaf @ leaf.T for leaf in leaves)

  @jax.jit
  def apply(state, grads, weights):
    projected = jax.tree.map(
      lambda leaf: leaf[0] + jnp.tensordot(weights, leaf[1:], 1), grads
    )
    on_projected = gem._replace(
      gradient=lambda *_: ((jnp.zeros(()), {"projected": 1.0}), projected)
    )
    return step_lib.train_step(on_projected, state, batch, run)

  def on_host(state):
    grads, gram = gradients(state.train.params)
    weights = solve(np.asarray(gram, np.float64), few_shot)
    return apply(state, grads, jnp.asarray(weights, jnp.float32))

  return on_host


def solve(gram, few_shot):
  """Weighs the memories' gradients by quadprog; zeros where none is opposed."""
  tasks = len(gram) - 1
  if not (gram[0, 1:] < 0).any():
    return np.zeros(tasks)
  inner = gram[1:, 1:]
  inner = inner + few_shot.eps * np.diag(inner).mean() * np.eye(tasks)
  scale = np.diag(inner).mean()
  return quadprog.solve_qp(
    inner / scale,
    -gram[0, 1:] / scale,
    np.eye(tasks),
    np.full(tasks, few_shot.margin),
  )[0]


def main() -> None:
  """Times the steps in turn and prints medians as JSON."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--tasks", type=int, action="append", required=True)
  parser.add_argument("--rounds", type=int, default=8)
  flags = parser.parse_args()
  result = {}
  for tasks in flags.tasks:
    made = steps(tasks)
    seconds = {name: [] for name in made}
    for step, state in made.values():
      jax.block_until_ready(step(state))
    for _ in range(flags.rounds):
      for name, (step, state) in made.items():
        begun = time.perf_counter()
        jax.block_until_ready(step(state))
        seconds[name].append(time.perf_counter() - begun)
    median = {
      name: statistics.median(values) for name, values in seconds.items()
    }
    result[f"tasks_{tasks}"] = {
      "median_step_seconds": median,
      "gem_to_plain": median["gem"] / median["plain"],
      "gem_to_host": median["gem"] / median["host"],
    }
  sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
  main()
