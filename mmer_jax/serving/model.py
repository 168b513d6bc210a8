"""Predicting with an export or a workdir, from plain NumPy arrays.

  model = mmer_jax.load("models/mtee")
  model.predict({"lexical": words, "acoustic": frames}).probs

Reads an export with jax, numpy and safetensors alone; a workdir needs the rest
of the package, and the shards that it was trained on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.serving import files

# Utterances of one call. Smaller batches are filled up to a power of two, and
# so are lengths: a new shape is a new compilation.
_ROWS = 64
# An input whose columns lie this many of training's deviations away is not in
# training's units; one column or another may be, of heavy tails.
_FAR, _FAR_SHARE = 10.0, 0.1

# One modality: (t, d) or (d,) of an utterance; (b, t, d), or a sequence of (t,
# d) and None, of a batch.
Features = np.ndarray | Sequence[np.ndarray | None] | None


class Prediction(NamedTuple):
  """What a model says; without the axis b where one utterance was given.

  Attributes:
    probs: (b, k), of every emotion: a sigmoid each, or a softmax over them.
    per_modality: Modality to its own scores (b, k), before the sigmoid or the
      softmax; empty where the system has none.
    emotions: Names, in the order of the columns.
    chosen: Names of what is predicted, of each utterance: those above their
      threshold, or the most probable one.
    explain: Name to an array of each utterance, see `Model.spec["explain"]`.
      Frames that were padding are cut off.
  """

  probs: np.ndarray
  per_modality: dict[str, np.ndarray]
  emotions: tuple[str, ...]
  chosen: list[Any]
  explain: dict[str, Any]


class Model:
  """A trained system, ready to predict.

  Attributes:
    spec: The content of `feature_spec.json`.
  """

  def __init__(
    self,
    spec: dict[str, Any],
    tensors: dict[str, Any],
    call: Callable[..., dict[str, Any]],
  ):
    """Takes a function of (tensors, inputs), see `serving.make`."""
    self.spec = spec
    self._tensors = jax.device_put(tensors)
    self._call = call

  @property
  def emotions(self) -> tuple[str, ...]:
    """What it was trained on, in order."""
    return tuple(emotion["name"] for emotion in self.spec["emotions"])

  def predict(
    self,
    features: Mapping[str, Features],
    *,
    emotions: Sequence[str] | Mapping[str, np.ndarray | None] | None = None,
    modalities: Sequence[str] = (),
    acoustic_word: Sequence[np.ndarray | None] | np.ndarray | None = None,
    check_scale: bool = True,
  ) -> Prediction:
    """Predicts one utterance or a batch.

    Args:
      features: Modality to its features as they are, not normalised. One that
        is missing, None or without a frame is absent. In an array (b, t, d)
        the zeros behind the last other frame are padding.
      emotions: Which, in this order. A mapping gives a new emotion its word
        vector, where the system has an open vocabulary; None stands for the
        vector of one that was trained.
      modalities: What the model may see; empty for all.
      acoustic_word: Of a model that knows it (`spec["acoustic_word"]`), the
        number of the lexical frame that each acoustic one belongs to, -1 for
        none: (t,) of an utterance, or one of each. None for not known.
      check_scale: Whether features that are far from those of training are
        refused.

    Raises:
      UserError: The input does not fit `spec`.
    """
    names, vectors = self._emotions(emotions)
    for modality in (*features, *modalities):
      self._check_modality(modality)
    seen = {
      modality: given
      for modality, given in features.items()
      if given is not None and (not modalities or modality in modalities)
    }
    single = {
      modality: isinstance(given, np.ndarray) and given.ndim < 3
      for modality, given in seen.items()
    }
    if len(set(single.values())) > 1:
      raise UserError(
        "features mix one utterance and a batch, got "
        + ", ".join(f"{m} {_shape(given)}" for m, given in seen.items())
        + "; give all as (t, d), or all as (b, t, d) or lists of (t, d)"
      )
    one = all(single.values())
    streams = {m: self._frames(m, given, one) for m, given in seen.items()}
    counts = {len(frames) for frames in streams.values()}
    if len(counts) > 1:
      raise UserError(
        "modalities have different numbers of utterances, got "
        + ", ".join(f"{m} {len(frames)}" for m, frames in streams.items())
        + "; give an empty (0, d) or None where one lacks a modality"
      )
    if not counts:
      raise UserError(
        "features holds no modality, expected at least one of"
        f" {', '.join(self.spec['modalities'])}"
      )
    if check_scale:
      for modality, frames in streams.items():
        self._check_scale(modality, frames)
    (count,) = counts
    numbers = self._numbers(acoustic_word, streams, one)
    parts = [
      self._batch(
        {m: frames[at : at + _ROWS] for m, frames in streams.items()},
        min(count - at, _ROWS),
        vectors,
        numbers[at : at + _ROWS],
      )
      for at in range(0, count, _ROWS)
    ]
    return self._prediction(parts, names, one)

  def _emotions(
    self, emotions: Sequence[str] | Mapping[str, np.ndarray | None] | None
  ) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and vectors; the vectors of a closed vocabulary are not used."""
    if isinstance(emotions, str):
      raise UserError(
        f"emotions is the text {emotions!r}, expected a list of names"
      )
    given = emotions if isinstance(emotions, Mapping) else {}
    names = self.emotions if emotions is None else tuple(emotions)
    known = {e["name"]: e["vector"] for e in self.spec["emotions"]}
    if not names or len(set(names)) < len(names):
      raise UserError(
        f"emotions is {names}, expected different names, one at least"
      )
    width = len(next(iter(known.values())))
    vectors = np.zeros((len(names), width), np.float32)
    for row, name in enumerate(names):
      own = given.get(name)
      if own is not None and not self.spec["open_vocabulary"]:
        raise UserError(
          f"emotions gives a word vector for {name!r}, but"
          f" {self.spec['system']} reads none: it knows the emotions of its"
          " training alone"
        )
      vector = known.get(name) if own is None else np.asarray(own, np.float64)
      if vector is None:
        fix = (
          "give its word vector" if self.spec["open_vocabulary"] else "leave it"
        )
        raise UserError(
          f"emotions names {name!r}, which was not trained, expected some of"
          f" {', '.join(known)}; {fix}"
        )
      if np.shape(vector) != (width,) or not np.isfinite(vector).all():
        raise UserError(
          f"the word vector of {name!r} has shape {np.shape(vector)}, expected"
          f" {width} finite numbers of the vectors of training"
        )
      vectors[row] = vector
    return names, vectors

  def _check_modality(self, modality: str) -> None:
    if modality not in self.spec["modalities"]:
      raise UserError(
        f"features names {modality!r}, but the model reads"
        f" {', '.join(self.spec['modalities'])}; leave it out"
      )

  def _frames(self, modality: str, given: Any, one: bool) -> list[np.ndarray]:
    """One (t, d) float32 of each utterance, checked, not yet cut."""
    entry = self.spec["modalities"][modality]
    dim = entry["dim"]
    padded = isinstance(given, np.ndarray) and given.ndim == 3
    each = [given] if one else list(given)
    found = []
    for number, frames in enumerate(each):
      where = modality if one else f"{modality} of utterance {number}"
      if frames is None:
        frames = np.zeros((0, dim), np.float32)
      try:
        frames = np.asarray(frames).astype(np.float32)
      except (TypeError, ValueError):
        raise UserError(
          f"{where} holds no numbers, expected an array (t, {dim})"
        ) from None
      frames = frames[None] if frames.ndim == 1 and frames.size else frames
      if frames.size == 0:
        frames = np.zeros((0, dim), np.float32)
      if frames.ndim != 2 or frames.shape[1] != dim:
        raise UserError(
          f"{where} has shape {frames.shape}, expected (t, {dim}): the columns"
          f" {entry['columns'][0]} to {entry['columns'][-1]} of {files.SPEC}"
        )
      if not np.isfinite(frames).all():
        row, column = np.argwhere(~np.isfinite(frames))[0]
        raise UserError(
          f"{where} is not finite in frame {row}, column"
          f" {entry['columns'][column]} ({frames[row, column]}); replace it,"
          " as the conversion's --nonfinite does"
        )
      if padded:
        real = np.flatnonzero(frames.any(axis=1))
        frames = frames[: real[-1] + 1 if len(real) else 0]
      found.append(frames)
    return found

  def _numbers(
    self, given: Any, streams: dict[str, list[np.ndarray]], one: bool
  ) -> list[np.ndarray]:
    """The word of every acoustic frame; empty where nobody asks or knows."""
    if given is None or "acoustic" not in streams:
      return []
    if not self.spec["acoustic_word"]:
      raise UserError(
        f"acoustic_word is given, but the {self.spec['system']} was trained"
        " without; leave it out"
      )
    frames = streams["acoustic"]
    each = [given] if one else list(given)
    numbers = [np.asarray(() if n is None else n, np.int32) for n in each]
    lengths = [len(number) for number in numbers]
    if lengths != [len(rows) for rows in frames]:
      raise UserError(
        f"acoustic_word has {lengths} numbers, expected one for each of the"
        f" {[len(rows) for rows in frames]} acoustic frames"
      )
    return numbers

  def _check_scale(self, modality: str, frames: list[np.ndarray]) -> None:
    entry = self.spec["modalities"][modality]
    rows = np.concatenate(frames)
    if entry["padding"] == "zero_rows":
      rows = rows[rows.any(axis=1)]
    if not len(rows):
      return
    mean, std = np.asarray(entry["mean"]), np.asarray(entry["std"])
    scale = np.maximum(std, 1e-6 * np.maximum(np.abs(mean), 1e-6))
    away = np.abs(rows.mean(axis=0, dtype=np.float64) - mean) / scale
    far = np.flatnonzero(away > _FAR)
    if len(far) > _FAR_SHARE * len(mean):
      column = far[np.argmax(away[far])]
      raise UserError(
        f"{modality}: the means of {len(far)} of {len(mean)} columns lie more"
        f" than {_FAR:g} deviations from those of training, most of all"
        f" {entry['columns'][column]} with {rows[:, column].mean():.4g},"
        f" expected about {mean[column]:.4g} +- {std[column]:.4g}; give"
        " features as the training's converter made them, not normalised"
      )

  def _batch(
    self,
    streams: dict[str, list[np.ndarray]],
    count: int,
    vectors: np.ndarray,
    numbers: list[np.ndarray],
  ) -> dict[str, Any]:
    """Calls the function; returns its outputs without the fillers."""
    spec = self.spec
    rows = _power(count)
    lengths = {}
    for modality, entry in spec["modalities"].items():
      longest = max([len(f) for f in streams.get(modality, [])], default=0)
      lengths[modality] = min(_power(longest), entry["max_length"])
    if spec["aligned"]:
      longest = max(lengths.values())
      lengths = {
        m: 1 if spec["modalities"][m]["max_length"] == 1 else longest
        for m in lengths
      }
    inputs: dict[str, Any] = {"features": {}, "mask": {}}
    real: dict[str, list[int]] = {}
    for modality, entry in spec["modalities"].items():
      shape = (rows, lengths[modality], entry["dim"])
      features, mask = np.zeros(shape, np.float32), np.zeros(shape[:2], bool)
      real[modality] = [0] * count
      for row, frames in enumerate(streams.get(modality, [])):
        frames = frames[: lengths[modality]]
        features[row, : len(frames)] = frames
        mask[row, : len(frames)] = (
          frames.any(axis=1) if entry["padding"] == "zero_rows" else True
        )
        real[modality][row] = len(frames)
      inputs["features"][modality], inputs["mask"][modality] = features, mask
    if spec["open_vocabulary"]:
      inputs["emotions"] = vectors
    if spec["acoustic_word"]:
      word = np.full(inputs["mask"]["acoustic"].shape, -1, np.int32)
      for row, number in enumerate(numbers):
        cut = number[: word.shape[1]]
        word[row, : len(cut)] = cut
      inputs["acoustic_word"] = word
    outputs = jax.tree.map(
      lambda x: np.asarray(x)[:count],
      jax.device_get(self._call(self._tensors, inputs)),
    )
    outputs["explain"] = {
      name: [
        _cut(values[row], axes, {m: real[m][row] for m in real})
        for row in range(count)
      ]
      for name, axes in spec["explain"].items()
      for values in [outputs["explain"][name]]
    }
    return outputs

  def _prediction(
    self, parts: list[dict[str, Any]], names: tuple[str, ...], one: bool
  ) -> Prediction:
    spec = self.spec
    probs = np.concatenate([part["probs"] for part in parts])
    per_modality = {
      m: np.concatenate([part["per_modality"][m] for part in parts])
      for m in parts[0]["per_modality"]
    }
    if not spec["open_vocabulary"]:
      columns = [self.emotions.index(name) for name in names]
      probs = probs[:, columns]
      per_modality = {m: s[:, columns] for m, s in per_modality.items()}
      if spec["decision"] == "softmax":
        probs = probs / probs.sum(axis=1, keepdims=True)
    thresholds = {e["name"]: e["threshold"] for e in spec["emotions"]}
    if spec["decision"] == "softmax":
      chosen = [[names[best]] for best in probs.argmax(axis=1)]
    else:
      new = spec["thresholds"]["new_emotion"]
      least = [thresholds.get(name, new) for name in names]
      above = probs > np.asarray(least, probs.dtype)
      chosen = [[names[i] for i in np.flatnonzero(row)] for row in above]
    explain = {
      name: [value for part in parts for value in part["explain"][name]]
      for name in spec["explain"]
    }
    if not one:
      return Prediction(probs, per_modality, names, chosen, explain)
    return Prediction(
      probs[0],
      {m: scores[0] for m, scores in per_modality.items()},
      names,
      chosen[0],
      {name: values[0] for name, values in explain.items()},
    )


def _power(count: int) -> int:
  """The next power of two."""
  return 1 << max(count - 1, 0).bit_length()


def _cut(
  values: np.ndarray, axes: Sequence[str], lengths: dict[str, int]
) -> np.ndarray:
  """Cuts the padding off the axes that are a modality's frames."""
  return values[tuple(slice(lengths.get(axis)) for axis in axes)]


def _shape(given: Any) -> str:
  if isinstance(given, np.ndarray):
    return f"of shape {given.shape}"
  return f"a list of {len(given)}"
