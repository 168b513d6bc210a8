"""The state, the stages and the runs of training, and their compiled step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from mmer_jax.core import metrics
from mmer_jax.systems import interface
from mmer_jax.training import step

# Dai et al. 2020, Figures 4 and 5.
CURVES = ("weighted_f1", "weighted_accuracy")


class Validation(NamedTuple):
  """What a pass over the validation rows leaves.

  Attributes:
    logits: Of every row, fillers included.
    labels: Of every row.
    mask: False on fillers and unlabelled rows.
    known: The emotions that the stages so far have taught.
    loss: Mean over the batches, weighted by their examples.
  """

  logits: Float[Array, "n k"]
  labels: Float[Array, "n k"]
  mask: Bool[Array, " n"]
  known: Bool[Array, " k"]
  loss: Scalar


def end_epoch(
  rules: interface.TrainingRules, state: step.RunState, validation: Validation
) -> tuple[step.RunState, dict[str, Scalar]]:
  """Plateau, selection and early stopping of one run, from validation alone.

  Args:
    rules: What the config says of them.
    state: After the epoch's last step.
    validation: With the parameters of that step.

  Returns:
    The state at the start of the next epoch, and what to log.
  """
  progress = state.progress
  live = ~progress.stopped
  probs = metrics.probabilities(rules.decision, validation.logits)
  scores = metrics.compute(
    rules.decision,
    probs,
    validation.labels,
    validation.mask,
    rules.threshold,
    emotions=validation.known,
  )
  if rules.select == "loss":
    value = -validation.loss
  elif rules.select == "last":
    value = progress.epoch.astype(jnp.float32)
  else:
    value = scores[rules.select]
  # Metrics are finite by design; a model whose validation loss is not must
  # not be selected by them.
  better = live & (value > progress.best) & jnp.isfinite(validation.loss)
  best_epoch = jnp.where(better, progress.epoch + 1, progress.best_epoch)

  # torch.optim.lr_scheduler.ReduceLROnPlateau, mode "min", its relative
  # threshold of 1e-4, no cooldown.
  lower = validation.loss < progress.plateau_best * (1 - 1e-4)
  bad = jnp.where(lower, 0, progress.plateau_bad + 1)
  reduce = bad > rules.patience
  waited = progress.epoch + 1 - best_epoch
  stop = (
    waited >= rules.early_stopping
    if rules.early_stopping
    else jnp.zeros_like(live)
  )
  examples = jnp.maximum(progress.examples, 1.0)
  log = {
    "step": state.train.step,
    "learning_rate_scale": progress.rate_scale,
    **{
      f"train_{name}": total / examples for name, total in progress.sums.items()
    },
    "validation_loss": validation.loss,
    **{f"validation_{name}": score for name, score in scores.items()},
    "epoch": progress.epoch + 1,
    "live": live,
    "best_epoch": best_epoch,
    "failed_step": progress.failed_step,
  }
  following = progress.replace(
    epoch=progress.epoch + 1,
    rate_scale=jnp.where(
      reduce, progress.rate_scale * rules.factor, progress.rate_scale
    ),
    plateau_best=jnp.where(lower, validation.loss, progress.plateau_best),
    plateau_bad=jnp.where(reduce, 0, bad),
    best=jnp.where(better, value, progress.best),
    best_epoch=best_epoch,
    stopped=stop,
  )
  following = step.select_tree(live, following, progress)
  reset = following.replace(
    sums=jax.tree.map(jnp.zeros_like, progress.sums),
    examples=jnp.zeros_like(progress.examples),
  )
  log["stopped"] = reset.stopped
  if rules.curve_thresholds:
    log.update(_curves(rules, probs, validation))
  best_params = step.select_tree(better, state.train.params, state.best_params)
  return state.replace(best_params=best_params, progress=reset), log


def _curves(
  rules: interface.TrainingRules,
  probs: Float[Array, "n k"],
  validation: Validation,
) -> dict[str, Float[Array, " thresholds"]]:
  """The metrics of `CURVES` at every threshold, means over the emotions."""

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
