"""Which emotions are asked for, and what is predicted."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.serving import predictions
from tests.serving import fake

WORDS = np.array([[3.0, 0, 0], [1.0, 0, 0]])


@pytest.mark.parametrize("log_probs", [False, True])
def test_some_emotions_are_their_logits_renormalised(log_probs):
  """The logits are 2, 4 and 0."""
  model = fake.make(log_probs=log_probs)
  found = model.predict({"lexical": WORDS}, emotions=["c", "a"])
  expected = fake.softmax(np.array([0.0, 2]))
  np.testing.assert_allclose(found.probs, expected, rtol=1e-5)
  assert found.chosen == ["a"] and found.emotions == ("c", "a")


def test_emotions_far_behind_another_still_differ():
  """The logits are 2, 1000 and 0: in float32 the others' share is nothing."""
  far = {"lexical": [[1000.0, 0, 0], [0, 0, 0]]}
  found = fake.make(log_probs=True).predict(
    far, emotions=["a", "c"], check_scale=False
  )
  np.testing.assert_allclose(
    found.probs, fake.softmax(np.array([2.0, 0])), rtol=1e-5
  )
  # An earlier export cannot tell, and divides no zero by zero.
  found = fake.make().predict(far, emotions=["a", "c"], check_scale=False)
  np.testing.assert_array_equal(found.probs, [0.5, 0.5])


def test_thresholds_decide_without_renormalising():
  model = fake.make(decision="binary")
  found = model.predict({"lexical": WORDS}, emotions=["b", "c"])
  np.testing.assert_allclose(found.probs, fake.probs(WORDS)[1:], rtol=1e-5)
  assert found.chosen == ["b"]


def test_an_output_that_is_not_finite_is_refused(tmp_path):
  model = fake.make()
  model._call = lambda tensors, inputs: {
    "probs": np.array([[0.2, 0.3, 0.5], [np.nan] * 3], np.float32),
    "per_modality": {},
    "explain": {"frame": np.zeros((2, 1))},
  }
  with pytest.raises(errors.UserError, match="output for utterance 1 is not"):
    model.predict({"lexical": [WORDS, WORDS]})
  # In a file it has a name.
  path = tmp_path / "in.jsonl"
  path.write_text(
    '{"id": "u1", "acoustic": []}\n{"id": "u2", "acoustic": []}\n'
  )
  with pytest.raises(
    errors.UserError, match="output for utterance 'u2' is not"
  ):
    predictions.predict_file(model, path, tmp_path / "out.csv")


def test_a_word_vector_is_of_real_numbers():
  model = fake.make(open_vocabulary=True)
  for vector, match in (
    ([1j], "holds no numbers but complex128"),
    (["1"], "holds no numbers but <U1"),
    ([[1.0]], r"has shape \(1, 1\), expected 1 finite"),
    ([1e300], "expected 1 finite numbers"),
  ):
    with pytest.raises(errors.UserError, match=match) as caught:
      model.predict({"lexical": WORDS}, emotions={"new": vector})
    assert "\n" not in str(caught.value)
