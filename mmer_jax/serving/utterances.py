"""Reads the features of a request as one (t, d) float32 array per utterance."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.serving import arrays, checks, files, readings

# The argument of `predict`, for messages.
_WORD = "acoustic_word"

# One modality, see `model.Model.predict`: an array, or a list of them.
Features = Any
# Frames per utterance: an int, or one for each utterance of a batch.
Lengths = Any
# True on real frames: (t,) of an utterance, (b, t) or a list of a batch.
Masks = Any


class Given(NamedTuple):
  """Holds the features of a request, before they are looked at.

  Attributes:
    features: See `model.Model.predict`, as for the next three.
    lengths: Modality to how many of the first frames are real.
    mask: Modality to which frames are real.
    acoustic_word: The lexical frame of each acoustic one.
    made: Modalities whose features were made of texts and recordings.
    single: Whether the batch holds the one utterance that was given.
  """

  features: Mapping[str, Features] | None
  lengths: Mapping[str, Lengths] | None = None
  mask: Mapping[str, Masks] | None = None
  acoustic_word: Any = None
  made: tuple[str, ...] = ()
  single: bool = False


class Utterances(NamedTuple):
  """Holds the checked features of a request.

  Attributes:
    frames: Modality to the real frames (t, d) of each utterance, not yet cut.
    real: Modality to which of the frames that were given are real, (t,) of
      each utterance.
    count: How many utterances there are.
    single: Whether one utterance was given, without an axis of the batch.
  """

  frames: dict[str, list[np.ndarray]]
  real: dict[str, list[np.ndarray]]
  count: int
  single: bool


def read(
  spec: dict[str, Any],
  features: Mapping[str, Features],
  *,
  modalities: Sequence[str] = (),
  lengths: Mapping[str, Lengths] | None = None,
  mask: Mapping[str, Masks] | None = None,
) -> Utterances:
  """Reads features and checks that the modalities fit together.

  Args:
    spec: The content of `feature_spec.json`.
    features: See `model.Model.predict`, as for the others.
    modalities: Those that the model may see; empty for all.
    lengths: Modality to how many of the first frames are real.
    mask: Modality to which frames are real.

  Raises:
    UserError: They do not fit the spec or each other.
  """
  lengths, mask = lengths or {}, mask or {}
  _check_names(spec, features, modalities, lengths, mask)
  values = {
    modality: arrays.as_array(each, modality)
    for modality, each in features.items()
    if each is not None and (not modalities or modality in modalities)
  }
  if not values:
    raise UserError(
      "features holds no modality, expected at least one of"
      f" {', '.join(spec['modalities'])}"
    )
  single, batches = readings.choose(
    {
      modality: readings.recognise(each, spec["modalities"][modality])
      for modality, each in values.items()
    },
  )
  frames, real = {}, {}
  for modality, batch in batches.items():
    marks = _real_frames(
      modality, lengths.get(modality), mask.get(modality), single
    )
    frames[modality], real[modality] = _read_batch(
      spec["modalities"][modality], modality, batch, marks, single
    )
  if spec["aligned"]:
    _check_alignment(spec, real)
  counts = {len(each) for each in frames.values()}
  return Utterances(frames, real, counts.pop(), single)


def read_utterance(
  entry: dict[str, Any],
  values: Any,
  where: str,
  real: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Reads one utterance of a modality.

  Args:
    entry: The modality in the spec.
    values: (t, d), or (d,) for one frame; None where it is absent.
    where: What it is, for the message.
    real: Which frames are real, (t,), or how many of the first are, (); None
      for all.

  Returns:
    The real frames (t, d), and which were real.

  Raises:
    UserError: They do not fit the modality.
  """
  dim = entry["dim"]
  if values is None:
    values = np.zeros((0, dim))
  given = arrays.to_float32(values, where, f"(t, {dim})")
  frames = given[None] if given.ndim == 1 else given
  if frames.shape[-1:] == (0,):
    frames = np.zeros((0, dim), np.float32)
  if frames.ndim != 2:
    _refuse_shape(entry, given.shape, where)
  _check_dim(entry, frames.shape, where)
  if real is None:
    real = np.ones(len(frames), bool)
  if real.ndim == 0:
    if not 0 <= real <= len(frames):
      raise UserError(
        f"{where} has length {real}, expected 0 to its {len(frames)} frames"
      )
    real = np.arange(len(frames)) < real
  if real.shape != frames.shape[:1]:
    raise UserError(
      f"{where} has {len(frames)} frames, and its mask shape {real.shape};"
      " expected one entry per frame"
    )
  # What is padding is not looked at.
  checks.check_finite(entry["columns"], frames, where, real)
  return frames[real], real


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
  each = [words] if utterances.single else arrays.as_array(words, _WORD)
  if isinstance(each, np.ndarray) and not each.ndim:
    raise UserError(f"{_WORD} is one number, expected one for each frame")
  numbers = [
    arrays.to_integers(() if word is None else word, _WORD, ndim=1)
    for word in each
  ]
  lengths = [len(number) for number in numbers]
  real = utterances.real["acoustic"]
  expected = [len(marks) for marks in real]
  if lengths != expected:
    raise UserError(
      f"{_WORD} has {lengths} numbers, expected one for each of the"
      f" {expected} acoustic frames"
    )
  numbers = [number[marks] for number, marks in zip(numbers, real, strict=True)]
  _check_words(numbers, utterances.frames.get("lexical"))
  return numbers


