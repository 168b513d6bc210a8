"""MTEE against its equations, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from mmer_jax.base import errors
from mmer_jax.core import losses
from mmer_jax.data import normalise
from mmer_jax.systems import registry
from mmer_jax.systems.mtee import model
from tests.core import lstm_test
from tests.systems import conformance_test


def build(**changes):
  config = quickstart.get_config("smoke")
  with config.unlocked():
    config.model.update(changes)
  return registry.SYSTEMS["mtee"](config)


def numpy_mtee(params, batch, emotions, absent):
  """Equations 1 to 4, one utterance at a time."""
  weights = {m: float(params[f"weight_{m}"]) for m in conformance_test.WIDTHS}
  spaces = {"lexical": emotions}
  for m in ("acoustic", "visual"):
    layer = params[f"map_{m}"]
    spaces[m] = emotions @ np.asarray(layer["kernel"]) + np.asarray(
      layer["bias"]
    )
  logits = np.zeros((len(batch.example_mask), len(emotions)))
  for row in range(len(logits)):
    here = [m for m in conformance_test.WIDTHS if batch.present[m][row]]
    for m in here:
      stream = batch.streams[m]
      forward, backward = _encode(
        params[f"encoder_{m}"],
        stream.features[row : row + 1],
        stream.mask[row : row + 1],
      )
      score = spaces[m] @ (forward + backward)[0]
      weight = weights[m]
      if absent == "reference" and len(here) < 3:
        weight = 1 / len(here)
      logits[row] += weight * score
  return logits


def _encode(params, features, mask):
  return lstm_test.numpy_bilstm(params, features, mask, 2, "last")


@pytest.mark.parametrize("absent", ["drop", "reference"])
def test_logits_equal_the_equations(absent):
  system = build(absent=absent)
  batch, emotions = conformance_test.example(), conformance_test.vectors()
  params = system.init(jax.random.key(2), batch, emotions)
  for index, m in enumerate(conformance_test.WIDTHS):
    params[f"weight_{m}"] = jnp.asarray(0.4 * index - 0.5)
  got = system.predict(params, batch, emotions).logits
  expected = numpy_mtee(params, batch, np.asarray(emotions), absent)
  np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_modality_weights_begin_at_one_over_their_number():
  params = build().init(
    jax.random.key(0), conformance_test.example(), conformance_test.vectors()
  )
  for m in conformance_test.WIDTHS:
    np.testing.assert_allclose(params[f"weight_{m}"], 1 / 3)


def test_a_new_emotion_changes_no_other_logit():
  system = build()
  batch = conformance_test.example()
  more = conformance_test.vectors(6)
  params = system.init(jax.random.key(0), batch, more[:4])
  few = system.predict(params, batch, more[:4])
  many = system.predict(params, batch, more)
  np.testing.assert_allclose(few.logits, many.logits[:, :4], rtol=1e-5)
  assert many.logits.shape == (conformance_test.ROWS, 6)
  assert many.per_modality["visual"].shape == (conformance_test.ROWS, 6)


def test_emotions_are_inputs_without_a_parameter_of_their_own():
  system = build()
  batch = conformance_test.example()
  sizes = [
    sum(
      leaf.size
      for leaf in jax.tree.leaves(
        system.init(jax.random.key(0), batch, conformance_test.vectors(count))
      )
    )
    for count in (2, 6)
  ]
  assert sizes[0] == sizes[1]


def test_one_modality_alone_is_unweighted_under_reference():
  system = build(absent="reference")
  batch, emotions = conformance_test.example(), conformance_test.vectors()
  params = system.init(jax.random.key(0), batch, emotions)
  alone = system.predict(
    params,
    normalise.keep_modalities(batch, {"lexical": False, "visual": False}),
    emotions,
  )
  np.testing.assert_allclose(
    alone.logits, alone.per_modality["acoustic"], rtol=1e-6
  )
  dropped = build(absent="drop").predict(
    params,
    normalise.keep_modalities(batch, {"lexical": False, "visual": False}),
    emotions,
  )
  np.testing.assert_allclose(
    dropped.logits, alone.per_modality["acoustic"] / 3, rtol=1e-5, atol=1e-7
  )


def test_an_utterance_without_any_modality_scores_zero():
  scores = {"lexical": jnp.ones((2, 3))}
  logits = model.fuse(
    scores,
    {"lexical": jnp.asarray(2.0)},
    {"lexical": jnp.asarray([True, False])},
    "reference",
  )
  assert logits.tolist() == [[2.0] * 3, [0.0] * 3]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"readout": "mean"}, "model.readout is 'mean', expected one of last"),
    ({"absent": "zero"}, "model.absent is 'zero', expected one of drop"),
  ],
)
def test_an_unknown_choice_is_refused(changes, message):
  with pytest.raises(errors.UserError, match=message):
    build(**changes)


def test_word_vectors_of_another_width_are_refused():
  system = build()
  with pytest.raises(
    errors.UserError, match=r"set config.model.hidden.lexical=5"
  ):
    system.init(jax.random.key(0), conformance_test.example(), jnp.ones((4, 5)))
  with pytest.raises(errors.UserError, match="needs word vectors"):
    system.init(jax.random.key(0), conformance_test.example(), jnp.ones((4, 0)))


def test_a_misspelt_key_of_the_model_raises():
  config = quickstart.get_config("smoke")
  with config.unlocked():
    config.model.layer = 2
  with pytest.raises(TypeError, match="layer"):
    registry.SYSTEMS["mtee"](config)


def test_binary_cross_entropy_by_hand():
  """-(w y log s + (1 - y) log(1 - s)), s = 0.5 and 0.8, mean of two."""
  logits = jnp.asarray([[0.0, np.log(4.0)]])
  got = losses.binary_cross_entropy(
    logits,
    jnp.asarray([[1.0, 0.0]]),
    jnp.asarray([[3.0, 9.0]]),
    jnp.ones((1, 2), bool),
  )
  expected = -(3 * np.log(0.5) + np.log(0.2)) / 2
  np.testing.assert_allclose(got, [expected], rtol=1e-6)


def test_a_label_that_is_not_known_does_not_weigh():
  """Row 0 knows its first label, row 1 none; the second label is anything."""
  logits = jnp.asarray([[0.0, 50.0], [9.0, -50.0]])
  known = jnp.asarray([[True, False], [False, False]])
  ones = jnp.ones((2, 2))
  for label in (0.0, 1.0):
    labels = jnp.asarray([[1.0, label], [label, label]])
    got, grad = jax.value_and_grad(
      lambda x, labels=labels: losses.binary_cross_entropy(
        x, labels, ones, known
      ).sum()
    )(logits)
    np.testing.assert_allclose(got, np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(grad, [[-0.5, 0.0], [0.0, 0.0]], rtol=1e-6)


def test_losses_are_finite_at_the_ends():
  logits = jnp.asarray([[200.0, -200.0]])
  labels, ones = jnp.asarray([[0.0, 1.0]]), jnp.ones((1, 2))
  known = jnp.ones((1, 2), bool)
  for loss, rest in (
    (losses.binary_cross_entropy, (ones, known)),
    (losses.cross_entropy, (ones,)),
  ):
    value, grad = jax.value_and_grad(
      lambda x, loss=loss, rest=rest: loss(x, labels, *rest).sum()
    )(logits)
    assert np.isfinite(value) and value > 100
    assert np.isfinite(grad).all()


def test_cross_entropy_by_hand():
  """Two classes, p = (0.2, 0.8), the true one weighs 3."""
  got = losses.cross_entropy(
    jnp.asarray([[0.0, np.log(4.0)]]),
    jnp.asarray([[1.0, 0.0]]),
    jnp.asarray([[3.0, 1.0]]),
  )
  np.testing.assert_allclose(got, [-3 * np.log(0.2)], rtol=1e-6)
