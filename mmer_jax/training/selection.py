"""Ends an epoch of one run: what validation selects, lowers and stops."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from mmer_jax.core import metrics, regression_metrics
from mmer_jax.systems import interface
from mmer_jax.training import step

# The metrics logged at every threshold: Dai et al. 2020, Figures 4 and 5.
CURVES = ("weighted_f1", "weighted_accuracy")


class Validation(NamedTuple):
  """Holds what a pass over the validation rows gives.

  Attributes:
    logits: Scores of every row, rows that fill a batch included.
    labels: Labels of every row.
    mask: False on rows that fill a batch and on unlabelled rows.
    known: The emotions that the stages so far have taught.
    loss: Mean loss of the batches, weighted by their examples.
  """

  logits: Float[Array, "n k"]
  labels: Float[Array, "n k"]
  mask: Bool[Array, " n"]
  known: Bool[Array, " k"]
  loss: Scalar


def end_epoch(
  rules: interface.TrainingRules, state: step.RunState, validation: Validation
) -> tuple[step.RunState, dict[str, Scalar]]:
  """Applies plateau, selection and early stopping, from validation alone.

  Args:
    rules: How to select, when to lower the rate and when to stop.
    state: The run after the epoch's last step.
    validation: Predictions with the parameters of that step.

  Returns:
    The state at the start of the next epoch, and what to log.
  """
  progress = state.progress
  live = ~progress.stopped
  probs = metrics.probabilities(rules.decision, validation.logits)
  scores = _scores(rules, probs, validation)
  value = _selection_value(rules, progress, validation, scores)
  better = live & (value > progress.best) & _is_finite(validation)
  best_epoch = jnp.where(better, progress.epoch + 1, progress.best_epoch)
  following = progress.replace(
    epoch=progress.epoch + 1,
    best=jnp.where(better, value, progress.best),
    best_epoch=best_epoch,
    stopped=_waited_enough(rules, progress, best_epoch),
    **_plateau(rules, progress, validation.loss),
  )
  following = step.select_tree(live, following, progress).replace(
    sums=jax.tree.map(jnp.zeros_like, progress.sums),
    examples=jnp.zeros_like(progress.examples),
  )
  log = {
    **_epoch_log(state, validation, scores),
    "live": live,
    "best_epoch": best_epoch,
    "stopped": following.stopped,
  }
  if rules.curve_thresholds:
    log.update(_curves(rules, probs, validation))
  best_params = step.select_tree(better, state.train.params, state.best_params)
  return state.replace(best_params=best_params, progress=following), log


def _scores(
  rules: interface.TrainingRules,
  probs: Float[Array, "n k"],
  validation: Validation,
) -> dict[str, Scalar]:
  """Computes all metrics, of emotions or of ratings."""
  if rules.decision == "regression":
    return regression_metrics.compute(
      probs, validation.labels, validation.mask, rules.rating_ranges
    )
  return metrics.compute(
    rules.decision,
    probs,
    validation.labels,
    validation.mask,
    rules.threshold,
    emotions=validation.known,
  )


def _is_finite(validation: Validation) -> Bool[Array, ""]:
  """Tells whether loss and predictions are finite.

  Metrics are finite by design: a model that is not must not be selected by
  them.
  """
  logits = jnp.where(validation.mask[:, None], validation.logits, 0.0)
  return jnp.isfinite(validation.loss) & jnp.isfinite(logits).all()


def _selection_value(
  rules: interface.TrainingRules,
  progress: step.Progress,
  validation: Validation,
  scores: dict[str, Scalar],
) -> Scalar:
  """Gives the value by which epochs are compared; larger is better."""
  if rules.select == "loss":
    return -validation.loss
  if rules.select == "last":
    return progress.epoch.astype(jnp.float32)
  if rules.select in regression_metrics.ERRORS:
    return -scores[rules.select]
  return scores[rules.select]


def _plateau(
  rules: interface.TrainingRules, progress: step.Progress, loss: Scalar
) -> dict[str, Scalar]:
  """Lowers the learning rate where the validation loss no longer falls.

  As torch.optim.lr_scheduler.ReduceLROnPlateau does, mode "min", its relative
  threshold of 1e-4, no cooldown.

  Returns:
    The fields of `Progress` that change.
  """
  lower = loss < progress.plateau_best * (1 - 1e-4)
  bad = jnp.where(lower, 0, progress.plateau_bad + 1)
  reduce = bad > rules.patience
  return {
    "rate_scale": jnp.where(
      reduce, progress.rate_scale * rules.factor, progress.rate_scale
    ),
    "plateau_best": jnp.where(lower, loss, progress.plateau_best),
    "plateau_bad": jnp.where(reduce, 0, bad),
  }


def _waited_enough(
  rules: interface.TrainingRules, progress: step.Progress, best_epoch: Scalar
) -> Bool[Array, ""]:
  """Says whether early stopping ends the run after this epoch."""
  if not rules.early_stopping:
    return jnp.zeros_like(progress.stopped)
  return progress.epoch + 1 - best_epoch >= rules.early_stopping


def _epoch_log(
  state: step.RunState, validation: Validation, scores: dict[str, Scalar]
) -> dict[str, Scalar]:
  """Collects the epoch's means over examples and its validation metrics."""
  progress = state.progress
  examples = jnp.maximum(progress.examples, 1.0)
  return {
    "step": state.train.step,
    "learning_rate_scale": progress.rate_scale,
    **{
      f"train_{name}": total / examples for name, total in progress.sums.items()
    },
    "validation_loss": validation.loss,
    **{f"validation_{name}": score for name, score in scores.items()},
    "epoch": progress.epoch + 1,
    "failed_step": progress.failed_step,
  }


def _curves(
  rules: interface.TrainingRules,
  probs: Float[Array, "n k"],
  validation: Validation,
) -> dict[str, Float[Array, " thresholds"]]:
  """Computes the metrics of `CURVES` at every threshold."""

  def at(threshold: Scalar) -> dict[str, Scalar]:
    values = metrics.compute(
      rules.decision,
      probs,
      validation.labels,
      validation.mask,
      threshold,
      emotions=validation.known,
    )
    return {f"validation_{name}_by_threshold": values[name] for name in CURVES}

  # One after another: mapped, they would hold the ranks of the AUC for each.
  return jax.lax.map(at, jnp.asarray(rules.curve_thresholds, jnp.float32))
