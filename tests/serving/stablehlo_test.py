"""StableHLO: every system, with symbolic shapes."""

import jax
import numpy as np
import pytest

from mmer_jax.data import schema, tables
from mmer_jax.experiment import build
from mmer_jax.serving import function, stablehlo
from mmer_jax.systems import interface
from tests.systems import conformance_test


@pytest.mark.parametrize(
  "name, frames, reading",
  [
    *((name, 1, "") for name in sorted(conformance_test.CONFIGS)),
    ("multiview", 6, "boundary"),
    ("multiview", 6, "segment"),
  ],
)
def test_every_system_is_exported_with_symbolic_shapes(name, frames, reading):
  """Cut, normalised and without a modality, as training would have it."""
  config = conformance_test.config(name)
  if reading:
    with config.unlocked():
      config.model.reading = reading
  system = build.build_system(config)
  rows, length, longest = 3, 7, 5
  vectors = conformance_test.vectors()
  spec = {
    "system": name,
    "decision": "binary",
    "open_vocabulary": system.open_vocabulary,
    "aligned": system.aligned,
    "acoustic_word": frames > 1,
    "ensemble": False,
    "modalities": {
      "lexical": {"dim": 8, "max_length": longest},
      "acoustic": {"dim": 5, "max_length": frames},
    },
    "unused_modalities": {"visual": 3},
    "repair": None,
    "emotions": [{"vector": v.tolist()} for v in np.asarray(vectors)],
  }
  rng = np.random.default_rng(0)
  structure = function.parameter_shapes(system, spec)
  params = jax.tree.map(
    lambda leaf: rng.normal(0, 0.3, size=leaf.shape).astype(leaf.dtype),
    structure,
  )
  if interface.STATISTICS in params:
    # Variances among them.
    moved = jax.tree.map(np.abs, params[interface.STATISTICS])
    params = {**params, interface.STATISTICS: moved}
  tensors = {
    f"params.{k}": v for k, v in function.named_tensors(params).items()
  }
  tensors["mean.acoustic"] = np.full(5, 3.0, np.float32)
  tensors["scale.acoustic"] = np.full(5, 0.5, np.float32)
  served = function.make_function(system, spec, tensors)
  platforms = ("cpu", "cuda", "tpu")
  exported = jax.export.deserialize(
    bytearray(stablehlo.to_stablehlo(served, platforms))
  )
  assert exported.platforms == platforms
  words = rng.normal(size=(rows, length, 8)).astype(np.float32)
  sound = rng.normal(3.0, 2.0, size=(rows, frames, 5)).astype(np.float32)
  real = np.arange(length)[None, :] < np.array([[2], [0], [9]])
  there = np.ones((rows, frames), bool)
  inputs = {
    "features": {"lexical": words, "acoustic": sound},
    "mask": {"lexical": real, "acoustic": there},
  }
  if system.open_vocabulary:
    inputs["emotions"] = np.asarray(vectors)
  word = None
  if frames > 1:
    word = rng.integers(-1, 5, size=(rows, frames)).astype(np.int32)
    inputs["acoustic_word"] = word
  outputs = exported.call(tensors, inputs)
  found = outputs["probs"]

  real = real[:, :longest]
  streams = {
    "lexical": schema.Stream(
      np.where(real[..., None], words[:, :longest], 0), real
    ),
    "acoustic": schema.Stream((sound - 3.0) * 0.5, there),
    "visual": schema.Stream(
      np.zeros((rows, 1, 3), np.float32), np.zeros((rows, 1), bool)
    ),
  }
  batch = tables.take(
    conformance_test.example(), jax.numpy.arange(rows)
  ).replace(
    streams=streams,
    present={m: stream.mask.any(axis=1) for m, stream in streams.items()},
    acoustic_word=word,
  )
  logits = jax.jit(system.predict)(params, batch, vectors).logits
  np.testing.assert_allclose(found, jax.nn.sigmoid(logits), atol=1e-6)
  assert np.ptp(np.asarray(found), axis=0).max() > 1e-3
  if reading:
    attention = np.asarray(outputs["explain"]["attention"])
    assert served.spec["explain"]["attention"] == ["lexical"]
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=1e-5)
