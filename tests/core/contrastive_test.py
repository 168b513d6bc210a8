"""Eq. 2 and 5 of Aguilar et al. against loops and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import contrastive, losses
from tests.core import numeric

N, D, K = 6, 3, 3
LABELS = np.eye(K)[[0, 1, 2, 0, 1, 0]]
OTHERS = ~np.eye(K, dtype=bool)
MASK = np.array([1, 1, 1, 1, 1, 0], bool)


def vectors():
  rng = np.random.default_rng(0)
  return rng.normal(size=(N, D)), rng.normal(0.5, 1.0, size=(N, D))


def distance(v, w):
  return 1 - v @ w / np.sqrt(v @ v) / np.sqrt(w @ w)


def numpy_contrastive(a, m, negatives, mask, margin):
  """Eq. 2 with the weights of the negatives."""
  rows = np.flatnonzero(mask)
  total = 0.0
  for x, y in ((a, m), (m, a)):
    for i in rows:
      for j in np.flatnonzero(negatives[i]):
        hinge = max(0, margin + distance(x[i], y[i]) - distance(x[i], y[j]))
        total += negatives[i, j] * hinge / (2 * len(rows))
  return total


def choose(seed=None, labels=LABELS, wanted=OTHERS, mask=MASK):
  return np.asarray(
    contrastive.choose_negatives(
      jnp.asarray(labels),
      jnp.asarray(wanted),
      jnp.asarray(mask),
      key=None if seed is None else jax.random.key(seed),
    )
  )


@pytest.mark.parametrize("seed", [None, 0])
def test_values_and_gradients_equal_equation_2(seed):
  with jax.enable_x64(True):
    a, m = vectors()
    negatives = choose(seed)
    value, grads = jax.value_and_grad(
      lambda a, m: contrastive.contrastive(
        a, m, jnp.asarray(negatives), jnp.asarray(MASK), margin=0.5
      ),
      argnums=(0, 1),
    )(jnp.asarray(a), jnp.asarray(m))
    expected = numpy_contrastive(a, m, negatives, MASK, 0.5)
    assert expected > 0.1
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    oracle = numeric.differences(
      lambda p: numpy_contrastive(p["a"], p["m"], negatives, MASK, 0.5),
      {"a": a, "m": m},
    )
    np.testing.assert_allclose(grads[0], oracle["a"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(grads[1], oracle["m"], rtol=0, atol=1e-8)


def test_by_hand():
  """Distances 0 and 1 with itself and the other; 1 and 2 in a circle.

  Row 0: a = (1, 0), m = (1, 0); row 1: a = (0, 1), m = (-1, 0). a -> m:
  max(0, .5 + 0 - dis(a0, m1) = 2) = 0; max(0, .5 + 1 - dis(a1, m0) = 1) = .5.
  m -> a: max(0, .5 + 0 - dis(m0, a1) = 1) = 0; max(0, .5 + 1 - dis(m1, a0) = 2)
  = 0. Eq. 2: .5 / (2 * 2) = .125.
  """
  a = jnp.array([[1.0, 0.0], [0.0, 3.0]])
  m = jnp.array([[2.0, 0.0], [-1.0, 0.0]])
  swap = jnp.array([[0.0, 1.0], [1.0, 0.0]])
  value = contrastive.contrastive(a, m, swap, jnp.ones(2, bool), margin=0.5)
  assert value == 0.125


def test_negatives_of_other_batches_are_columns_of_their_own():
  a, m = (jnp.asarray(x, jnp.float32) for x in vectors())
  inside = contrastive.contrastive(
    a, m, jnp.asarray(choose(1)), jnp.asarray(MASK), margin=0.5
  )
  order = np.array([4, 2, 0, 1, 3, 5])
  outside = contrastive.contrastive(
    a,
    m,
    jnp.asarray(choose(1)[:, order]),
    jnp.asarray(MASK),
    margin=0.5,
    first_others=a[order],
    second_others=m[order],
  )
  np.testing.assert_allclose(outside, inside, rtol=1e-6)


def test_a_negative_has_a_wanted_class_and_every_such_one_is_drawn():
  confusable = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
  seen = sum(choose(seed, wanted=confusable) for seed in range(40))
  allowed = np.zeros((N, N), bool)
  for i, j in np.ndindex(N, N):
    classes = LABELS[i].argmax(), LABELS[j].argmax()
    allowed[i, j] = MASK[i] and MASK[j] and confusable[classes]
  np.testing.assert_array_equal(seen > 0, allowed)
  mean = choose(None, wanted=confusable)
  np.testing.assert_array_equal(mean > 0, allowed)
  np.testing.assert_allclose(mean.sum(axis=1), allowed.any(axis=1))


@pytest.mark.parametrize("seed", [None, 0])
def test_without_a_negative_there_is_no_loss_and_no_gradient(seed):
  same = np.eye(K)[[1] * N]
  a, m = (jnp.asarray(x, jnp.float32) for x in vectors())
  negatives = choose(seed, labels=same)
  assert not negatives.any()
  # Nor has an utterance of which nothing is known a direction.
  a = a.at[0].set(0.0)
  for weights, mask in (
    (negatives, MASK),
    (choose(seed), np.zeros(N, bool)),
    (choose(seed), MASK),
  ):
    value, grads = jax.value_and_grad(
      lambda a, m, weights=weights, mask=mask: contrastive.contrastive(
        a, m, jnp.asarray(weights), jnp.asarray(mask), margin=0.5
      ),
      argnums=(0, 1),
    )(a, m)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in grads)
    np.testing.assert_array_equal(grads[0][0], 0.0)
    if not (weights.any() and mask.any()):
      assert value == 0 and not any(np.asarray(g).any() for g in grads)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_distillation_and_its_gradient_equal_equation_5(temperature):
  def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

  def numpy_kl(student):
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    each = (p * np.log(p / q)).sum(axis=1)
    return temperature**2 * each

  with jax.enable_x64(True):
    rng = np.random.default_rng(1)
    teacher, student = rng.normal(size=(2, N, K))
    weights = rng.normal(size=N)
    got = losses.distillation(
      jnp.asarray(teacher), jnp.asarray(student), temperature
    )
    np.testing.assert_allclose(got, numpy_kl(student), rtol=1e-12)
    by_teacher, by_student = jax.grad(
      lambda t, s: (losses.distillation(t, s, temperature) * weights).sum(),
      argnums=(0, 1),
    )(jnp.asarray(teacher), jnp.asarray(student))
    oracle = numeric.differences(
      lambda p: (numpy_kl(p["s"]) * weights).sum(), {"s": student}
    )
    np.testing.assert_allclose(by_student, oracle["s"], rtol=0, atol=1e-8)
    np.testing.assert_array_equal(by_teacher, 0.0)
