"""Random masks, lengths and scales: layers and metrics against plain loops.

Shapes are fixed, so that each function is compiled once.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mmer_jax.core import attention, lstm, masked, metrics, mmd

B, T, D, H = 4, 6, 3, 2

many = settings(deadline=None, max_examples=30)
problems = given(
  seed=st.integers(0, 2**32 - 1),
  share=st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]),
  scale=st.sampled_from([1e-6, 1e-2, 1.0, 30.0, 1e4]),
)


def drawn(seed, share, scale, *shape):
  """Numbers off zero, and a mask that may be empty in rows or everywhere."""
  rng = np.random.default_rng(seed)
  values = scale * rng.normal(0.3, 1.0, size=shape)
  return rng, values.astype(np.float32), rng.random(shape[:2]) < share


def spoiled(values, mask):
  """The same real steps, and something else at padding."""
  return np.where(mask[..., None], values, np.float32(7.5e5))


@many
@problems
def test_masked_means_are_those_of_the_real_steps(seed, share, scale):
  _, values, mask = drawn(seed, share, scale, B, T, D)
  close = functools.partial(
    np.testing.assert_allclose, rtol=1e-4, atol=1e-5 * scale
  )
  frames = jnp.asarray(spoiled(values, mask))
  got = masked.mean_over_steps(frames, jnp.asarray(mask))
  mean, variance = masked.moments(frames, jnp.asarray(mask))
  real = values[mask].astype(np.float64)
  if not len(real):
    real = np.zeros((1, D))
  close(mean, real.mean(axis=0))
  np.testing.assert_allclose(
    variance, real.var(axis=0), rtol=1e-4, atol=1e-5 * scale**2
  )
  for row in range(B):
    own = values[row][mask[row]].astype(np.float64)
    close(got[row], own.mean(axis=0) if len(own) else np.zeros(D))
  flat = masked.mean(jnp.asarray(values[:, 0, 0]), jnp.asarray(mask[:, 0]))
  own = values[:, 0, 0][mask[:, 0]]
  close(flat, own.mean() if len(own) else 0.0)


@functools.cache
def attended():
  return jax.jit(attention.attend)


@many
@problems
def test_attention_averages_the_values_that_may_be_seen(seed, share, scale):
  rng, values, _ = drawn(seed, share, scale, B, T, D)
  queries, keys = rng.normal(size=(2, B, T, D)).astype(np.float32)
  mask = rng.random((B, T, T)) < share
  got = attended()(
    *(jnp.asarray(x)[:, :, None] for x in (queries, keys, values)),
    jnp.asarray(mask),
  )[:, :, 0]
  for b in range(B):
    for t in range(T):
      seen = mask[b, t]
      if not seen.any():
        np.testing.assert_array_equal(got[b, t], 0)
        continue
      scores = keys[b][seen].astype(np.float64) @ queries[b, t] / np.sqrt(D)
      weights = np.exp(scores - scores.max())
      expected = weights / weights.sum() @ values[b][seen]
      np.testing.assert_allclose(
        got[b, t], expected, rtol=1e-4, atol=1e-5 * scale
      )


@functools.cache
def pooled():
  layer = attention.ContextAttention(4, "float32")
  params = layer.init(
    jax.random.key(0), jnp.ones((B, T, D)), jnp.ones((B, T), bool)
  )
  return jax.jit(functools.partial(layer.apply, params))


@many
@problems
def test_pooling_weighs_the_real_steps_to_one(seed, share, scale):
  _, values, mask = drawn(seed, share, scale, B, T, D)
  vectors, weights = pooled()(jnp.asarray(values), jnp.asarray(mask))
  other, same = pooled()(jnp.asarray(spoiled(values, mask)), jnp.asarray(mask))
  np.testing.assert_array_equal(weights, same)
  np.testing.assert_array_equal(vectors, other)
  assert not np.asarray(weights)[~mask].any()
  np.testing.assert_allclose(weights.sum(axis=1), mask.any(axis=1), atol=1e-5)
  for row in range(B):
    own = values[row][mask[row]]
    if len(own):
      slack = 1e-5 * max(scale, 1e-6)
      assert (vectors[row] >= own.min(axis=0) - slack).all()
      assert (vectors[row] <= own.max(axis=0) + slack).all()


@functools.cache
def encoded(readout):
  layer = lstm.BiLSTM(
    hidden=H,
    layers=2,
    dropout=0.0,
    dtype="float32",
    readout=readout,
    bidirectional=True,
  )
  params = layer.init(
    jax.random.key(1), jnp.ones((B, T, D)), jnp.ones((B, T), bool), key=None
  )
  return jax.jit(lambda x, mask: layer.apply(params, x, mask, key=None))


@pytest.mark.parametrize("readout", ["last", "final"])
@many
@problems
def test_an_lstm_reads_the_real_steps_wherever_they_lie(
  readout, seed, share, scale
):
  _, values, mask = drawn(seed, share, scale, B, T, D)
  packed, lengths = np.zeros_like(values), mask.sum(axis=1)
  for row in range(B):
    packed[row, : lengths[row]] = values[row][mask[row]]
  in_front = np.arange(T)[None, :] < lengths[:, None]
  got = encoded(readout)(jnp.asarray(spoiled(values, mask)), jnp.asarray(mask))
  expected = encoded(readout)(jnp.asarray(packed), jnp.asarray(in_front))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
    got,
    expected,
  )
  for part in got:
    assert not np.asarray(part)[lengths == 0].any()
    assert (np.abs(part) <= 1).all()


@many
@problems
def test_mmd_is_zero_for_a_set_with_itself_and_has_no_order(seed, share, scale):
  rng, values, _ = drawn(seed, share, scale, 2, 9, D)
  p, q = values
  mask = rng.random(9) < share
  distance = functools.partial(mmd.mmd, sigma=scale, biased=True)
  both = distance(
    jnp.asarray(p),
    jnp.asarray(p),
    p_mask=jnp.asarray(mask),
    q_mask=jnp.asarray(mask),
  )
  np.testing.assert_allclose(both, 0.0, atol=1e-5)
  one = distance(jnp.asarray(p), jnp.asarray(q), p_mask=jnp.asarray(mask))
  other = distance(jnp.asarray(q), jnp.asarray(p), q_mask=jnp.asarray(mask))
  np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
  assert float(one) >= -1e-5
  assert mask.sum() >= 2 or float(one) == 0


@many
@given(
  seed=st.integers(0, 2**32 - 1),
  n=st.sampled_from([4, 17, 40]),
  digits=st.integers(1, 8),
  threshold=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
)
def test_binary_metrics_are_scikit_learns(seed, n, digits, threshold):
  """Ties from few digits, rows that do not count, any imbalance."""
  rng = np.random.default_rng(seed)
  probs = np.round(rng.random((n, 2)), digits)
  labels = (rng.random((n, 2)) < rng.random(2)[None, :]).astype(float)
  labels[:2] = [[0, 1], [1, 0]]
  mask = rng.random(n) < 0.8
  mask[:2] = True
  got = metrics.per_emotion("binary", probs, labels, mask, threshold)
  in_graph = metrics.compute(
    "binary",
    jnp.asarray(probs, jnp.float32),
    jnp.asarray(labels, jnp.float32),
    jnp.asarray(mask),
    threshold,
  )
  for k in range(2):
    truth, score = labels[mask, k], probs[mask, k]
    guess = (score > threshold).astype(float)
    for name, expected in (
      ("accuracy", sk.accuracy_score(truth, guess)),
      ("weighted_accuracy", sk.balanced_accuracy_score(truth, guess)),
      ("f1", sk.f1_score(truth, guess, zero_division=0)),
      ("auc", sk.roc_auc_score(truth, score)),
      (
        "weighted_f1",
        sk.f1_score(truth, guess, average="weighted", zero_division=0),
      ),
    ):
      np.testing.assert_allclose(got[name][k], expected, err_msg=name)
  for name, value in in_graph.items():
    assert 0 <= value <= 1, name


@many
@given(seed=st.integers(0, 2**32 - 1), n=st.sampled_from([4, 17, 40]))
def test_softmax_metrics_are_scikit_learns(seed, n):
  rng = np.random.default_rng(seed)
  probs = rng.dirichlet(np.ones(3), size=n)
  classes = np.concatenate([np.arange(3), rng.integers(3, size=n - 3)])
  mask = rng.random(n) < 0.8
  mask[:3] = True
  got = metrics.compute("softmax", probs, np.eye(3)[classes], mask, 0.5)
  truth, guess = classes[mask], probs[mask].argmax(axis=1)
  for name, expected in (
    ("accuracy", sk.accuracy_score(truth, guess)),
    ("unweighted_accuracy", sk.recall_score(truth, guess, average="macro")),
    (
      "weighted_f1",
      sk.f1_score(truth, guess, average="weighted", zero_division=0),
    ),
    ("f1", sk.f1_score(truth, guess, average="macro", zero_division=0)),
  ):
    np.testing.assert_allclose(got[name], expected, err_msg=name)
  np.testing.assert_array_equal(
    metrics.confusion(probs, np.eye(3)[classes], mask),
    sk.confusion_matrix(truth, guess, labels=range(3)),
  )
