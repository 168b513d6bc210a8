"""Checks the choices of a config and makes the rules that runs share."""

from collections.abc import Sequence

import ml_collections

from mmer_jax.base import errors
from mmer_jax.core import metrics, regression_metrics
from mmer_jax.systems import interface, supervised


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


def rate(
  rules: interface.TrainingRules,
  ranges: Sequence[regression_metrics.Range],
) -> interface.TrainingRules:
  """Adds the ranges of the ratings, where they are what is learnt.

  Raises:
    UserError: They do not define the metric of selection.
  """
  if rules.decision != "regression":
    return rules
  defined = regression_metrics.names(ranges)
  if rules.select in regression_metrics.NAMES and rules.select not in defined:
    shown = ", ".join(f"{low:g} to {high:g}" for low, high in ranges)
    raise errors.UserError(
      f"config.training.select is {rules.select!r}, which ratings of"
      f" {shown} do not define; expected one of {', '.join(defined)}"
    )
  return rules._replace(rating_ranges=tuple(ranges))


def _check_choices(config: ml_collections.ConfigDict) -> None:
  """Refuses a value that is none of those its key may have."""
  choices = (
    ("protocol.decision", config.protocol.decision, metrics.DECISIONS),
    (
      "data.without_emotion",
      config.data.without_emotion,
      ("negative", "unlabelled"),
    ),
    ("loss.class_weight", config.loss.class_weight, ("balanced", "none")),
    ("loss.ratings", config.loss.ratings, supervised.RATING_LOSSES),
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
  if config.protocol.decision == "regression":
    _check_regression(config)
    return
  metrics.check_selectable("training.select", config.training.select)
  if config.few_shot.select not in ("", "last"):
    metrics.check_selectable("few_shot.select", config.few_shot.select)


def _check_regression(config: ml_collections.ConfigDict) -> None:
  """Refuses what is of emotions where ratings are learnt."""
  select = config.training.select
  regression_metrics.check_selectable("training.select", select)
  if config.few_shot.method != "none":
    raise errors.UserError(
      f"config.few_shot.method is {config.few_shot.method!r}, which learns new"
      ' emotions, but config.protocol.decision is "regression"; set it to'
      ' "none"'
    )
  if config.unlabelled.per_class:
    raise errors.UserError(
      f"config.unlabelled.per_class is {config.unlabelled.per_class}, which"
      " picks utterances by their predicted emotion, but"
      ' config.protocol.decision is "regression"; set it to 0'
    )
  if config.sweep.words or config.data.words:
    raise errors.UserError(
      "config.data.words and config.sweep.words are words for emotions, but"
      ' config.protocol.decision is "regression"; set them to ()'
    )


def _check_decision(config: ml_collections.ConfigDict) -> None:
  """Refuses keys of binary decisions where the decision is another."""
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
