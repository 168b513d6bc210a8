"""Predicts with an export or a workdir, from plain NumPy arrays.

model = mmer_jax.load("models/mtee")
model.predict({"lexical": words, "acoustic": frames}).probs
model.predict(text="I am so happy", audio="happy.wav").probs
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mmer_jax.serving import checks, files, padding
from mmer_jax.serving import emotions as emotions_lib
from mmer_jax.serving import utterances as utterances_lib

# Utterances of one call.
_ROWS = 64


class Prediction(NamedTuple):
  """Holds a prediction; without the axis b where one utterance was given.

  Attributes:
    probs: (b, k), of every emotion: a sigmoid each, or a softmax over them;
      None of ratings.
    per_modality: Modality to its own scores (b, k), before the sigmoid or the
      softmax; empty where the system has none.
    emotions: Names, in the order of the columns.
    chosen: Names of what is predicted, of each utterance: those above their
      threshold, or the most probable one.
    explain: Name to an array of each utterance, see `Model.spec["explain"]`.
      Frames that were padding are cut off.
    values: (b, k), of every rating, in its own scale; not cut to its range.
      None of emotions.
  """

  probs: np.ndarray | None
  per_modality: dict[str, np.ndarray]
  emotions: tuple[str, ...]
  chosen: list[Any]
  explain: dict[str, Any]
  values: np.ndarray | None = None


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
    ways: files.Ways = files.Ways(),  # noqa: B008
  ):
    """Takes a function of (tensors, inputs), see `function`."""
    self.spec = spec
    self._tensors = jax.device_put(tensors)
    self._call = call
    self._ways = ways

  @functools.cached_property
  def maker(self) -> Any:
    """The `maker.Maker` of features of texts, recordings and tables."""
    # Arrays need none of the converter.
    from mmer_jax.serving import maker

    return maker.Maker(self.spec, self._ways)

  @property
  def emotions(self) -> tuple[str, ...]:
    """Names the emotions of training, in order."""
    return emotions_lib.trained(self.spec)

  def __repr__(self) -> str:
    modalities = ", ".join(
      f"{name} {entry['dim']}"
      for name, entry in self.spec["modalities"].items()
    )
    more = ", and new ones" if self.spec["open_vocabulary"] else ""
    dataset = self.spec.get("dataset") or {}
    corpus = dataset.get("name", "an unknown corpus")
    fingerprint = dataset.get("fingerprint", "")[:12]
    return (
      f"Model({self.spec['system']}: {', '.join(self.emotions)}{more};"
      f" from {modalities}; trained on {corpus} {fingerprint})"
    )

  def predict(
    self,
    features: Mapping[str, utterances_lib.Features] | None = None,
    *,
    text: str | Sequence[str | None] | None = None,
    audio: Any = None,
    emotions: emotions_lib.Emotions | None = None,
    modalities: Sequence[str] = (),
    lengths: Mapping[str, utterances_lib.Lengths] | None = None,
    mask: Mapping[str, utterances_lib.Masks] | None = None,
    acoustic_word: Sequence[np.ndarray | None] | np.ndarray | None = None,
    check_scale: bool = True,
  ) -> Prediction:
    """Predicts one utterance or a batch, of features, texts and recordings.

    Texts and recordings become features as those of the training did. Every
    array may be of NumPy, JAX or PyTorch (on the CPU), or a nested list:
    it means what the same NumPy array means. Real numbers of any type are read
    as float32. A batch without an utterance has empty results.

    Args:
      features: Modality to its features as they are, not normalised. One
        utterance is (t, d), or (d,) for a single frame; a batch is (b, t, d),
        or a list of (t, d) of different lengths. Where the model reads one
        frame of a modality (its `max_length` is 1), (n, d) are n utterances.
        One that is missing, None or without a frame is absent. Frames of zeros
        are frames, at the end of an utterance too: name padding by `lengths`
        or `mask`. None where text or audio is given alone.
      text: What is said in one utterance, or in each of a batch; None where
        that is not known.
      audio: The path of a recording, or one of each utterance; None for none.
      emotions: Which, in this order. A mapping gives a new emotion its word
        vector, where the system has an open vocabulary; None stands for the
        vector of one that was trained.
      modalities: What the model may see; empty for all.
      lengths: Modality to how many of its first frames are real, (b,), or a
        number for one utterance; what follows is padding and is not looked at.
        All frames are real where a modality has neither lengths nor mask.
      mask: Modality to which frames are real, (b, t), or (t,) for one
        utterance; the others are dropped.
      acoustic_word: Where the model asks for it (`spec["acoustic_word"]`), the
        number of the lexical frame that each acoustic one belongs to, -1 for
        none: (t,) of an utterance, or one of each. None for not known.
      check_scale: Whether features that are far from those of training are
        refused; those that are made here are not.

    Raises:
      UserError: The input does not fit `spec`, or what features are made with
        is missing.
    """
    given = utterances_lib.Given(features, lengths, mask, acoustic_word)
    if text is not None or audio is not None:
      given = self.maker.join(given, text, audio)
    return self._predict(given, emotions, modalities, check_scale)

  def _predict(
    self,
    given: utterances_lib.Given,
    emotions: emotions_lib.Emotions | None,
    modalities: Sequence[str],
    check_scale: bool,
  ) -> Prediction:
    """Predicts from features; the arguments are those of `predict`."""
    asked = emotions_lib.read(self.spec, emotions)
    utterances = utterances_lib.read(
      self.spec,
      {} if given.features is None else given.features,
      modalities=modalities,
      lengths=given.lengths,
      mask=given.mask,
    )
    if check_scale:
      for modality, frames in utterances.frames.items():
        if modality not in given.made:
          checks.check_scale(self.spec, modality, frames)
    words = utterances_lib.read_words(
      self.spec, given.acoustic_word, utterances
    )
    calls = [
      self._call_function(utterances, words, asked, slice(start, start + _ROWS))
      # Once where there is no utterance, for the names of the outputs.
      for start in range(0, max(utterances.count, 1), _ROWS)
    ]
    prediction = self._prediction(calls, asked)
    if utterances.single or given.single:
      return _first(prediction)
    return prediction

  def _call_function(
    self,
    utterances: utterances_lib.Utterances,
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
    explain = {
      name: [value for outputs in calls for value in outputs["explain"][name]]
      for name in self.spec["explain"]
    }
    outputs = jax.tree.map(
      lambda *parts: np.concatenate(parts),
      *({k: v for k, v in each.items() if k != "explain"} for each in calls),
    )
    regression = self.spec["decision"] == "regression"
    checks.check_outputs(outputs["values" if regression else "probs"])
    answers, per_modality = emotions_lib.select(self.spec, asked, outputs)
    chosen = emotions_lib.choose(self.spec, asked, answers)
    prediction = Prediction(answers, per_modality, asked.names, chosen, explain)
    if regression:
      return prediction._replace(probs=None, values=answers)
    return prediction


def _first(prediction: Prediction) -> Prediction:
  """Drops the axis of the batch."""
  return Prediction(
    None if prediction.probs is None else prediction.probs[0],
    {m: scores[0] for m, scores in prediction.per_modality.items()},
    prediction.emotions,
    prediction.chosen[0],
    {name: values[0] for name, values in prediction.explain.items()},
    None if prediction.values is None else prediction.values[0],
  )