def _check_words(
  numbers: Sequence[np.ndarray], lexical: Sequence[np.ndarray] | None
) -> None:
  """Refuses numbers that are no lexical frame's."""
  for row, number in enumerate(numbers):
    count = len(lexical[row]) if lexical is not None else 0
    if not number.size:
      continue
    if number.min() < -1 or (count and number.max() >= count):
      raise UserError(
        f"{_WORD} of utterance {row} has numbers from {number.min()} to"
        f" {number.max()}, expected -1 or one of its {count} lexical frames"
      )


def _check_dim(entry: dict[str, Any], shape: Sequence[int], where: str) -> None:
  """Refuses frames that are not as wide as the model's."""
  if shape[-1] not in (0, entry["dim"]):
    _refuse_shape(entry, shape, where)


def _refuse_shape(
  entry: dict[str, Any], shape: Sequence[int], where: str
) -> NoReturn:
  """Raises the `UserError` of an array of another shape."""
  raise UserError(
    f"{where} has shape {tuple(shape)}, expected (t, {entry['dim']}): the"
    f" columns {entry['columns'][0]} to {entry['columns'][-1]} of {files.SPEC}"
  )


def _check_names(
  spec: dict[str, Any],
  features: Mapping[str, Features],
  modalities: Sequence[str],
  lengths: Mapping[str, Lengths],
  mask: Mapping[str, Masks],
) -> None:
  """Refuses arguments that name something else than modalities."""
  for name, each in (
    ("features", features),
    ("lengths", lengths),
    ("mask", mask),
  ):
    if not isinstance(each, Mapping):
      raise UserError(
        f"{name} is a {type(each).__name__}, expected a dictionary of"
        f" modalities: {', '.join(spec['modalities'])}"
      )
  if isinstance(modalities, str):
    raise UserError(
      f"modalities is the text {modalities!r}, expected a list of names"
    )
  for modality in (*features, *modalities):
    checks.check_modality(spec, modality)
  for name, each in (("lengths", lengths), ("mask", mask)):
    for modality in each:
      if features.get(modality) is None:
        raise UserError(
          f"{name} names {modality!r}, which features lacks; leave it out"
        )
  for modality in lengths:
    if modality in mask:
      raise UserError(
        f"{modality} has lengths and a mask, expected one of them"
      )


def _real_frames(
  modality: str, lengths: Any, mask: Any, single: bool
) -> Sequence[np.ndarray] | None:
  """Reads lengths, as scalars, or a mask, as vectors, of each utterance."""
  if lengths is not None:
    where = f"lengths of {modality}"
    array = arrays.to_integers(lengths, where, ndim=0 if single else 1)
    return [array] if single else list(array)
  if mask is None:
    return None
  where = f"mask of {modality}"
  rows = [mask] if single else arrays.as_array(mask, where)
  if isinstance(rows, np.ndarray) and not rows.ndim:
    raise UserError(f"the {where} is one value, expected (b, t)")
  return [arrays.to_mask(row, where) for row in rows]


def _read_batch(
  entry: dict[str, Any],
  modality: str,
  batch: Sequence[Any],
  marks: Sequence[np.ndarray] | None,
  single: bool,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
  """Reads the utterances of one modality."""
  if isinstance(batch, np.ndarray) and not len(batch):
    # No utterance is there to be refused.
    _check_dim(entry, batch.shape, modality)
  if marks is not None and len(marks) != len(batch):
    raise UserError(
      f"lengths or mask of {modality} has {len(marks)} entries, expected one"
      f" for each of the {len(batch)} utterances"
    )
  frames, real = [], []
  for number, values in enumerate(batch):
    where = modality if single else f"{modality} of utterance {number}"
    each = read_utterance(
      entry, values, where, None if marks is None else marks[number]
    )
    frames.append(each[0])
    real.append(each[1])
  return frames, real


def _check_alignment(
  spec: dict[str, Any], real: Mapping[str, Sequence[np.ndarray]]
) -> None:
  """Refuses masks that would move the frames of one modality alone."""
  streams = {
    modality: each
    for modality, each in real.items()
    if spec["modalities"][modality]["max_length"] > 1
  }
  for row in range(len(next(iter(streams.values()), []))):
    marks = {m: each[row] for m, each in streams.items() if each[row].any()}
    holes = [m for m, mark in marks.items() if not mark[: mark.sum()].all()]
    if holes and len({mark.tobytes() for mark in marks.values()}) > 1:
      raise UserError(
        f"the mask of {holes[0]} has padding before real frames, and the"
        f" {spec['system']} reads the modalities frame by frame: expected the"
        " same mask for all, or padding behind the real frames"
      )
