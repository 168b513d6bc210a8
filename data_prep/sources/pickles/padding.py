"""Removes the padding of arrays: rows of zeros at the left, or by lengths."""

import numpy as np

from data_prep.sources.pickles import family
from mmer_jax.base.errors import UserError

LEFT = "of zeros at the left of {}, removed as padding"
MASKED = "of zeros in {}, masked"
BEYOND = "of {} outside of its length, not zeros, left out"
MISSING = "of {} fewer than its length says"


def leading(frames: np.ndarray) -> int:
  """Counts the rows of zeros at the left; all of them where none is real."""
  real = frames.any(axis=1)
  return int(real.argmax()) if real.any() else len(frames)


def cut_left(
  streams: dict[str, np.ndarray], aligned: bool, tally: family.Tally
) -> dict[str, np.ndarray]:
  """Removes the rows of zeros at the left of an utterance's streams.

  Streams that share their rows lose as many each, those that are zeros in all
  of them, so that they still do; rows of zeros that stay are masked.

  Args:
    streams: Modality to (t, d).
    aligned: Whether row i is the same word in every stream.
    tally: Counts what is removed and what is masked.

  Returns:
    The streams that have a real row.
  """
  left = {name: leading(frames) for name, frames in streams.items()}
  present = [name for name in streams if left[name] < len(streams[name])]
  common = min((left[name] for name in present), default=0)
  cut = {}
  for name in present:
    rows = common if aligned else left[name]
    cut[name] = streams[name][rows:]
    zeros = len(cut[name]) - int(np.count_nonzero(cut[name].any(axis=1)))
    family.count(tally, LEFT.format(name), rows)
    family.count(tally, MASKED.format(name), zeros)
  return cut


def by_length(
  name: str, frames: np.ndarray, length: float, where: str, tally: family.Tally
) -> np.ndarray:
  """Takes as many rows of a padded stream as its length says.

  The padding stands at the side where more of what lies outside of the length
  is zeros; at the right where both sides are alike. Rows that lie outside and
  are not zeros are no data, and counted.

  Args:
    name: The modality.
    frames: (t, d).
    length: How many rows are real.
    where: File and row, for messages.
    tally: Counts rows that contradict the length.

  Returns:
    The rows inside of the length.
  """
  if not (np.isfinite(length) and length >= 0 and length == int(length)):
    raise UserError(
      f"{where}: the length of {name} is {length}, expected a whole number from"
      f" 0 to {len(frames)}"
    )
  length = int(length)
  if length > len(frames):
    family.count(tally, MISSING.format(name), length - len(frames))
    return frames
  real = frames.any(axis=1)
  behind = int(np.count_nonzero(real[length:]))
  before = int(np.count_nonzero(real[: len(frames) - length]))
  family.count(tally, BEYOND.format(name), min(before, behind))
  return frames[len(frames) - length :] if before < behind else frames[:length]
