"""Multimodal models by words, and acoustic ones that learn from them.

Source: Aguilar, Rozgic, Wang and Wang, "Multimodal and Multi-view Models for
Emotion Recognition", ACL 2019.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from mmer_jax.base import errors
from mmer_jax.core import acoustic_words, fusion, losses, masked
from mmer_jax.data import schema
from mmer_jax.systems import interface, supervised
from mmer_jax.systems.multiview import loss as loss_lib
from mmer_jax.systems.multiview import model


# Hashed by identity: its methods are what jit is given.
@dataclasses.dataclass(frozen=True, eq=False)
class Views:
  """The networks of a config, as functions of one tree of parameters.

  Attributes:
    kinds: Name of a view to its kind, a key of `model.KINDS`.
    parts: The attributes that the views share.
  """

  kinds: dict[str, str]
  parts: dict[str, Any]

  def init(
    self, key: PRNGKeyArray, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Params:
    """The parameters of every view, and the statistics of those that have."""
    params, statistics = {}, {}
    for index, name in enumerate(self.kinds):
      variables = self._module(name, emotions).init(
        jax.random.fold_in(key, index), batch, key=None
      )
      params[name] = variables["params"]
      if fusion.STATISTICS in variables:
        statistics[name] = variables[fusion.STATISTICS]
    if statistics:
      params[interface.STATISTICS] = statistics
    return params

  def apply(
    self,
    name: str,
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    key: PRNGKeyArray | None,
  ) -> tuple[model.Output, dict[str, Any]]:
    """A view's output, and its statistics afterwards if it has any."""
    module = self._module(name, emotions)
    found = params.get(interface.STATISTICS, {}).get(name)
    if found is None:
      return module.apply({"params": params[name]}, batch, key=key), {}
    output, changed = module.apply(
      {"params": params[name], fusion.STATISTICS: found},
      batch,
      key=key,
      mutable=[fusion.STATISTICS],
    )
    return output, {name: changed[fusion.STATISTICS]}

  def predictor(self, name: str) -> interface.PredictFn:
    """What a view says."""

    def predict(
      params: interface.Params,
      batch: schema.Batch,
      emotions: Float[Array, "k e"],
    ) -> interface.Prediction:
      output, _ = self.apply(name, params, batch, emotions, None)
      return interface.Prediction(output.logits, {})

    return predict

  def words(
    self,
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
  ) -> interface.WordMaps:
    """What the first view looks at."""
    output, _ = self.apply(loss_lib.FIRST, params, batch, emotions, None)
    return interface.WordMaps(output.weights, output.gate)

  def present(self, batch: schema.Batch) -> Bool[Array, " b"]:
    """Which utterances every view has something of."""
    both = batch.example_mask
    for kind in self.kinds.values():
      flags = [batch.present[name] for name in model.KINDS[kind].modalities]
      both = both & jnp.stack(flags).any(axis=0)
    return both

  def _module(self, name: str, emotions: Float[Array, "k e"]) -> model.View:
    count = emotions.shape[0]
    return model.View(**self.parts, kind=self.kinds[name], emotions=count)


