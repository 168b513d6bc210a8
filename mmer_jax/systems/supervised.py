"""The supervised loss that most systems share."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from mmer_jax.core import losses, masked
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


def make_loss(
  decision: str, apply: ApplyFn, terms: TermsFn | None = None
) -> interface.LossFn:
  """Makes the loss of a stage from the network and the losses beside.

  Args:
    decision: `"binary"` or `"softmax"`.
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
    value = classification(decision, output.logits, batch, run)
    if terms is None:
      return value, {}
    parts = {"classification": value, **terms(output, batch, run)}
    return sum(parts.values()), parts

  return loss


def classification(
  decision: str,
  logits: Float[Array, "b k"],
  batch: schema.Batch,
  run: interface.RunSettings,
) -> Scalar:
  """Computes weighted binary cross-entropy, or that of a softmax.

  The mean is over the labelled examples of the global batch; under binary
  decisions over those with a label that their role knows.
  """
  labels, real = batch.labels, batch.example_mask & batch.labelled
  weight = run.class_weight[batch.role]
  if decision == "softmax":
    return masked.mean(losses.cross_entropy(logits, labels, weight), real)
  known = run.known[batch.role]
  values = losses.binary_cross_entropy(logits, labels, weight, known)
  return masked.mean(values, real & known.any(axis=-1))
