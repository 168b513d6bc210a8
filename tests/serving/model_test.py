"""Predicting in plain NumPy."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.serving import model as model_lib
from tests import toy_model


def test_shapes_batches_and_absence_in_plain_numpy(model, examples):
  given = toy_model.streams(examples[:70])
  whole = model.predict(given)
  assert whole.emotions == model.emotions and whole.probs.shape == (70, 4)
  for index in (0, 66):
    one = model.predict(
      {m: x[index] for m, x in given.items() if len(x[index])}
    )
    np.testing.assert_allclose(one.probs, whole.probs[index], atol=1e-6)
    assert [one.chosen] == whole.chosen[index : index + 1]
    assert one.probs.shape == (4,)
  # Padded with zeros, a list, and a modality left out in two ways.
  lengths = [len(x) for x in given["lexical"][:5]]
  padded = np.zeros((5, max(lengths) + 3, given["lexical"][0].shape[1]))
  for row, frames in enumerate(given["lexical"][:5]):
    padded[row, : len(frames)] = frames
  listed = model.predict(
    {"lexical": given["lexical"][:5], "visual": [None] * 5}
  )
  np.testing.assert_allclose(
    model.predict({"lexical": padded}, lengths={"lexical": lengths}).probs,
    listed.probs,
    atol=1e-6,
  )
  seen = model.predict(
    {m: x[:5] for m, x in given.items()}, modalities=["lexical"]
  )
  np.testing.assert_allclose(seen.probs, listed.probs, atol=1e-6)
  assert np.abs(seen.probs - whole.probs[:5]).max() > 1e-4
  # What lies behind the longest frame of training is cut.
  longest = model.spec["modalities"]["lexical"]["max_length"]
  long = np.tile(given["lexical"][0], (longest, 1))
  np.testing.assert_array_equal(
    model.predict({"lexical": long}).probs,
    model.predict({"lexical": long[:longest]}).probs,
  )


def test_emotions_are_chosen_and_new_ones_read_from_their_vectors(
  model, examples
):
  given = toy_model.streams(examples[:3])
  all_ = model.predict(given)
  names = ("sad", "happy")
  some = model.predict(given, emotions=names)
  columns = [all_.emotions.index(name) for name in names]
  part = all_.probs[:, columns]
  np.testing.assert_allclose(
    some.probs, part / part.sum(axis=1, keepdims=True), rtol=1e-5
  )
  vector = np.asarray(model.spec["emotions"][columns[0]]["vector"])
  new = model.predict(given, emotions={"sad": None, "low": vector})
  np.testing.assert_allclose(new.probs, 0.5, atol=1e-6)
  assert new.emotions == ("sad", "low")
  with pytest.raises(errors.UserError, match="'low', which was not trained"):
    model.predict(given, emotions=["low"])
  with pytest.raises(errors.UserError, match="expected 25 finite numbers"):
    model.predict(given, emotions={"low": vector[:3]})
  with pytest.raises(errors.UserError, match="expected different names"):
    model.predict(given, emotions=["sad", "sad"])


def test_a_closed_vocabulary_is_renormalised_and_refuses_new_emotions(model):
  """As lf_lstm's spec would be, with a function made by hand."""
  spec = {**model.spec, "open_vocabulary": False}
  probs = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
  closed = model_lib.Model(
    spec, {}, lambda tensors, inputs: {"probs": probs, "per_modality": {}}
  )
  words = {"lexical": np.ones((2, 25))}
  found = closed.predict(
    words, emotions=[spec["emotions"][i]["name"] for i in (3, 0)]
  )
  np.testing.assert_allclose(found.probs, [0.8, 0.2], rtol=1e-6)
  with pytest.raises(errors.UserError, match="reads none"):
    closed.predict(words, emotions={"low": np.ones(25)})


