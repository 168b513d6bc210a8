"""The supervised loss that most systems share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from mmer_jax.core import losses, masked, regression_metrics
from mmer_jax.data import schema
from mmer_jax.systems import interface

# (params, batch, emotions, key) -> what has `logits`: see `network.Network`.
ApplyFn = Callable[
  [interface.Params, schema.Batch, Array, PRNGKeyArray | None], Any
]
# (output of the network, batch, run) -> name to what is added to the loss.
TermsFn = Callable[
  [Any, schema.Batch, interface.RunSettings], dict[str, Scalar]
]

# The losses of ratings: mean absolute error, mean squared error, 1 - CCC.
RATING_LOSSES = ("l1", "l2", "ccc")


class Criterion(NamedTuple):
  """Says how the output of a network is compared with the labels.

  Attributes:
    decision: `"binary"`, `"softmax"` or `"regression"`.
    ratings: One of `RATING_LOSSES`, of a regression.
  """

  decision: str
  ratings: str = "l1"

  @classmethod
  def from_config(cls, config: ml_collections.ConfigDict) -> "Criterion":
    """Reads the keys of a config."""
    return cls(config.protocol.decision, config.loss.ratings)

  @property
  def term(self) -> str:
    """Names the loss among the terms that are logged."""
    ratings = self.decision == "regression"
    return "regression" if ratings else "classification"


def make_loss(
  criterion: Criterion, apply: ApplyFn, terms: TermsFn | None = None
) -> interface.LossFn:
  """Makes the loss of a stage from the network and the losses beside.

  Args:
    criterion: What the labels are and how they are compared.
    apply: The network; random where it gets a key.
    terms: Losses that are added to that of the labels; all of them are logged
      then. None where the loss of the labels is the only one.

  Returns:
    A stage's loss.
  """

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    output = apply(params, batch, run.vectors, key)
    value = label_loss(criterion, output.logits, batch, run)
    if terms is None:
      return value, {}
    parts = {criterion.term: value, **terms(output, batch, run)}
    return sum(parts.values()), parts

  return loss


def label_loss(
  criterion: Criterion,
  logits: Float[Array, "b k"],
  batch: schema.Batch,
  run: interface.RunSettings,
) -> Scalar:
  """Computes the loss of the labels, over the labelled rows of the batch.

  That is weighted binary cross-entropy, that of a softmax, or the error of
  ratings. The mean is over the labelled examples of the global batch; under
  binary decisions over those with a label that their role knows.
  """
  labels, real = batch.labels, batch.example_mask & batch.labelled
  if criterion.decision == "regression":
    return _rating_loss(criterion.ratings, logits, labels, real, run)
  weight = run.class_weight[batch.role]
  if criterion.decision == "softmax":
    return masked.mean(losses.cross_entropy(logits, labels, weight), real)
  known = run.known[batch.role]
  values = losses.binary_cross_entropy(logits, labels, weight, known)
  return masked.mean(values, real & known.any(axis=-1))


def _rating_loss(
  kind: str,
  logits: Float[Array, "b k"],
  labels: Float[Array, "b k"],
  real: Bool[Array, " b"],
  run: interface.RunSettings,
) -> Scalar:
  """Computes the loss of ratings, in deviations of the run's training rows.

  So each target weighs alike, whatever its scale. `ccc` is a statistic of the
  global batch: 1 - CCC, its mean over the targets.
  """
  wanted = (labels - run.rating_mean[None, :]) / run.rating_scale[None, :]
  if kind == "ccc":
    # Invariant to what is done to both sides.
    each = regression_metrics.concordance(logits, wanted, real)
    value = jnp.mean(1 - jnp.where(jnp.isnan(each), 0.0, each))
    return jnp.where(real.any(), value, 0.0)
  error = losses.absolute_error if kind == "l1" else losses.squared_error
  return masked.mean(error(logits, wanted), real)


def in_own_scale(
  logits: Float[Array, "b k"],
  mean: Float[Array, " k"] | None,
  scale: Float[Array, " k"] | None,
) -> Float[Array, "b k"]:
  """Turns the output of a network into ratings, in the scale of each.

  Args:
    logits: Of a network that was trained by `label_loss`.
    mean: Of the training rows' ratings; None where the output is no rating.
    scale: Their deviation; None where the output is no rating.
  """
  if mean is None or scale is None:
    return logits
  return logits * scale[None, :] + mean[None, :]
