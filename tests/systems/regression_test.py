"""The loss of ratings, and the systems that learn them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.data import schema, tables
from mmer_jax.systems import registry, supervised
from tests.systems import conformance_test

MEAN = np.array([0.4, 3.1, -2.0, 50.0], np.float32)
SCALE = np.array([1.5, 0.7, 2.0, 20.0], np.float32)


def settings():
  """Of a run whose ratings have scales of their own."""
  return conformance_test.settings().replace(
    rating_mean=jnp.asarray(MEAN), rating_scale=jnp.asarray(SCALE)
  )


def rated():
  """The batch of all systems, with ratings; the unlabelled row has none."""
  batch = conformance_test.example()
  rng = np.random.default_rng(4)
  values = MEAN + SCALE * rng.normal(size=batch.labels.shape)
  labels = np.where(np.asarray(batch.labelled)[:, None], values, 0)
  return batch.replace(labels=jnp.asarray(labels, jnp.float32))


def plain(kind, logits, labels, rows):
  """The same by loops, over the rows that count."""
  total = 0.0
  if kind == "ccc":
    for column in range(labels.shape[1]):
      a, b = logits[rows, column], (labels[rows, column] - MEAN[column])
      b = b / SCALE[column]
      covariance = np.cov(a, b, bias=True)
      bottom = covariance[0, 0] + covariance[1, 1] + (a.mean() - b.mean()) ** 2
      total += 1 - 2 * covariance[0, 1] / bottom
    return total / labels.shape[1]
  for row in rows:
    for column in range(labels.shape[1]):
      away = logits[row, column] - (
        (labels[row, column] - MEAN[column]) / SCALE[column]
      )
      total += abs(away) if kind == "l1" else away**2
  return total / len(rows) / labels.shape[1]


@pytest.mark.parametrize("kind", supervised.RATING_LOSSES)
def test_the_loss_is_that_of_loops_over_the_rated_rows(kind):
  batch = rated()
  batch = batch.replace(example_mask=batch.example_mask.at[2].set(False))
  logits = np.random.default_rng(1).normal(0.3, 1.2, size=batch.labels.shape)
  loss = functools.partial(
    supervised.label_loss, supervised.Criterion("regression", kind)
  )
  got = jax.jit(loss)(jnp.asarray(logits, jnp.float32), batch, settings())
  rows = [0, 1, 3, 4, 6]
  expected = plain(kind, logits, np.asarray(batch.labels, np.float64), rows)
  np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", supervised.RATING_LOSSES)
def test_rows_without_a_rating_have_no_loss_and_no_gradient(kind):
  loss = functools.partial(
    supervised.label_loss, supervised.Criterion("regression", kind)
  )
  gradient = jax.jit(jax.value_and_grad(loss))
  batch, logits = rated(), jnp.ones((conformance_test.ROWS, 4))
  value, grads = gradient(logits, batch, settings())
  assert value > 0 and np.isfinite(grads).all()
  np.testing.assert_array_equal(grads[5], 0)
  none = batch.replace(labelled=jnp.zeros(conformance_test.ROWS, bool))
  value, grads = gradient(logits, none, settings())
  assert value == 0
  np.testing.assert_array_equal(grads, 0)


def test_outputs_come_back_in_the_scale_that_the_loss_compares_in():
  batch = rated()
  exact = (batch.labels - MEAN[None]) / SCALE[None]
  loss = supervised.label_loss(
    supervised.Criterion("regression"), exact, batch, settings()
  )
  assert float(loss) == 0
  values = supervised.in_own_scale(exact, jnp.asarray(MEAN), jnp.asarray(SCALE))
  real = np.asarray(batch.labelled)
  np.testing.assert_allclose(values[real], batch.labels[real], rtol=1e-5)
  assert supervised.in_own_scale(exact, None, None) is exact


def made(name):
  """A system with its parameters' shapes, and its loss of a batch."""
  system = registry.SYSTEMS[name](conformance_test.config(name, "regression"))
  batch, vectors = rated(), conformance_test.vectors()

  def init():
    return system.init(jax.random.key(0), batch, vectors)

  def loss(params, batch):
    return system.stages[-1].loss(params, batch, settings(), None)

  return system, init, loss


@pytest.mark.parametrize("name", sorted(registry.SYSTEMS))
def test_messages_name_the_systems_that_learn_ratings(name):
  config = conformance_test.config(name)
  able = registry.SYSTEMS[name](config).regression
  assert able == (name in registry.REGRESSION)


@pytest.mark.parametrize("name", registry.REGRESSION)
def test_every_system_that_says_so_has_a_loss_of_ratings(name):
  _, init, loss = made(name)
  value, terms = jax.eval_shape(loss, jax.eval_shape(init), rated())
  assert value.shape == ()
  assert "classification" not in terms


@pytest.mark.long
@pytest.mark.parametrize("name", registry.REGRESSION)
def test_gradients_are_finite_and_reach_every_parameter(name):
  _, init, loss = made(name)
  params = jax.jit(init)()
  gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
  (value, _), grads = gradient(params, rated())
  assert np.isfinite(value) and value > 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path
  fillers = tables.take(
    rated(), jnp.full(conformance_test.ROWS, schema.PAD_ROW)
  )
  unrated = rated().replace(labelled=jnp.zeros(conformance_test.ROWS, bool))
  for batch in (fillers, unrated):
    (value, _), grads = gradient(params, batch)
    assert value == 0
    for leaf in jax.tree.leaves(grads):
      np.testing.assert_array_equal(leaf, 0)
