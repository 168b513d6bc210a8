"""The gradient that GEM descends, and the stages that learn new emotions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from mmer_jax.data import few_shot, schema, tables
from mmer_jax.systems import continual, registry
from mmer_jax.training import step
from tests import toy

SLOTS = 6
VECTORS = jnp.zeros((toy.EMOTIONS, 2))


def quiet(params, batch, run, key):
  """The toy's loss without its noise, against its terms."""
  del key
  return toy.loss(params, batch, run, None)[0], {}


def setup(seed=0):
  run = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), toy.runs([seed]))
  table = toy.table(40, seed)
  params = toy.init(jax.random.key(seed), table, VECTORS)
  params = jax.tree.map(lambda leaf: 3 * leaf, params)
  return run, table, params


def grouped(own, *tasks):
  kept = np.full((len(tasks), SLOTS), schema.PAD_ROW, np.int32)
  for index, task in enumerate(tasks):
    kept[index, : len(task)] = task
  return few_shot.with_memory(np.asarray([own], np.int32), kept)[0]


def flat(tree):
  return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("seed", range(4))
def test_a_step_raises_no_loss_that_the_memory_keeps(seed):
  """The oracle takes each group's gradient on its own."""
  run, table, params = setup(seed)
  rows = ([0, 1, 2, 3, 4], [10, 11, 12, 13], [20, 21, 22, 23, 24, 25])
  gradient = continual.gem(quiet, SLOTS, margin=0.0, eps=1e-6)
  (value, terms), got = jax.jit(gradient)(
    params, tables.take(table, grouped(*rows)), run, None
  )
  each = [
    jax.value_and_grad(quiet, has_aux=True)(
      params, tables.take(table, np.asarray(task)), run, None
    )
    for task in rows
  ]
  np.testing.assert_allclose(value, each[0][0][0], rtol=1e-5)
  own, *memory = [flat(grads) for _, grads in each]
  products = [own @ task for task in memory]
  assert bool(terms["projected"]) == (min(products) < 0)
  if min(products) >= 0:
    np.testing.assert_allclose(flat(got), own, rtol=1e-4, atol=1e-6)
  for task in memory:
    scale = np.linalg.norm(task) * np.linalg.norm(own)
    assert flat(got) @ task > -1e-4 * scale


def test_a_memory_that_pulls_the_other_way_is_projected_on():
  """One row with two labels, and probabilities of a third each.

  The products of the gradients are then (1/3 - y)'(1/3 - y') = -1/3 times the
  square of the input.
  """
  run, table, params = setup()
  params = jax.tree.map(jnp.zeros_like, params)
  labels = np.roll(table.labels, 1, axis=1)
  both = jax.tree.map(
    lambda a, b: np.concatenate([a, b]), table, table.replace(labels=labels)
  )
  rows = grouped([3], [43])
  batch = tables.take(both, rows)
  gradient = continual.gem(quiet, SLOTS, margin=0.0, eps=0.0)
  (_, terms), got = gradient(params, batch, run, None)
  own, memory = (
    flat(
      jax.grad(lambda p, r=r: quiet(p, tables.take(both, r), run, 0)[0])(params)
    )
    for r in (rows[:SLOTS], rows[SLOTS:])
  )
  assert own @ memory < 0, "the case must conflict"
  assert bool(terms["projected"])
  expected = own - (own @ memory) / (memory @ memory) * memory
  np.testing.assert_allclose(flat(got), expected, rtol=1e-4, atol=1e-5)


def test_a_memory_without_a_row_changes_nothing():
  run, table, params = setup()
  gradient = continual.gem(quiet, SLOTS, margin=0.5, eps=1e-3)
  rows = grouped([0, 1, 2], [])
  (_, terms), got = gradient(params, tables.take(table, rows), run, None)
  _, own = jax.value_and_grad(quiet, has_aux=True)(
    params, tables.take(table, rows[:SLOTS]), run, None
  )
  assert not bool(terms["projected"])
  np.testing.assert_allclose(flat(got), flat(own), rtol=1e-6)


@pytest.mark.parametrize("method", ["none", "fine_tune", "joint", "gem"])
def test_a_new_emotion_is_a_stage(method):
  config = quickstart.get_config("smoke")
  with config.unlocked():
    config.protocol.decision = "binary"
    config.protocol.unseen = (("angry", "sad"),)
    config.few_shot.method = method
  stages = registry.SYSTEMS["mtee"](config).stages
  later = [] if method == "none" else [f"{method}_1", f"{method}_2"]
  assert [stage.name for stage in stages] == ["supervised", *later]
  for stage in stages[1:]:
    assert stage.rate == config.few_shot.rate
    assert stage.section == "few_shot"
    assert (stage.gradient is not None) == (method == "gem")


def test_a_gem_step_is_one_program_without_a_call_to_the_host():
  config = quickstart.get_config("smoke")
  with config.unlocked():
    config.protocol.decision = "binary"
    config.protocol.unseen = (("angry",),)
    config.few_shot.method = "gem"
    config.few_shot.memory = 4
    config.training.batch_size = 4
    config.data.modalities = ("acoustic",)
  system = registry.SYSTEMS["mtee"](config)
  table = toy.table(20)
  run = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), toy.runs([0]))
  vectors = jnp.ones((toy.EMOTIONS, config.model.hidden.lexical))
  run = run.replace(vectors=vectors)
  batch = jax.tree.map(jnp.asarray, tables.take(table, np.arange(12)))
  params = system.init(jax.random.key(0), batch, vectors)
  state = step.init_run(params, ("projected",))
  stage = system.stages[1]
  text = (
    jax.jit(lambda state, batch: step.train_step(stage, state, batch, run))
    .lower(state, batch)
    .compile()
    .as_text()
  )
  assert "while" in text, "the dual is solved in a loop of the program"
  for word in ("callback", "infeed", "outfeed", "send(", "recv("):
    assert word not in text, word
