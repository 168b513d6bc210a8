"""A small module as a system, as `systems/interface.py` describes one."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.core import layers, masked
from mmer_jax.systems import interface, network, supervised
from tests.systems import conformance_test


class Scores(NamedTuple):
  """An output of a module's own."""

  logits: jax.Array
  vector: jax.Array


class Mean(nn.Module):
  """Scores the mean frame, as a `Prediction` or as `Scores`."""

  own: bool = False

  @nn.compact
  def __call__(self, batch, emotions, *, key):
    stream = batch.streams["acoustic"]
    vector = masked.mean_over_steps(stream.features, stream.mask)
    vector = layers.dropout(vector, 0.5, key)
    logits = layers.Linear(len(emotions), name="out")(vector)
    return Scores(logits, vector) if self.own else interface.Prediction(logits)


def made(own=False, check=None):
  net = network.Network(Mean(own), check)
  batch, emotions = conformance_test.example(), conformance_test.vectors(3)
  return net, net.init(jax.random.key(0), batch, emotions), batch, emotions


def test_there_is_an_output_for_each_emotion():
  net, params, batch, emotions = made()
  assert params["out"]["kernel"].shape == (
    conformance_test.WIDTHS["acoustic"],
    3,
  )
  assert net.predict(params, batch, emotions).logits.shape == (
    conformance_test.ROWS,
    3,
  )


def test_a_prediction_is_made_of_what_has_logits():
  net, params, batch, emotions = made()
  expected = net.predict(params, batch, emotions)
  other, params, _, _ = made(own=True)
  got = other.predict(params, batch, emotions)
  assert isinstance(got, interface.Prediction)
  np.testing.assert_array_equal(got.logits, expected.logits)
  assert (got.per_modality, got.weights) == ({}, {})


def test_it_is_random_with_a_key_alone():
  net, params, batch, emotions = made()
  plain = net.predict(params, batch, emotions).logits
  np.testing.assert_array_equal(
    net.apply(params, batch, emotions, None).logits, plain
  )
  dropped = net.apply(params, batch, emotions, jax.random.key(1)).logits
  assert np.abs(dropped - plain).max() > 1e-3


def test_what_it_cannot_do_with_is_refused_before_parameters_are_drawn():
  def check(emotions):
    raise errors.UserError(f"{len(emotions)} emotions are too many")

  with pytest.raises(errors.UserError, match="3 emotions"):
    made(check=check)


def test_terms_are_added_to_the_loss_of_the_labels_and_logged():
  net, params, batch, _ = made()
  run = conformance_test.settings()
  run = run.replace(
    vectors=run.vectors[:3],
    known=run.known[:, :3],
    class_weight=run.class_weight[:, :3],
  )
  batch = batch.replace(labels=batch.labels[:, :3])
  plain, nothing = supervised.make_loss(
    supervised.Criterion("softmax"), net.apply
  )(params, batch, run, None)
  assert nothing == {}
  value, terms = supervised.make_loss(
    supervised.Criterion("softmax"),
    net.apply,
    lambda output, batch, run: {"size": jnp.square(output.logits).mean()},
  )(params, batch, run, None)
  assert terms.keys() == {"classification", "size"}
  np.testing.assert_array_equal(terms["classification"], plain)
  np.testing.assert_allclose(value, plain + terms["size"], rtol=1e-6)
