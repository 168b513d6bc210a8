"""Decodes the records of shards into arrays and checks them."""

import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf import json_format

from mmer_jax.base import errors
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import tfrecord

TEXT = ("id", "speaker", "session", "dialogue", "split")


def _features(
  folder: pathlib.Path, manifest: dict[str, Any]
) -> tfds.features.FeaturesDict:
  """Reads `features.json` and checks it against the manifest."""
  path = folder / manifest_lib.FEATURES
  try:
    features = tfds.features.FeaturesDict.from_config(str(folder))
  except (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    json_format.ParseError,
  ) as error:
    raise errors.UserError(
      f"{path} cannot be read ({tfrecord.reason(error)}); copy or convert it"
      " again"
    ) from None
  expected = {*TEXT, *manifest["modalities"], "labels", "labelled"}
  if manifest.get("ratings"):
    expected.add("ratings")
  lacking = sorted(expected - set(features))
  if lacking:
    raise errors.UserError(
      f"{path} lacks {', '.join(lacking)}, which {manifest_lib.MANIFEST}"
      " expects; copy or convert it again"
    )
  return features


class Decoder:
  """Decodes the bytes of a record, as the manifest describes them."""

  def __init__(self, folder: pathlib.Path, manifest: dict[str, Any]):
    """Reads the folder's `features.json`."""
    self._features = _features(folder, manifest)
    self._modalities = {
      name: (entry["dim"], entry["columns"])
      for name, entry in manifest["modalities"].items()
    }
    self._emotions = len(manifest["emotions"])
    self._ratings = manifest.get("ratings", [])

  def decode(self, location: tfrecord.Location, data: bytes) -> dict[str, Any]:
    """Decodes one record; a `UserError` names what is wrong with it."""
    try:
      example = self._features.deserialize_example_np(data)
    except (ValueError, KeyError, TypeError) as error:
      raise tfrecord.damaged_record(
        location,
        f"it is not an example of features.json ({tfrecord.reason(error)})",
      ) from None
    for key in TEXT:
      value = example[key]
      example[key] = value.decode() if isinstance(value, bytes) else str(value)
    self._check_streams(location, example)
    labels = example["labels"]
    if labels.shape != (self._emotions,) or not np.isin(labels, (0, 1)).all():
      raise tfrecord.damaged_record(
        location,
        f"its labels are {labels.tolist()}, expected {self._emotions} of 0"
        " or 1",
      )
    if self._ratings:
      self._check_ratings(location, example["ratings"])
    return example

  def _check_ratings(
    self, location: tfrecord.Location, ratings: np.ndarray
  ) -> None:
    """Refuses ratings outside of their scales; NaN is one not given."""
    low, high = np.asarray(
      [(rating["low"], rating["high"]) for rating in self._ratings], np.float32
    ).T
    if ratings.shape != low.shape or ((ratings < low) | (ratings > high)).any():
      scales = [
        f"{rating['name']} {rating['low']:g} to {rating['high']:g}"
        for rating in self._ratings
      ]
      raise tfrecord.damaged_record(
        location,
        f"its ratings are {ratings.tolist()}, expected {', '.join(scales)}",
      )

  def _check_streams(
    self, location: tfrecord.Location, example: dict[str, Any]
  ) -> None:
    for modality, (dim, columns) in self._modalities.items():
      frames = example[modality]
      if frames.ndim != 2 or frames.shape[1] != dim:
        raise tfrecord.damaged_record(
          location,
          f"its {modality} stream has shape {frames.shape}, expected"
          f" (t, {dim})",
        )
      if not np.isfinite(frames).all():
        column = columns[int(np.argwhere(~np.isfinite(frames))[0, 1])]
        raise tfrecord.damaged_record(
          location, f"its {modality} column {column} is not finite"
        )
