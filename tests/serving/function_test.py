"""The served function: what it returns beside probabilities."""

import jax
import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.experiment import build
from mmer_jax.serving import batch, function
from tests.systems import conformance_test


def served(*, ensemble, decision="softmax"):
  """LF-LSTM with random parameters, of one or two members."""
  config = conformance_test.config("lf_lstm")
  system = build.build_system(config)
  spec = {
    "system": "lf_lstm",
    "decision": decision,
    "open_vocabulary": system.open_vocabulary,
    "aligned": system.aligned,
    "acoustic_word": False,
    "ensemble": ensemble,
    "modalities": {
      "lexical": {"dim": 8, "max_length": 5},
      "acoustic": {"dim": 5, "max_length": 2},
    },
    "unused_modalities": {"visual": 3},
    "repair": None,
    "emotions": [
      {"vector": vector.tolist()}
      for vector in np.asarray(conformance_test.vectors())
    ],
  }
  rng = np.random.default_rng(0)
  shapes = function.named_tensors(function.parameter_shapes(system, spec))
  tensors = {
    f"params.{name}": rng.normal(
      size=(2, *leaf.shape) if ensemble else leaf.shape
    ).astype(leaf.dtype)
    for name, leaf in shapes.items()
  }
  return function.make_function(system, spec, tensors)


def inputs_of(spec):
  inputs = batch.sample_inputs(spec, rows=3)
  rng = np.random.default_rng(1)
  for modality, features in inputs["features"].items():
    inputs["features"][modality] = rng.normal(size=features.shape).astype("f4")
  return inputs


@pytest.mark.parametrize("ensemble", [False, True])
def test_logarithms_are_those_of_the_probabilities(ensemble):
  """Those of an ensemble are of the members' mean probability."""
  made = served(ensemble=ensemble)
  outputs = jax.jit(made.call)(made.tensors, inputs_of(made.spec))
  probs = np.asarray(outputs["probs"])
  np.testing.assert_allclose(np.exp(outputs["log_probs"]), probs, rtol=1e-5)
  assert np.ptp(probs, axis=0).max() > 1e-2


def test_binary_decisions_have_no_logarithms():
  made = served(ensemble=False, decision="binary")
  outputs = jax.jit(made.call)(made.tensors, inputs_of(made.spec))
  assert sorted(outputs) == ["explain", "per_modality", "probs"]


def test_tensors_of_another_system_are_refused():
  made = served(ensemble=False)
  tensors = dict(list(made.tensors.items())[1:])
  config = conformance_test.config("lf_lstm")
  with pytest.raises(errors.UserError, match="are not those of a lf_lstm"):
    function.make_function(build.build_system(config), made.spec, tensors)
