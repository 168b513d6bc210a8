"""One run's update and failure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.data import normalise, schema, tables
from mmer_jax.systems import interface
from mmer_jax.training import step as step_lib
from tests import toy

VECTORS = jnp.zeros((toy.EMOTIONS, 2))


def one(runs):
  return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), runs)


def start(run, batch):
  params = toy.init(jax.random.key(0), batch, VECTORS)
  return step_lib.init_run(params, ("logit_norm",))


def step(state, batch, run, stage=toy.SYSTEM.stages[0]):
  return step_lib.train_step(stage, state, batch, run)


def normalised(table, rows, run):
  batch = tables.take(table, np.asarray(rows))
  return normalise.normalise(batch, run.mean, run.scale)


@pytest.mark.parametrize("clip_norm", [0.0, 0.05, 100.0])
def test_updates_equal_adam_with_clip_then_coupled_decay(clip_norm):
  """The oracle is PyTorch's order in NumPy: clip, L2, Adam."""
  run = one(toy.runs([3], weight_decay=0.1, clip_norm=clip_norm))
  table = toy.table(8)
  batch = normalised(table, np.arange(8), run)
  state = start(run, batch)
  params = {k: np.asarray(v, np.float64) for k, v in state.train.params.items()}
  m = {k: np.zeros_like(v) for k, v in params.items()}
  v = {k: np.zeros_like(v) for k, v in params.items()}
  for t in range(1, 6):
    key = step_lib.stream_key(run.seed, "toy", t - 1)
    grads = jax.grad(lambda p, key=key: toy.loss(p, batch, run, key)[0])(
      state.train.params
    )
    norm = np.sqrt(sum(np.square(g).sum() for g in grads.values()))
    factor = clip_norm / norm if clip_norm and norm > clip_norm else 1.0
    for name, grad in grads.items():
      grad = np.asarray(grad, np.float64) * factor + 0.1 * params[name]
      m[name] = 0.9 * m[name] + 0.1 * grad
      v[name] = 0.999 * v[name] + 0.001 * grad**2
      update = (m[name] / (1 - 0.9**t)) / (
        np.sqrt(v[name] / (1 - 0.999**t)) + 1e-8
      )
      params[name] = params[name] - 1e-2 * update
    state = step(state, batch, run)
    for name, value in params.items():
      np.testing.assert_allclose(
        state.train.params[name], value, rtol=2e-5, atol=2e-6
      )
  assert int(state.train.step) == 5


def test_a_batch_of_fillers_changes_nothing():
  run = one(toy.runs([0]))
  table = toy.table(8)
  batch = normalised(table, np.arange(4), run)
  state = step(start(run, batch), batch, run)
  empty = normalised(table, np.full(4, schema.PAD_ROW), run)
  after = step(state, empty, run)
  jax.tree.map(np.testing.assert_array_equal, state, after)


def test_fillers_in_a_batch_change_nothing():
  run = one(toy.runs([0]))
  table = toy.table(8)
  # No noise: it is drawn for the whole batch, fillers included.
  stage = interface.Stage("quiet", lambda p, b, r, key: toy.loss(p, b, r, None))
  full = normalised(table, [1, 5, 2], run)
  padded = normalised(table, [1, 5, 2, -1, -1], run)
  state = start(run, full)
  a, b = step(state, full, run, stage), step(state, padded, run, stage)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7),
    a.train.params,
    b.train.params,
  )
  assert float(a.progress.examples) == float(b.progress.examples) == 3


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_parameters():
  run = one(toy.runs([0]))
  table = toy.table(8)
  batch = normalised(table, np.arange(4), run)
  state = step(start(run, batch), batch, run)
  bad = interface.Stage(
    "bad", lambda p, b, r, key: (p["w"].sum() * jnp.nan, {"logit_norm": 0.0})
  )
  failed = step(state, batch, run, bad)
  assert int(failed.progress.failed_step) == 1
  assert bool(failed.progress.stopped)
  jax.tree.map(np.testing.assert_array_equal, state.train, failed.train)
  # A good step afterwards does not wake it, nor move the recorded step.
  again = step(failed, batch, run)
  jax.tree.map(np.testing.assert_array_equal, failed, again)


def test_an_infinite_gradient_of_a_finite_loss_stops_the_run():
  run = one(toy.runs([0]))
  batch = normalised(toy.table(8), np.arange(4), run)
  stage = interface.Stage(
    "steep",
    lambda p, b, r, key: (jnp.sqrt(p["b"]).sum(), {"logit_norm": 0.0}),
  )
  failed = step(start(run, batch), batch, run, stage)
  assert int(failed.progress.failed_step) == 0


