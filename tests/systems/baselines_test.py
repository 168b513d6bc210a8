"""EF-LSTM and LF-LSTM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.data import schema
from mmer_jax.systems.baselines import model
from tests.core import lstm_test
from tests.systems import conformance_test


def numpy_encode(params, features, mask):
  return np.concatenate(
    lstm_test.numpy_bilstm(params, features, mask, 2, "last"), axis=-1
  )


def linear(params, x):
  return x @ np.asarray(params["kernel"]) + np.asarray(params["bias"])


def test_late_fusion_reads_every_modality_side_by_side():
  system, params = conformance_test.made("lf_lstm")
  batch = conformance_test.example()
  parts = [
    numpy_encode(
      params[f"encoder_{m}"], batch.streams[m].features, batch.streams[m].mask
    )
    for m in sorted(conformance_test.WIDTHS)
  ]
  expected = linear(params["out"], np.concatenate(parts, axis=-1))
  got = system.predict(params, batch, conformance_test.vectors()).logits
  np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_early_fusion_reads_the_concatenated_steps():
  system, params = conformance_test.made("ef_lstm")
  batch = conformance_test.example()
  order = ("lexical", "acoustic", "visual")
  features = np.concatenate([batch.streams[m].features for m in order], axis=-1)
  mask = np.any([batch.streams[m].mask for m in order], axis=0)
  expected = linear(
    params["out"], numpy_encode(params["encoder"], features, mask)
  )
  got = system.predict(params, batch, conformance_test.vectors()).logits
  np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def two(lexical, acoustic):
  streams = {
    "lexical": schema.Stream(
      jnp.ones((*lexical.shape, 2)), jnp.asarray(lexical)
    ),
    "acoustic": schema.Stream(
      3 * jnp.ones((*acoustic.shape, 1)), jnp.asarray(acoustic)
    ),
  }
  rows = len(lexical)
  return schema.Batch(
    streams=streams,
    present={m: s.mask.any(axis=1) for m, s in streams.items()},
    labels=jnp.zeros((rows, 2)),
    labelled=jnp.ones(rows, bool),
    example_mask=jnp.ones(rows, bool),
    role=jnp.zeros(rows, int),
  )


def test_features_of_a_whole_utterance_are_repeated_over_its_words():
  lexical = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], bool)
  acoustic = np.array([[1], [0], [1], [1]], bool)
  frames, mask = model.align(two(lexical, acoustic), ("lexical", "acoustic"))
  # Without a word, the utterance's features stand for one step.
  assert np.asarray(mask).tolist() == [
    [True, True, False],
    [True, False, False],
    [True, False, False],
    [True, True, True],
  ]
  assert np.asarray(frames)[..., 2].tolist() == [
    [3, 3, 0],
    [0, 0, 0],
    [3, 0, 0],
    [3, 3, 3],
  ]


def test_streams_of_unlike_lengths_are_refused():
  batch = two(np.ones((2, 3), bool), np.ones((2, 5), bool))
  with pytest.raises(errors.UserError, match="lexical 3, acoustic 5 frames"):
    model.align(batch, ("lexical", "acoustic"))


def test_a_baseline_has_a_row_per_emotion():
  system, _ = conformance_test.made("lf_lstm")
  params = system.init(
    jax.random.key(0), conformance_test.example(), conformance_test.vectors(6)
  )
  assert params["out"]["bias"].shape == (6,)