def test_binary_decisions_use_the_thresholds(model):
  spec = {**model.spec, "decision": "binary"}
  spec["emotions"] = [
    {**e, "threshold": t}
    for e, t in zip(spec["emotions"], (0.2, 0.1, 0.3, 0.9), strict=True)
  ]
  probs = np.array([[0.2, 0.2, 0.31, 0.8]], np.float32)
  binary = model_lib.Model(
    spec, {}, lambda tensors, inputs: {"probs": probs, "per_modality": {}}
  )
  found = binary.predict({"lexical": np.ones((2, 25))})
  assert found.chosen == [spec["emotions"][i]["name"] for i in (1, 2)]


def test_the_words_of_frames_are_asked_for_and_checked(model):
  seen = []

  def call(tensors, inputs):
    seen.append(inputs.get("acoustic_word"))
    return {"probs": np.full((2, 4), 0.25), "per_modality": {}, "explain": {}}

  sound = {"acoustic": [np.ones((3, 20)), np.ones((1, 20))]}
  knowing = model_lib.Model({**model.spec, "acoustic_word": True}, {}, call)
  knowing.predict(sound, acoustic_word=[[0, 0, 1], [2]], check_scale=False)
  np.testing.assert_array_equal(seen[-1][:, :3], [[0, 0, 1], [2, -1, -1]])
  knowing.predict(sound, check_scale=False)
  assert (seen[-1] == -1).all()
  with pytest.raises(errors.UserError, match="one for each of the"):
    knowing.predict(sound, acoustic_word=[[0], [2]], check_scale=False)
  with pytest.raises(errors.UserError, match="was trained without"):
    model.predict(sound, acoustic_word=[[0, 0, 1], [2]], check_scale=False)


def test_what_is_explained_loses_its_padding(model):
  """A system that explains, with values that tell their place."""
  spec = {**model.spec, "explain": {"attention": ["lexical"], "gate": []}}

  def call(tensors, inputs):
    rows, length = inputs["mask"]["lexical"].shape
    place = np.arange(rows * length, dtype=np.float32).reshape(rows, length)
    return {
      "probs": np.full((rows, 4), 0.25),
      "per_modality": {},
      "explain": {"attention": place, "gate": place[:, 0]},
    }

  explaining = model_lib.Model(spec, {}, call)
  found = explaining.predict({"lexical": [np.ones((3, 25)), np.ones((2, 25))]})
  np.testing.assert_array_equal(found.explain["attention"][1], [4, 5])
  assert [len(each) for each in found.explain["attention"]] == [3, 2]
  assert found.explain["gate"][1] == 4


@pytest.mark.parametrize(
  "features, match",
  [
    ({"lexical": np.ones((3, 24))}, r"shape \(3, 24\), expected \(t, 25\)"),
    ({"smell": np.ones((3, 24))}, "names 'smell', but the model reads"),
    ({"lexical": np.full((2, 25), np.nan)}, "not finite in frame 0, column"),
    ({"lexical": [["a"]]}, "holds no numbers"),
    ({}, "holds no modality"),
    (
      {"lexical": np.ones((3, 25)), "visual": [np.ones((3, 12))]},
      "mix one utterance and a batch",
    ),
    (
      {"lexical": [np.ones((3, 25))] * 2, "visual": [np.ones((3, 12))]},
      "different numbers of utterances, got lexical 2, visual 1",
    ),
  ],
)
def test_input_that_does_not_fit_is_named(model, features, match):
  with pytest.raises(errors.UserError, match=match) as caught:
    model.predict(features, check_scale=False)
  assert "\n" not in str(caught.value)


def test_features_of_another_scale_are_refused(model, examples):
  acoustic = np.concatenate([example["acoustic"] for example in examples])
  model.predict({"acoustic": acoustic})
  with pytest.raises(errors.UserError, match="acoustic: the means of 20 of 20"):
    model.predict({"acoustic": acoustic + 1e3})
  model.predict({"acoustic": acoustic + 1e3}, check_scale=False)
