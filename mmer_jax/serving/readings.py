"""Decides whether arrays are one utterance or a batch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError


class Reading(NamedTuple):
  """Holds what the features of a modality may be.

  Attributes:
    what: Their shape, and what they are taken for, for messages.
    single: They as one utterance, in a list; None where they cannot be that.
    batch: They as utterances; None where they cannot be that.
    prefers_batch: Which it is where both can be and nothing decides.
    other: What else they could be meant as, and how to write that; `""`
      where nothing.
  """

  what: str
  single: Sequence[Any] | None
  batch: Sequence[Any] | None
  prefers_batch: bool = True
  other: str = ""


def recognise(values: np.ndarray | list[Any], entry: dict[str, Any]) -> Reading:
  """Recognises the readings of a modality's features by their shape.

  Args:
    values: An array, or a list of utterances.
    entry: The modality in the spec.
  """
  if isinstance(values, list):
    return Reading(f"a list of {len(values)} utterances", None, values)
  shape = f"of shape {values.shape}"
  if values.shape == (0,):
    return Reading(f"{shape}, no utterance", [None], [])
  if values.ndim < 2:
    return Reading(f"{shape}, one utterance of one frame", [values], None)
  if values.ndim > 2:
    return Reading(f"{shape}, {len(values)} utterances", None, values)
  rows = len(values)
  if entry["max_length"] == 1:
    return Reading(
      f"{shape}, {rows} utterances of one frame each",
      [values] if rows <= 1 else None,
      values,
      other=(
        f"one utterance of {rows} frames, but the model reads one: give its"
        f" first frame as (1, {entry['dim']})"
      ),
    )
  return Reading(
    f"{shape}, one utterance of {rows} frames",
    [values],
    [] if not rows else None,
    prefers_batch=False,
    other=(
      f"{rows} utterances of one frame each: give these as"
      f" ({rows}, 1, {entry['dim']})"
    ),
  )


def choose(
  readings: Mapping[str, Reading],
) -> tuple[bool, dict[str, Sequence[Any]]]:
  """Chooses the reading that all modalities share.

  Returns:
    Whether it is one utterance, and modality to the utterances.

  Raises:
    UserError: They share none, or have different numbers of utterances.
  """
  batch = {m: r.batch for m, r in readings.items() if r.batch is not None}
  single = {m: r.single for m, r in readings.items() if r.single is not None}
  if len(batch) < len(readings) and len(single) < len(readings):
    raise UserError(_mixed(readings))
  counts = {len(each) for each in batch.values()}
  if len(single) == len(readings) and (
    len(batch) < len(readings)
    or len(counts) > 1
    or not any(r.prefers_batch for r in readings.values())
  ):
    return True, single
  if len(counts) > 1:
    raise UserError(
      "modalities have different numbers of utterances, got "
      + ", ".join(f"{m} {len(each)}" for m, each in batch.items())
      + "; give an empty (0, d) or None where one lacks a modality"
    )
  return False, batch


def _mixed(readings: Mapping[str, Reading]) -> str:
  """Says that features mix one utterance and a batch, and what each is."""
  each = [f"{m} {reading.what}" for m, reading in readings.items()]
  others = [
    f"{m} may be meant as {reading.other}"
    for m, reading in readings.items()
    if reading.other and (reading.single is None or reading.batch is None)
  ]
  fix = "give all as (t, d), or all as (b, t, d) or lists of (t, d)"
  return "; ".join(
    ["features mix one utterance and a batch, got " + ", ".join(each)]
    + others
    + [fix]
  )
