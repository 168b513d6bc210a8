"""MTL against a NumPy loop over utterances, pairs and steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.data import schema
from mmer_jax.systems.mtl import model
from tests.core import attention_test, gru_test
from tests.systems import conformance_test

NETWORK = model.Mtl(
  hidden=gru_test.HIDDEN, width=4, classifier=5, dropout=0.0, dtype="float64"
)


def example():
  """Streams of three lengths."""
  batch = conformance_test.example()
  streams = dict(batch.streams)
  for name, steps in (("acoustic", 5), ("visual", 4)):
    stream = streams[name]
    streams[name] = schema.Stream(
      stream.features[:, :steps], stream.mask[:, :steps]
    )
  return batch.replace(
    streams=streams,
    present={m: s.mask.any(axis=1) for m, s in streams.items()},
  )


def drawn(module, batch, dtype):
  shapes = jax.eval_shape(
    functools.partial(module.init, key=None),
    jax.random.key(0),
    batch,
    conformance_test.vectors(),
  )["params"]
  rng = np.random.default_rng(4)
  return jax.tree.map(
    lambda leaf: jnp.asarray(0.7 * rng.normal(size=leaf.shape), dtype), shapes
  )


def numpy_mtl(params, batch, row):
  names = sorted(batch.streams)
  steps = {}
  for name in names:
    stream = batch.streams[name]
    mask, x = stream.mask[row], stream.features[row]
    own = params[f"gru_{name}"]
    both = [gru_test.numpy_gru(own, x, mask, i) for i in (0, 1)]
    dense = attention_test.affine(
      params[f"dense_{name}"], np.concatenate(both, axis=1)
    )
    steps[name] = np.tanh(dense)[mask]
  parts = []
  for name in names:
    mean = np.zeros((len(names), NETWORK.width))
    for x in steps[name]:
      mean[0] += x / len(steps[name])
      others = [other for other in names if other != name]
      for place, other in enumerate(others, start=1):
        if not len(steps[other]):
          continue
        match = np.exp([x @ y for y in steps[other]])
        seen = sum(
          weight * y for weight, y in zip(match, steps[other], strict=True)
        )
        mean[place] += seen / match.sum() * x / len(steps[name])
    parts.append(mean.ravel())
  hidden = attention_test.affine(params["hidden"], np.concatenate(parts))
  return attention_test.affine(params["out"], np.maximum(hidden, 0))


def test_the_network_equals_a_loop():
  with jax.enable_x64(True):
    batch = jax.tree.map(
      lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x,
      example(),
    )
    params = drawn(NETWORK, batch, np.float64)
    logits = jax.jit(
      lambda p: (
        NETWORK.apply(
          {"params": p}, batch, conformance_test.vectors(), key=None
        ).logits
      )
    )(params)
  params, batch = jax.tree.map(np.asarray, (params, batch))
  for row in range(conformance_test.ROWS):
    np.testing.assert_allclose(
      logits[row], numpy_mtl(params, batch, row), rtol=1e-11, atol=1e-11
    )


def test_the_attention_of_hand_values():
  """Of (1, 0) to (1, 0) and (0, 2): weights e and 1 over their sum."""
  own = jnp.array([[[1.0, 0.0]]])
  other = jnp.array([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]])
  mask = jnp.array([[True, True, False]])
  got = model.attend(own, other, mask)[0, 0]
  np.testing.assert_allclose(got, [np.e / (np.e + 1), 0.0], rtol=1e-6)
  nothing = model.attend(own, other, jnp.zeros_like(mask))
  np.testing.assert_array_equal(nothing, 0)


@pytest.mark.usefixtures("keys_are_used_once")
def test_dropout_changes_the_scores():
  batch, vectors = example(), conformance_test.vectors()
  noisy = NETWORK.clone(dropout=0.4, dtype="float32")
  params = drawn(noisy, batch, np.float32)

  @jax.jit
  def logits(key):
    return noisy.apply({"params": params}, batch, vectors, key=key).logits

  first, second = logits(jax.random.key(1)), logits(jax.random.key(2))
  assert np.isfinite(first).all()
  assert np.abs(first - second).max() > 1e-3
