"""Makes raw inputs into a batch as the systems see them, while traced."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from mmer_jax.data import schema


def from_inputs(
  spec: dict[str, Any], inputs: dict[str, Any], emotions: int
) -> schema.Batch:
  """Cuts the inputs to training's lengths and zeroes their padding.

  Modalities that the runs were not trained with (`spec["unused_modalities"]`)
  are in the batch too, absent.

  Args:
    spec: The content of `feature_spec.json`.
    inputs: The second argument of a served function, see `function`.
    emotions: How many there are: the width of the labels, which mean nothing.
  """
  streams = {}
  for modality, entry in spec["modalities"].items():
    mask = inputs["mask"][modality][:, : entry["max_length"]]
    features = inputs["features"][modality][:, : entry["max_length"]]
    streams[modality] = schema.Stream(
      jnp.where(mask[..., None], features, 0.0), mask
    )
  rows = mask.shape[0]
  for modality, dim in spec["unused_modalities"].items():
    streams[modality] = schema.Stream(
      jnp.zeros((rows, 1, dim)), jnp.zeros((rows, 1), bool)
    )
  word = inputs.get("acoustic_word")
  if word is not None:
    word = word[:, : spec["modalities"]["acoustic"]["max_length"]]
  return schema.make_batch(
    streams,
    jnp.zeros((rows, emotions)),
    labelled=jnp.zeros(rows, bool),
    acoustic_word=word,
  )


def sample_inputs(spec: dict[str, Any], *, rows: int) -> dict[str, Any]:
  """Makes inputs of zeros, all of them real, of the longest uncut shape."""
  entries = spec["modalities"].items()
  inputs: dict[str, Any] = {
    "features": {
      m: np.zeros((rows, e["max_length"], e["dim"]), np.float32)
      for m, e in entries
    },
    "mask": {m: np.ones((rows, e["max_length"]), bool) for m, e in entries},
  }
  if spec["open_vocabulary"]:
    inputs["emotions"] = emotion_vectors(spec)
  if spec["acoustic_word"]:
    shape = inputs["mask"]["acoustic"].shape
    inputs["acoustic_word"] = np.full(shape, -1, np.int32)
  return inputs


def emotion_vectors(spec: dict[str, Any]) -> np.ndarray:
  """Returns the word vectors of the emotions of training, (k, e) float32."""
  vectors = [emotion["vector"] for emotion in spec["emotions"]]
  return np.asarray(vectors, np.float32)
