"""Multimodal models by words, and acoustic ones that learn from them.

Source: Aguilar, Rozgic, Wang and Wang, "Multimodal and Multi-view Models for
Emotion Recognition", ACL 2019.
"""

import ml_collections

from mmer_jax.base import errors
from mmer_jax.core import acoustic_words
from mmer_jax.systems import interface, supervised
from mmer_jax.systems.multiview import loss as loss_lib
from mmer_jax.systems.multiview import model
from mmer_jax.systems.multiview import views as views_lib


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
  views = views_lib.Views(
    {views_lib.FIRST: view} | ({views_lib.SECOND: second} if second else {}),
    {**parts, "dtype": config.compute_dtype},
  )
  kind = model.KINDS[view]
  return interface.System(
    init=views.init,
    stages=_stages(config, views, teaching),
    predict=views.predictor(views_lib.FIRST),
    open_vocabulary=False,
    regression=True,
    words=views.words if kind.words and "lexical" in kind.modalities else None,
    acoustic_word="acoustic" in kind.modalities
    and (kind.words or not kind.silence),
  )


def _stages(
  config: ml_collections.ConfigDict,
  views: views_lib.Views,
  teaching: loss_lib.Teaching,
) -> tuple[interface.Stage, ...]:
  """Makes one view; two at once; or a teacher and then its student."""
  criterion = supervised.Criterion.from_config(config)
  contrast = teaching.contrast
  if views_lib.SECOND not in views.kinds:
    return (
      interface.Stage(
        "supervised", loss_lib.make_view_loss(criterion, views, views_lib.FIRST)
      ),
    )
  loss = loss_lib.make_teaching_loss(
    criterion, views, teaching, tuple(config.data.emotions)
  )
  pairs = contrast.confusable if contrast.negatives == "corpus" else None
  if not teaching.frozen:
    return (interface.Stage("multiview", loss, negatives=pairs),)
  return (
    interface.Stage(
      "teacher",
      loss_lib.make_view_loss(criterion, views, views_lib.SECOND),
      frozen=(views_lib.FIRST,),
      predict=views.predictor(views_lib.SECOND),
    ),
    interface.Stage(
      "student", loss, frozen=(views_lib.SECOND,), negatives=pairs
    ),
  )


def _check(config: ml_collections.ConfigDict) -> None:
  """Refuses what the system does not have, as a UserError."""
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
    errors.check_choices(f"model.{key}", value, expected)
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
  """Refuses two views that cannot be compared, as a UserError."""
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
  """Lists the modalities of a view; none for no view."""
  return model.KINDS[view].modalities if view else ()
