"""Pads the streams of decoded examples to one length and masks them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import schema


class _Shape(NamedTuple):
  """Describes the padded features of one modality.

  Attributes:
    length: Frames after padding.
    dim: Features of a frame.
    zero_rows: Whether an all-zero frame is padding.
  """

  length: int
  dim: int
  zero_rows: bool


class Padding:
  """Pads, truncates and masks the streams of decoded examples.

  Attributes:
    lengths: Modality name to the length after padding.
    dims: Modality name to the features of a frame.
    truncated: Modality name to how many utterances were too long so far.
  """

  def __init__(
    self,
    manifest: dict[str, Any],
    modalities: Sequence[str],
    max_length: dict[str, int],
    *,
    absent: Mapping[str, tuple[int, int]] | None = None,
    assume_words: bool = False,
    orders: Mapping[str, Sequence[int]] | None = None,
  ):
    """Takes lengths from the config, at most the corpus's longest.

    Args:
      manifest: The manifest of the shards.
      modalities: The modalities to pad.
      max_length: Modality name to a length, 0 for the longest.
      absent: Modality name to (frames, columns), of those that no example has;
        None is the same as {}: the examples have every modality.
      assume_words: Whether acoustic frames whose word is not known belong to
        none (-1); otherwise such a corpus has no word indices at all.
      orders: Modality to the places of its columns in the shards, where they
        are wanted in another order, as `identity.check` gives them.
    """
    self._orders = orders or {}
    self._assume_words = assume_words
    self._shapes = {
      modality: _Shape(*absent[modality], zero_rows=False)
      if absent and modality in absent
      else _shape(manifest, modality, max_length[modality])
      for modality in modalities
    }
    self.lengths = {m: shape.length for m, shape in self._shapes.items()}
    self.dims = {m: shape.dim for m, shape in self._shapes.items()}
    self.truncated = dict.fromkeys(modalities, 0)

  def __call__(
    self, examples: Sequence[dict[str, np.ndarray]]
  ) -> dict[str, schema.Stream]:
    """Returns one stream per modality; what is too long loses its tail."""
    return {modality: self._pad(modality, examples) for modality in self.dims}

  def _pad(
    self, modality: str, examples: Sequence[dict[str, np.ndarray]]
  ) -> schema.Stream:
    length, dim, zero_rows = self._shapes[modality]
    features = np.zeros((len(examples), length, dim), np.float32)
    mask = np.zeros((len(examples), length), bool)
    for row, example in enumerate(examples):
      if modality not in example:
        continue
      frames = example[modality]
      if len(frames) > length:
        self.truncated[modality] += 1
        frames = frames[:length]
      if modality in self._orders:
        frames = frames[:, self._orders[modality]]
      features[row, : len(frames)] = frames
      mask[row, : len(frames)] = (
        np.any(frames != 0, axis=-1) if zero_rows else True
      )
    return schema.Stream(features, mask)

  def words(
    self, examples: Sequence[dict[str, np.ndarray]]
  ) -> np.ndarray | None:
    """Pads the word of every acoustic frame, -1 for none; None if unknown."""
    if "acoustic" not in self._shapes:
      return None
    length = self.lengths["acoustic"]
    words = np.full((len(examples), length), -1, np.int32)
    if "acoustic_word" not in examples[0]:
      # A frame by itself is features of the whole utterance.
      return words if self._assume_words and length > 1 else None
    for row, example in enumerate(examples):
      word = example["acoustic_word"][:length]
      words[row, : len(word)] = word
    return words


def _shape(manifest: dict[str, Any], modality: str, wanted: int) -> _Shape:
  entry = manifest["modalities"][modality]
  longest = max(int(entry["max_length"]), 1)
  if wanted < 0:
    raise errors.UserError(
      f"config.data.max_length.{modality} is {wanted}, expected a length"
      " of at least 1, or 0 for the corpus's longest"
    )
  return _Shape(
    min(wanted, longest) if wanted else longest,
    int(entry["dim"]),
    entry["padding"] == "zero_rows",
  )
