"""Multimodal models by words, and acoustic ones that learn from them.

Source: Aguilar, Rozgic, Wang and Wang, "Multimodal and Multi-view Models for
Emotion Recognition", ACL 2019.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from mmer_jax.core import contrastive
from mmer_jax.data import negatives
from mmer_jax.systems import interface

# The views, as they are named in the parameters.
FIRST, SECOND = "first", "second"


class Weights(NamedTuple):
  """What the parts of the loss of two views count for.

  Attributes:
    contrastive: Of Eq. 2; the paper has it without a weight.
    first: beta_a, of the first view's cross-entropy, Eq. 3.
    second: beta_m, of the second's, Eq. 4.
    teacher: Of the first view's divergence from the second, Eq. 5.
    decay_first: rho of beta_a: beta / (1 + rho epoch), appendix B.
    decay_second: rho of beta_m.
  """

  contrastive: float
  first: float
  second: float
  teacher: float
  decay_first: float
  decay_second: float


class Contrast(NamedTuple):
  """How views are contrasted.

  Attributes:
    margin: m of Eq. 2.
    negatives: Where they are drawn: `batch`, among the batch's own vectors, or
      `corpus`, the training rows, which costs another forward pass of both
      views (Algorithm 1). Validation takes those of the batch.
    confusable: Pairs of emotions that are each other's negatives; empty for
      any other emotion.
  """

  margin: float
  negatives: str
  confusable: tuple[tuple[str, str], ...]


class Teaching(NamedTuple):
  """How a second view teaches the first.

  Attributes:
    weights: Of the parts of the loss.
    contrast: How views are contrasted.
    frozen: Whether the second is trained before, and not any more.
    temperature: Of Eq. 5.
  """

  weights: Weights
  contrast: Contrast
  frozen: bool
  temperature: float


def view_terms(
  params: interface.Params,
  terms: dict[str, Scalar],
  statistics: dict[str, Any],
  key: PRNGKeyArray | None,
) -> dict[str, Any]:
  """The terms, and the statistics where this is training."""
  if key is None or not statistics:
    return terms
  before = params[interface.STATISTICS]
  return {**terms, interface.STATISTICS: {**before, **statistics}}


def contrast_term(
  views: tuple[Float[Array, "n d"], Float[Array, "n d"]],
  labels: Float[Array, "n k"],
  both: Bool[Array, " n"],
  size: int,
  contrast: Contrast,
  emotions: Sequence[str | int],
  key: PRNGKeyArray | None,
) -> Scalar:
  """Eq. 2 of the first `size` rows, whose negatives are the rest if any."""
  own = [vectors[:size] for vectors in views]
  if size < len(both):
    return contrastive.contrastive(
      *own,
      jnp.eye(size, dtype=labels.dtype) * both[size:, None],
      both[:size],
      margin=contrast.margin,
      first_others=views[0][size:],
      second_others=views[1][size:],
    )
  wanted = jnp.asarray(negatives.wanted(contrast.confusable, emotions))
  drawn = contrastive.choose_negatives(labels, wanted, both, key=key)
  return contrastive.contrastive(*own, drawn, both, margin=contrast.margin)


def betas(
  weights: Weights, epoch: Array | None, frozen: bool
) -> dict[str, float | Array]:
  """What each term of the loss counts for in an epoch.

  Source: Aguilar et al. 2019, Eq. 3 and 4 and appendix B:
    beta = beta_0 / (1 + rho epoch).
  Deviation: the betas count once; the paper has them in Eq. 3 and 4 and again
    in Algorithm 1. A frozen second view's own loss counts for nothing.

  Args:
    weights: beta_0 and rho.
    epoch: From 0; None for 0.
    frozen: Whether the second view is.
  """
  epoch = 0 if epoch is None else epoch
  return {
    "contrastive": weights.contrastive,
    "first": weights.first / (1 + weights.decay_first * epoch),
    "second": 0.0
    if frozen
    else weights.second / (1 + weights.decay_second * epoch),
    "teacher": weights.teacher,
  }