def build(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the system of a config: one view, or one that a second teaches.

  Raises:
    UserError: The config asks for what the system does not have.
  """
  _check(config)
  parts = config.model.to_dict()
  view, second = parts.pop("view"), parts.pop("second")
  teaching = loss_lib.Teaching(
    weights=loss_lib.Weights(**parts.pop("weights")),
    contrast=loss_lib.Contrast(**parts.pop("contrast")),
    frozen=parts.pop("second_view") == "frozen",
    temperature=parts.pop("temperature"),
  )
  views = Views(
    {loss_lib.FIRST: view} | ({loss_lib.SECOND: second} if second else {}),
    {**parts, "dtype": config.compute_dtype},
  )
  kind = model.KINDS[view]
  return interface.System(
    init=views.init,
    stages=_stages(config, views, teaching),
    predict=views.predictor(loss_lib.FIRST),
    open_vocabulary=False,
    words=views.words if kind.words and "lexical" in kind.modalities else None,
    acoustic_word="acoustic" in kind.modalities
    and (kind.words or not kind.silence),
  )


def _alone(decision: str, views: Views, name: str) -> interface.LossFn:
  """The cross-entropy of one view."""

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Any]]:
    output, statistics = views.apply(name, params, batch, run.vectors, key)
    value = supervised.classification(decision, output.logits, batch, run)
    return value, loss_lib.view_terms(params, {}, statistics, key)

  return loss


def _together(
  config: ml_collections.ConfigDict, views: Views, teaching: loss_lib.Teaching
) -> interface.LossFn:
  """Eq. 2 to 5, as the weights have them."""
  decision, contrast = config.protocol.decision, teaching.contrast

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Any]]:
    keys = [None] * 3 if key is None else list(jax.random.split(key, 3))
    emotions = run.vectors
    first, statistics = views.apply(
      loss_lib.FIRST, params, batch, emotions, keys[0]
    )
    if teaching.frozen:
      second, _ = views.apply(loss_lib.SECOND, params, batch, emotions, None)
      second = jax.lax.stop_gradient(second)
    else:
      second, more = views.apply(
        loss_lib.SECOND, params, batch, emotions, keys[1]
      )
      statistics = statistics | more
    both = views.present(batch) & batch.labelled
    # Their negatives stand behind the rows of a batch.
    behind = key is not None and contrast.negatives == "corpus"
    size = len(both) // 2 if behind else len(both)
    distance = loss_lib.contrast_term(
      (first.vector, second.vector),
      batch.labels,
      both,
      size,
      contrast,
      config.data.emotions or range(emotions.shape[0]),
      keys[2],
    )
    batch, first, second, both = jax.tree.map(
      lambda leaf: leaf[:size], (batch, first, second, both)
    )
    divergence = losses.distillation(
      second.logits, first.logits, teaching.temperature
    )
    terms = {
      "contrastive": distance,
      "first": supervised.classification(decision, first.logits, batch, run),
      "second": supervised.classification(decision, second.logits, batch, run),
      "teacher": masked.mean(divergence, both),
    }
    value = jnp.zeros(())
    for name, factor in loss_lib.betas(
      teaching.weights, run.epoch, teaching.frozen
    ).items():
      value = value + factor * terms[name]
    return value, loss_lib.view_terms(params, terms, statistics, key)

  return loss


def _stages(
  config: ml_collections.ConfigDict, views: Views, teaching: loss_lib.Teaching
) -> tuple[interface.Stage, ...]:
  """One view; two at once; or a teacher and then its student."""
  decision, contrast = config.protocol.decision, teaching.contrast
  if loss_lib.SECOND not in views.kinds:
    return (
      interface.Stage("supervised", _alone(decision, views, loss_lib.FIRST)),
    )
  loss = _together(config, views, teaching)
  pairs = contrast.confusable if contrast.negatives == "corpus" else None
  if not teaching.frozen:
    return (interface.Stage("multiview", loss, negatives=pairs),)
  return (
    interface.Stage(
      "teacher",
      _alone(decision, views, loss_lib.SECOND),
      frozen=(loss_lib.FIRST,),
      predict=views.predictor(loss_lib.SECOND),
    ),
    interface.Stage(
      "student", loss, frozen=(loss_lib.SECOND,), negatives=pairs
    ),
  )


def _check(config: ml_collections.ConfigDict) -> None:
  settings = config.model
  choices = [
    ("view", settings.view, tuple(model.KINDS)),
    ("second_view", settings.second_view, ("trainable", "frozen")),
    ("contrast.negatives", settings.contrast.negatives, ("batch", "corpus")),
    ("reading", settings.reading, acoustic_words.READINGS),
  ]
  if settings.second:
    choices.append(("second", settings.second, tuple(model.KINDS)))
  for key, value, expected in choices:
    if value not in expected:
      raise errors.UserError(
        f"config.model.{key} is {value!r}, expected one of"
        f" {', '.join(expected)}"
      )
  for key in ("view", "second"):
    for modality in _modalities(settings[key]):
      if modality not in config.data.modalities:
        raise errors.UserError(
          f"config.model.{key} is {settings[key]!r}, which reads {modality},"
          " but config.data.modalities is"
          f" {', '.join(config.data.modalities)}; add it"
        )
  if config.few_shot.method != "none":
    raise errors.UserError(
      f"config.few_shot.method is {config.few_shot.method!r}, but multiview"
      ' does not learn emotions from few samples; set it to "none"'
    )
  if settings.second:
    _check_two(config)


def _check_two(config: ml_collections.ConfigDict) -> None:
  settings = config.model
  if config.protocol.decision != "softmax":
    raise errors.UserError(
      "config.model.second contrasts emotions, of which an utterance has one;"
      f" got config.protocol.decision {config.protocol.decision!r}; set it to"
      ' "softmax"'
    )
  for key in ("view", "second"):
    kind = model.KINDS[settings[key]]
    if len(kind.modalities) > 1 and not kind.words:
      raise errors.UserError(
        f"config.model.{key} is {settings[key]!r}, whose vector is longer than"
        " the other view's, with which it is compared; use another of"
        f" {', '.join(model.KINDS)}"
      )
  if settings.temperature <= 0:
    raise errors.UserError(
      f"config.model.temperature is {settings.temperature}, expected a number"
      " above 0"
    )
  for pair in settings.contrast.confusable:
    unknown = [name for name in pair if name not in config.data.emotions]
    if unknown:
      raise errors.UserError(
        f"config.model.contrast.confusable names {unknown[0]!r}, expected one"
        f" of config.data.emotions ({', '.join(config.data.emotions)}); name"
        " the emotions there too, or set it to () for any other emotion"
      )


def _modalities(view: str) -> tuple[str, ...]:
  return model.KINDS[view].modalities if view else ()