def test_the_epoch_means_are_over_examples():
  run = one(toy.runs([0], learning_rate=0.0))
  table = toy.table(7)
  stage = interface.Stage("quiet", lambda p, b, r, key: toy.loss(p, b, r, None))
  whole = normalised(table, np.arange(7), run)
  state = start(run, whole)
  expected = toy.loss(state.train.params, whole, run, None)[0]
  for rows in ([0, 1, 2, 3], [4, 5, 6, -1]):
    state = step(state, normalised(table, rows, run), run, stage)
  mean = state.progress.sums["loss"] / state.progress.examples
  np.testing.assert_allclose(mean, expected, rtol=1e-6)


def test_sgd_steps_along_the_clipped_gradient():
  run = one(toy.runs([3], learning_rate=0.5, clip_norm=0.05))
  batch = normalised(toy.table(8), np.arange(8), run)
  stage = toy.SYSTEM.stages[0]._replace(optimizer="sgd")
  params = toy.init(jax.random.key(0), batch, VECTORS)
  state = step_lib.init_run(params, ("logit_norm",), "sgd")
  key = step_lib.stream_key(run.seed, "toy", 0)
  grads = jax.grad(lambda p: toy.loss(p, batch, run, key)[0])(params)
  norm = np.sqrt(sum(np.square(g).sum() for g in grads.values()))
  assert norm > 0.05
  after = step(state, batch, run, stage).train.params
  for name, grad in grads.items():
    np.testing.assert_allclose(
      after[name], params[name] - 0.5 * 0.05 / norm * grad, rtol=1e-5
    )


def test_a_frozen_part_stays_and_has_no_share_in_the_clip():
  """Without it the gradient would be longer, and decay would shrink it."""
  run = one(toy.runs([0], weight_decay=0.1, clip_norm=0.05))
  batch = normalised(toy.table(8), np.arange(8), run)
  frozen = toy.SYSTEM.stages[0]._replace(frozen=("w",))
  state = start(run, batch)
  after = step(state, batch, run, frozen).train.params
  np.testing.assert_array_equal(after["w"], state.train.params["w"])
  key = step_lib.stream_key(run.seed, "toy", 0)
  grad = jax.grad(lambda p: toy.loss(p, batch, run, key)[0])(
    state.train.params
  )["b"]
  assert np.linalg.norm(grad) > 0.05
  # Adam's first step is the sign, times the rate.
  np.testing.assert_allclose(after["b"], -1e-2 * np.sign(grad), rtol=1e-4)


def test_statistics_are_replaced_and_not_descended():
  def loss(params, batch, run, key):
    rest = {k: v for k, v in params.items() if k != interface.STATISTICS}
    value, terms = toy.loss(rest, batch, run, key)
    seen = params[interface.STATISTICS]["seen"]
    statistics = {"seen": seen + batch.example_mask.sum()}
    return value * seen, {**terms, interface.STATISTICS: statistics}

  run = one(toy.runs([0], weight_decay=0.1))
  batch = normalised(toy.table(8), np.arange(8), run)
  stage = interface.Stage("toy", loss)
  state = start(run, batch)
  params = {
    **state.train.params,
    interface.STATISTICS: {"seen": jnp.float32(1.0)},
  }
  state = step_lib.init_run(params, ("logit_norm", interface.STATISTICS))
  for count in (9.0, 17.0):
    state = step(state, batch, run, stage)
    assert state.train.params[interface.STATISTICS]["seen"] == count
  assert interface.STATISTICS not in state.progress.sums
  # A step that is not taken teaches nothing.
  fillers = normalised(toy.table(8), np.full(8, schema.PAD_ROW), run)
  again = step(state, fillers, run, stage)
  jax.tree.map(np.testing.assert_array_equal, again, state)


def test_a_loss_sees_the_epoch():
  def loss(params, batch, run, key):
    value, terms = toy.loss(params, batch, run, key)
    return value, {"logit_norm": run.epoch.astype(jnp.float32)}

  run = one(toy.runs([0]))
  batch = normalised(toy.table(8), np.arange(8), run)
  state = start(run, batch)
  state = state.replace(
    progress=state.progress.replace(epoch=jnp.asarray(3, jnp.int32))
  )
  after = step(state, batch, run, interface.Stage("toy", loss))
  assert after.progress.sums["logit_norm"] == 3 * 8


def test_streams_of_random_numbers_differ():
  keys = {
    tuple(np.asarray(jax.random.key_data(step_lib.stream_key(s, name, step))))
    for s in (0, 1)
    for name in ("init", "toy")
    for step in (0, 1)
  }
  assert len(keys) == 8
