"""Reads the arrays of a request as one (t, d) float32 array per utterance."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.serving import checks, files

# One modality: (t, d) or (d,) of an utterance; (b, t, d), or a sequence of (t,
# d) and None, of a batch.
Features = np.ndarray | Sequence[np.ndarray | None] | None


class Utterances(NamedTuple):
  """Holds the checked features of a request.

  Attributes:
    frames: Modality to the frames (t, d) of each utterance, not yet cut.
    count: How many utterances there are.
    single: Whether one utterance was given, without an axis of the batch.
  """

  frames: dict[str, list[np.ndarray]]
  count: int
  single: bool


def read(
  spec: dict[str, Any],
  features: Mapping[str, Features],
  modalities: Sequence[str],
) -> Utterances:
  """Reads features and checks that the modalities fit together.

  Args:
    spec: The content of `feature_spec.json`.
    features: See `model.Model.predict`.
    modalities: Those that the model may see; empty for all.

  Raises:
    UserError: They do not fit the spec or each other.
  """
  for modality in (*features, *modalities):
    checks.check_modality(spec, modality)
  seen = {
    modality: values
    for modality, values in features.items()
    if values is not None and (not modalities or modality in modalities)
  }
  if not seen:
    raise UserError(
      "features holds no modality, expected at least one of"
      f" {', '.join(spec['modalities'])}"
    )
  singles = {
    isinstance(values, np.ndarray) and values.ndim < 3
    for values in seen.values()
  }
  if len(singles) > 1:
    raise UserError(
      "features mix one utterance and a batch, got "
      + ", ".join(f"{m} {_shape(values)}" for m, values in seen.items())
      + "; give all as (t, d), or all as (b, t, d) or lists of (t, d)"
    )
  (single,) = singles
  frames = {m: _frames(spec, m, each, single) for m, each in seen.items()}
  counts = {len(utterances) for utterances in frames.values()}
  if len(counts) > 1:
    raise UserError(
      "modalities have different numbers of utterances, got "
      + ", ".join(f"{m} {len(each)}" for m, each in frames.items())
      + "; give an empty (0, d) or None where one lacks a modality"
    )
  return Utterances(frames, counts.pop(), single)


def read_words(
  spec: dict[str, Any], words: Any, utterances: Utterances
) -> list[np.ndarray]:
  """Reads the lexical frame of every acoustic one.

  Args:
    spec: The content of `feature_spec.json`.
    words: `acoustic_word` of `model.Model.predict`.
    utterances: The features of the same request.

  Returns:
    One array (t,) per utterance; empty where they are not known or not asked
    for.

  Raises:
    UserError: The model does not know them, or frames lack theirs.
  """
  if words is None or "acoustic" not in utterances.frames:
    return []
  if not spec["acoustic_word"]:
    raise UserError(
      f"acoustic_word is given, but the {spec['system']} was trained"
      " without; leave it out"
    )
  each = [words] if utterances.single else list(words)
  numbers = [np.asarray(() if n is None else n, np.int32) for n in each]
  lengths = [len(number) for number in numbers]
  expected = [len(frames) for frames in utterances.frames["acoustic"]]
  if lengths != expected:
    raise UserError(
      f"acoustic_word has {lengths} numbers, expected one for each of the"
      f" {expected} acoustic frames"
    )
  return numbers


def _frames(
  spec: dict[str, Any], modality: str, values: Any, single: bool
) -> list[np.ndarray]:
  """Reads and checks one modality."""
  padded = isinstance(values, np.ndarray) and values.ndim == 3
  read_ = []
  for number, frames in enumerate([values] if single else list(values)):
    where = modality if single else f"{modality} of utterance {number}"
    frames = _utterance(spec["modalities"][modality], frames, where)
    if padded:
      real = np.flatnonzero(frames.any(axis=1))
      frames = frames[: real[-1] + 1 if len(real) else 0]
    read_.append(frames)
  return read_


def _utterance(entry: dict[str, Any], values: Any, where: str) -> np.ndarray:
  """Reads one utterance of a modality as (t, d); None has no frame."""
  dim = entry["dim"]
  if values is None:
    return np.zeros((0, dim), np.float32)
  try:
    frames = np.asarray(values).astype(np.float32)
  except (TypeError, ValueError):
    raise UserError(
      f"{where} holds no numbers, expected an array (t, {dim})"
    ) from None
  if frames.size == 0:
    return np.zeros((0, dim), np.float32)
  frames = frames[None] if frames.ndim == 1 else frames
  if frames.ndim != 2 or frames.shape[1] != dim:
    raise UserError(
      f"{where} has shape {frames.shape}, expected (t, {dim}): the columns"
      f" {entry['columns'][0]} to {entry['columns'][-1]} of {files.SPEC}"
    )
  checks.check_finite(entry["columns"], frames, where)
  return frames


def _shape(values: Any) -> str:
  """Names the shape of what was given."""
  if isinstance(values, np.ndarray):
    return f"of shape {values.shape}"
  return f"a list of {len(values)}"
