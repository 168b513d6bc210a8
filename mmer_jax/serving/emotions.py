"""Reads which emotions are asked for, and decides which are predicted."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.serving import arrays

# Names, or names to word vectors: see `model.Model.predict`.
Emotions = Sequence[str] | Mapping[str, np.ndarray | None]


class Asked(NamedTuple):
  """Holds the emotions of a request.

  Attributes:
    names: In the order of the columns.
    vectors: Their word vectors, (k, e) float32; a closed vocabulary reads
      none.
  """

  names: tuple[str, ...]
  vectors: np.ndarray


def trained(spec: dict[str, Any]) -> tuple[str, ...]:
  """Names the emotions of training, in order."""
  return tuple(emotion["name"] for emotion in spec["emotions"])


def read(spec: dict[str, Any], emotions: Emotions | None) -> Asked:
  """Reads the emotions of a request; None for those of training.

  Raises:
    UserError: One is not known, or its vector does not fit.
  """
  if isinstance(emotions, str):
    raise UserError(
      f"emotions is the text {emotions!r}, expected a list of names"
    )
  own = emotions if isinstance(emotions, Mapping) else {}
  names = trained(spec) if emotions is None else tuple(emotions)
  if not names or len(set(names)) < len(names):
    raise UserError(
      f"emotions is {names}, expected different names, one at least"
    )
  return Asked(
    names, np.stack([_vector(spec, name, own.get(name)) for name in names])
  )


def select(
  spec: dict[str, Any], asked: Asked, outputs: dict[str, Any]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """Selects the columns of the emotions asked for.

  A function of an open vocabulary has answered for these emotions alone. The
  probabilities of some emotions of a softmax are its logits renormalised: where
  all others are far more probable, these still differ.

  Args:
    spec: The content of `feature_spec.json`.
    asked: The emotions.
    outputs: What the function returned for all emotions of training.

  Returns:
    `probs` (or, of ratings, `values`) and `per_modality` of these emotions.
  """
  answers = "values" if spec["decision"] == "regression" else "probs"
  probs, per_modality = outputs[answers], outputs["per_modality"]
  if spec["open_vocabulary"]:
    return probs, dict(per_modality)
  names = trained(spec)
  columns = [names.index(name) for name in asked.names]
  scores = {m: values[:, columns] for m, values in per_modality.items()}
  if spec["decision"] != "softmax":
    return probs[:, columns], scores
  if len(columns) == len(names):
    probs = probs[:, columns]
    return probs / probs.sum(axis=1, keepdims=True), scores
  log_probs = outputs.get("log_probs")
  if log_probs is None:
    # An earlier export: what is smaller than float32 can hold counts as equal.
    log_probs = np.log(np.maximum(probs, np.finfo(np.float32).tiny))
  log_probs = log_probs[:, columns].astype(np.float64)
  shares = np.exp(log_probs - log_probs.max(axis=1, keepdims=True))
  shares /= shares.sum(axis=1, keepdims=True)
  return shares.astype(np.float32), scores


def choose(
  spec: dict[str, Any], asked: Asked, probs: np.ndarray
) -> list[list[str]]:
  """Names what is predicted of each utterance.

  That is the most probable emotion under a softmax, and otherwise every one
  above its threshold; of ratings nothing, which are values.
  """
  if spec["decision"] == "regression":
    return [[] for _ in probs]
  names = asked.names
  if spec["decision"] == "softmax":
    return [[names[best]] for best in probs.argmax(axis=1)]
  thresholds = {e["name"]: e["threshold"] for e in spec["emotions"]}
  new = spec["thresholds"]["new_emotion"]
  least = [thresholds.get(name, new) for name in names]
  above = probs > np.asarray(least, probs.dtype)
  return [[names[i] for i in np.flatnonzero(row)] for row in above]


def _vector(
  spec: dict[str, Any], name: str, own: np.ndarray | None
) -> np.ndarray:
  """Finds the word vector of an emotion: its own, or that of training."""
  known = {e["name"]: e["vector"] for e in spec["emotions"]}
  width = len(next(iter(known.values())))
  if own is not None and not spec["open_vocabulary"]:
    raise UserError(
      f"emotions gives a word vector for {name!r}, but"
      f" {spec['system']} reads none: it knows the emotions of its"
      " training alone"
    )
  vector = known.get(name) if own is None else own
  if vector is None:
    fix = "give its word vector" if spec["open_vocabulary"] else "leave it"
    raise UserError(
      f"emotions names {name!r}, which was not trained, expected some of"
      f" {', '.join(known)}; {fix}"
    )
  where = f"the word vector of {name!r}"
  numbers = arrays.to_float32(vector, where, f"({width},)")
  if numbers.shape != (width,) or not np.isfinite(numbers).all():
    raise UserError(
      f"{where} has shape {numbers.shape}, expected {width} finite numbers of"
      " the vectors of training"
    )
  return numbers
