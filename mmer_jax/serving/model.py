"""Predicts with an export or a workdir, from plain NumPy arrays.

model = mmer_jax.load("models/mtee")
model.predict({"lexical": words, "acoustic": frames}).probs
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mmer_jax.serving import arrays, checks, padding
from mmer_jax.serving import emotions as emotions_lib

# Utterances of one call.
_ROWS = 64


class Prediction(NamedTuple):
  """Holds a prediction; without the axis b where one utterance was given.

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
  """Predicts with a trained system.

  Attributes:
    spec: The content of `feature_spec.json`.
  """

  def __init__(
    self,
    spec: dict[str, Any],
    tensors: dict[str, Any],
    call: Callable[..., dict[str, Any]],
  ):
    """Takes a function of (tensors, inputs), see `function`."""
    self.spec = spec
    self._tensors = jax.device_put(tensors)
    self._call = call

  @property
  def emotions(self) -> tuple[str, ...]:
    """Names the emotions of training, in order."""
    return emotions_lib.trained(self.spec)

  def predict(
    self,
    features: Mapping[str, arrays.Features],
    *,
    emotions: emotions_lib.Emotions | None = None,
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
      acoustic_word: Where the model asks for it (`spec["acoustic_word"]`), the
        number of the lexical frame that each acoustic one belongs to, -1 for
        none: (t,) of an utterance, or one of each. None for not known.
      check_scale: Whether features that are far from those of training are
        refused.

    Raises:
      UserError: The input does not fit `spec`.
    """
    asked = emotions_lib.read(self.spec, emotions)
    utterances = arrays.read(self.spec, features, modalities)
    if check_scale:
      for modality, frames in utterances.frames.items():
        checks.check_scale(self.spec, modality, frames)
    words = arrays.read_words(self.spec, acoustic_word, utterances)
    calls = [
      self._call_function(utterances, words, asked, slice(start, start + _ROWS))
      for start in range(0, utterances.count, _ROWS)
    ]
    prediction = self._prediction(calls, asked)
    return _first(prediction) if utterances.single else prediction

  def _call_function(
    self,
    utterances: arrays.Utterances,
    words: Sequence[np.ndarray],
    asked: emotions_lib.Asked,
    rows: slice,
  ) -> dict[str, Any]:
    """Calls the function on some utterances and cuts the padding off."""
    count = len(range(utterances.count)[rows])
    padded = padding.pad(
      self.spec,
      {modality: each[rows] for modality, each in utterances.frames.items()},
      count,
      asked.vectors,
      words[rows],
    )
    outputs = jax.tree.map(
      lambda x: np.asarray(x)[:count],
      jax.device_get(self._call(self._tensors, padded.inputs)),
    )
    outputs["explain"] = padding.unpad_explanations(
      self.spec, outputs.get("explain", {}), padded
    )
    return outputs

  def _prediction(
    self, calls: Sequence[dict[str, Any]], asked: emotions_lib.Asked
  ) -> Prediction:
    """Joins the outputs of the calls and decides."""
    probs, per_modality = emotions_lib.select(
      self.spec,
      asked,
      np.concatenate([outputs["probs"] for outputs in calls]),
      {
        m: np.concatenate([outputs["per_modality"][m] for outputs in calls])
        for m in calls[0]["per_modality"]
      },
    )
    explain = {
      name: [value for outputs in calls for value in outputs["explain"][name]]
      for name in self.spec["explain"]
    }
    chosen = emotions_lib.choose(self.spec, asked, probs)
    return Prediction(probs, per_modality, asked.names, chosen, explain)


def _first(prediction: Prediction) -> Prediction:
  """Drops the axis of the batch."""
  return Prediction(
    prediction.probs[0],
    {m: scores[0] for m, scores in prediction.per_modality.items()},
    prediction.emotions,
    prediction.chosen[0],
    {name: values[0] for name, values in prediction.explain.items()},
  )
