"""The supervised loss that the systems with one stage share."""

from collections.abc import Callable

from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from mmer_jax.core import losses, masked
from mmer_jax.data import schema
from mmer_jax.systems import interface

# (params, batch, emotions, key) -> logits
ApplyFn = Callable[
  [interface.Params, schema.Batch, Array, PRNGKeyArray | None],
  Float[Array, "b k"],
]


def make_loss(decision: str, apply: ApplyFn) -> interface.LossFn:
  """Weighted binary cross-entropy, or cross-entropy under a softmax.

  The mean is over the labelled examples of the global batch; under binary
  decisions over those with a label that their role knows.

  Args:
    decision: `"binary"` or `"softmax"`.
    apply: The model; random where it gets a key.

  Returns:
    A stage's loss.
  """

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    logits = apply(params, batch, run.vectors, key)
    return classification(decision, logits, batch, run), {}

  return loss


def classification(
  decision: str,
  logits: Float[Array, "b k"],
  batch: schema.Batch,
  run: interface.RunSettings,
) -> Scalar:
  """The loss of `make_loss` from the logits of a batch."""
  labels, real = batch.labels, batch.example_mask & batch.labelled
  weight = run.class_weight[batch.role]
  if decision == "softmax":
    return masked.mean(losses.cross_entropy(logits, labels, weight), real)
  known = run.known[batch.role]
  values = losses.binary_cross_entropy(logits, labels, weight, known)
  return masked.mean(values, real & known.any(axis=-1))
