"""Pads utterances to the few shapes that a served function is compiled for.

A new shape is a new compilation: the number of rows and the lengths are powers
of two, and no longer than in training.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Padded(NamedTuple):
  """Holds the inputs of one call.

  Attributes:
    inputs: The second argument of a served function, see `function`.
    lengths: Modality to the number of frames of each utterance, cut to
      training's.
  """

  inputs: dict[str, Any]
  lengths: dict[str, list[int]]


def pad(
  spec: dict[str, Any],
  frames: Mapping[str, Sequence[np.ndarray]],
  count: int,
  vectors: np.ndarray,
  words: Sequence[np.ndarray],
) -> Padded:
  """Pads the utterances of one call.

  Args:
    spec: The content of `feature_spec.json`.
    frames: Modality to the frames (t, d) of each utterance; a modality that is
      missing is absent from all.
    count: How many utterances there are.
    vectors: Word vectors of the emotions.
    words: The lexical frame of each acoustic one, of each utterance; empty
      where it is not known.
  """
  rows = _next_power_of_two(count)
  widths = _widths(spec, frames)
  inputs: dict[str, Any] = {"features": {}, "mask": {}}
  lengths: dict[str, list[int]] = {}
  for modality, entry in spec["modalities"].items():
    shape = (rows, widths[modality], entry["dim"])
    features, mask = np.zeros(shape, np.float32), np.zeros(shape[:2], bool)
    lengths[modality] = [0] * count
    for row, utterance in enumerate(frames.get(modality, [])):
      cut = utterance[: widths[modality]]
      features[row, : len(cut)] = cut
      mask[row, : len(cut)] = (
        cut.any(axis=1) if entry["padding"] == "zero_rows" else True
      )
      lengths[modality][row] = len(cut)
    inputs["features"][modality], inputs["mask"][modality] = features, mask
  if spec["open_vocabulary"]:
    inputs["emotions"] = vectors
  if spec["acoustic_word"]:
    padded = np.full(inputs["mask"]["acoustic"].shape, -1, np.int32)
    for row, word in enumerate(words):
      cut = word[: padded.shape[1]]
      padded[row, : len(cut)] = cut
    inputs["acoustic_word"] = padded
  return Padded(inputs, lengths)


def unpad_explanations(
  spec: dict[str, Any], values: Mapping[str, np.ndarray], padded: Padded
) -> dict[str, list[np.ndarray]]:
  """Cuts the padding off what is explained of each utterance.

  Args:
    spec: Its `explain` names the axes that are a modality's frames.
    values: Name to an array whose first axis is the utterances.
    padded: The call's inputs.
  """
  unpadded = {}
  for name, axes in spec["explain"].items():
    unpadded[name] = [
      utterance[
        tuple(
          slice(padded.lengths[axis][row] if axis in padded.lengths else None)
          for axis in axes
        )
      ]
      for row, utterance in enumerate(values[name])
    ]
  return unpadded


def _widths(
  spec: dict[str, Any], frames: Mapping[str, Sequence[np.ndarray]]
) -> dict[str, int]:
  """Chooses the padded length of each modality."""
  widths = {}
  for modality, entry in spec["modalities"].items():
    longest = max(map(len, frames.get(modality, [])), default=0)
    widths[modality] = min(_next_power_of_two(longest), entry["max_length"])
  if not spec["aligned"]:
    return widths
  longest = max(widths.values())
  return {
    modality: 1 if entry["max_length"] == 1 else longest
    for modality, entry in spec["modalities"].items()
  }


def _next_power_of_two(count: int) -> int:
  """Rounds up to a power of two; 1 for none."""
  return 1 << max(count - 1, 0).bit_length()
