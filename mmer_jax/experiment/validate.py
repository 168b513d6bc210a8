"""Checks the choices of a config and makes the rules that runs share."""

import ml_collections

from mmer_jax.base import errors
from mmer_jax.core import metrics
from mmer_jax.systems import interface


def make_rules(config: ml_collections.ConfigDict) -> interface.TrainingRules:
  """Checks the choices of a config and makes the rules that its runs share.

  Raises:
    UserError: A value is none of its choices, or two do not go together.
  """
  _check_choices(config)
  _check_decision(config)
  return interface.TrainingRules(
    decision=config.protocol.decision,
    threshold=config.protocol.threshold,
    select=config.training.select,
    factor=config.schedule.factor,
    patience=config.schedule.patience,
    early_stopping=config.training.early_stopping,
    curve_thresholds=tuple(config.training.curve_thresholds),
  )


def _check_choices(config: ml_collections.ConfigDict) -> None:
  """Refuses a value that is none of those its key may have."""
  choices = (
    ("protocol.decision", config.protocol.decision, ("binary", "softmax")),
    (
      "data.without_emotion",
      config.data.without_emotion,
      ("negative", "unlabelled"),
    ),
    ("loss.class_weight", config.loss.class_weight, ("balanced", "none")),
    ("compute_dtype", config.compute_dtype, ("float32", "bfloat16")),
    (
      "few_shot.method",
      config.few_shot.method,
      ("none", "fine_tune", "joint", "gem"),
    ),
    (
      "few_shot.memory_tasks",
      config.few_shot.memory_tasks,
      ("one", "per_emotion"),
    ),
    ("few_shot.optimizer", config.few_shot.optimizer, interface.OPTIMIZERS),
  )
  for key, value, expected in choices:
    errors.check_choices(key, value, expected)
  metrics.check_selectable("training.select", config.training.select)
  if config.few_shot.select not in ("", "last"):
    metrics.check_selectable("few_shot.select", config.few_shot.select)


def _check_decision(config: ml_collections.ConfigDict) -> None:
  """Refuses keys of binary decisions where the decision is a softmax."""
  if config.protocol.unseen and config.protocol.decision != "binary":
    raise errors.UserError(
      "config.protocol.unseen leaves emotions out, which needs one decision"
      f" per emotion, got config.protocol.decision"
      f' {config.protocol.decision!r}; set it to "binary"'
    )
  curve_thresholds = tuple(config.training.curve_thresholds)
  if curve_thresholds and config.protocol.decision != "binary":
    raise errors.UserError(
      "config.training.curve_thresholds are of binary decisions, got"
      f" config.protocol.decision {config.protocol.decision!r}; set them to ()"
    )
