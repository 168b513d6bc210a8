"""One run's plateau, selection and early stopping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.data import normalise, tables
from mmer_jax.training import selection
from mmer_jax.training import step as step_lib
from tests import toy

VECTORS = jnp.zeros((toy.EMOTIONS, 2))


def one(runs):
  return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), runs)


def start(run, batch):
  params = toy.init(jax.random.key(0), batch, VECTORS)
  return step_lib.init_run(params, ("logit_norm",))


def normalised(table, rows, run):
  batch = tables.take(table, np.asarray(rows))
  return normalise.normalise(batch, run.mean, run.scale)


class Reference:
  """ReduceLROnPlateau, selection and early stopping, as plain Python."""

  def __init__(self, factor, patience, early_stopping):
    self.rate, self.low, self.bad = 1.0, float("inf"), 0
    self.best, self.best_epoch, self.epoch = -float("inf"), 0, 0
    self.factor, self.patience, self.early = factor, patience, early_stopping
    self.stopped = False

  def end(self, loss, value):
    if self.stopped:
      return
    self.epoch += 1
    if value > self.best:
      self.best, self.best_epoch = value, self.epoch
    if loss < self.low * (1 - 1e-4):
      self.low, self.bad = loss, 0
    else:
      self.bad += 1
    if self.bad > self.patience:
      self.rate, self.bad = self.rate * self.factor, 0
    if self.early and self.epoch - self.best_epoch >= self.early:
      self.stopped = True


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("select", ["loss", "accuracy", "last"])
def test_plateau_selection_and_early_stopping_follow_the_rules(seed, select):
  rng = np.random.default_rng(seed)
  rules = toy.RULES._replace(select=select, patience=2, early_stopping=7)
  run = one(toy.runs([0]))
  batch = normalised(toy.table(4), np.arange(4), run)
  state = start(run, batch)
  reference = Reference(0.1, 2, 7)
  labels = np.eye(toy.EMOTIONS, dtype=np.float32)[rng.integers(3, size=12)]
  for epoch in range(30):
    # Parameters that name their epoch, to see which one is selected.
    params = jax.tree.map(
      lambda p, e=epoch: jnp.full_like(p, e + 1), state.train.params
    )
    state = state.replace(train=state.train.replace(params=params))
    loss = np.float32(rng.choice([1.0, 0.9, 0.8, 0.7]) + 0.01 * rng.random())
    logits = rng.normal(size=(12, 3)).astype(np.float32)
    hits = (logits.argmax(1) == labels.argmax(1)).mean()
    value = {"loss": -loss, "accuracy": np.float32(hits), "last": epoch}[select]
    reference.end(loss, value)
    state, log = selection.end_epoch(
      rules,
      state,
      selection.Validation(
        jnp.asarray(logits),
        jnp.asarray(labels),
        jnp.ones(12, bool),
        jnp.ones(3, bool),
        jnp.asarray(loss),
      ),
    )
    progress = state.progress
    np.testing.assert_allclose(progress.rate_scale, reference.rate, rtol=1e-5)
    assert int(progress.best_epoch) == reference.best_epoch
    assert bool(progress.stopped) == reference.stopped
    assert int(progress.epoch) == reference.epoch
    assert float(state.best_params["w"][0, 0]) == reference.best_epoch
  # The last epoch is always the best: nothing to wait for.
  assert reference.stopped == (select != "last")


def test_a_validation_loss_that_is_not_finite_is_never_selected():
  rules = toy.RULES._replace(select="loss")
  run = one(toy.runs([0]))
  batch = normalised(toy.table(4), np.arange(4), run)
  state = start(run, batch)
  validation = selection.Validation(
    jnp.full((4, 3), jnp.nan),
    jnp.asarray(batch.labels),
    jnp.ones(4, bool),
    jnp.ones(3, bool),
    jnp.asarray(jnp.nan),
  )
  state, _ = selection.end_epoch(rules, state, validation)
  assert int(state.progress.best_epoch) == 0
  assert np.isinf(state.progress.plateau_best)


@pytest.mark.parametrize(("row", "selected"), [(0, 0), (3, 1)])
def test_a_prediction_that_is_not_finite_is_never_selected(row, selected):
  """The loss may be of something else; row 3 is only a filler."""
  run = one(toy.runs([0]))
  batch = normalised(toy.table(4), np.arange(4), run)
  state = start(run, batch)
  validation = selection.Validation(
    jnp.asarray(batch.labels).at[row].set(jnp.inf),
    jnp.asarray(batch.labels),
    jnp.arange(4) < 3,
    jnp.ones(3, bool),
    jnp.asarray(0.5),
  )
  state, _ = selection.end_epoch(toy.RULES, state, validation)
  assert int(state.progress.best_epoch) == selected


@pytest.mark.parametrize(
  ("select", "best"), [("mae", 2), ("ccc", 2), ("pearson", 1), ("loss", 3)]
)
def test_of_ratings_the_smallest_error_is_selected(select, best):
  rules = toy.RULES._replace(
    decision="regression", select=select, rating_ranges=((-3.0, 3.0),) * 3
  )
  run = one(toy.runs([0]))
  state = start(run, normalised(toy.table(4), np.arange(4), run))
  truth = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
  rough = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
  # Far off but exactly in line; then near; then neither.
  for values, loss in (
    (3 * truth + 2, 3),
    (truth + 0.1 * rough, 2),
    (rough, 1),
  ):
    state, log = selection.end_epoch(
      rules,
      state,
      selection.Validation(
        jnp.asarray(values),
        jnp.asarray(truth),
        jnp.ones(12, bool),
        jnp.ones(3, bool),
        jnp.float32(loss),
      ),
    )
    error = np.abs(values - truth).mean()
    np.testing.assert_allclose(log["validation_mae"], error, rtol=1e-5)
  assert int(state.progress.best_epoch) == best
