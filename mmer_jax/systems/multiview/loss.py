"""The losses of one view, and of two of which one teaches the other.

Source: Aguilar, Rozgic, Wang and Wang, "Multimodal and Multi-view Models for
Emotion Recognition", ACL 2019.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from mmer_jax.core import contrastive, losses, masked
from mmer_jax.data import negatives, schema
from mmer_jax.systems import interface, supervised
from mmer_jax.systems.multiview import model
from mmer_jax.systems.multiview import views as views_lib


class Weights(NamedTuple):
  """Holds the weights of the parts of the loss of two views.

  Attributes:
    contrastive: Weight of Eq. 2, to which the paper gives none.
    first: beta_a, that of the first view's cross-entropy, Eq. 3.
    second: beta_m, that of the second's, Eq. 4.
    teacher: Weight of the first view's divergence from the second, Eq. 5.
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
  """Says how views are contrasted.

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
  """Says how a second view teaches the first.

  Attributes:
    weights: The weights of the parts of the loss.
    contrast: How views are contrasted.
    frozen: Whether the second is trained before, and not any more.
    temperature: The temperature of Eq. 5.
  """

  weights: Weights
  contrast: Contrast
  frozen: bool
  temperature: float


def make_view_loss(
  criterion: supervised.Criterion, views: views_lib.Views, name: str
) -> interface.LossFn:
  """Makes the loss of one view: that of the labels."""

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Any]]:
    output, statistics = views.apply(name, params, batch, run.vectors, key)
    value = supervised.label_loss(criterion, output.logits, batch, run)
    return value, with_statistics(params, {}, statistics, key)

  return loss


def make_teaching_loss(
  criterion: supervised.Criterion,
  views: views_lib.Views,
  teaching: Teaching,
  names: tuple[str, ...],
) -> interface.LossFn:
  """Makes the loss of two views, of which the second teaches the first.

  Source: Aguilar et al. 2019, Eq. 2 to 5 and Algorithm 1.

  Args:
    criterion: Of a softmax; the cross-entropies are of it.
    views: The two views.
    teaching: How the second teaches the first.
    names: The emotions by name; `()` for all in their order.
  """
  contrast = teaching.contrast

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Any]]:
    keys = [None] * 3 if key is None else list(jax.random.split(key, 3))
    first, second, statistics = _apply_both(
      views, teaching.frozen, params, batch, run.vectors, keys[:2]
    )
    both = views.present(batch) & batch.labelled
    # Their negatives stand behind the rows of a batch.
    behind = key is not None and contrast.negatives == "corpus"
    size = len(both) // 2 if behind else len(both)
    distance = contrast_term(
      (first.vector, second.vector),
      batch.labels,
      both,
      size,
      contrast,
      names or range(len(run.vectors)),
      keys[2],
    )
    batch, first, second, both = jax.tree.map(
      lambda leaf: leaf[:size], (batch, first, second, both)
    )
    terms = {
      "contrastive": distance,
      "first": supervised.label_loss(criterion, first.logits, batch, run),
      "second": supervised.label_loss(criterion, second.logits, batch, run),
      "teacher": masked.mean(
        losses.distillation(second.logits, first.logits, teaching.temperature),
        both,
      ),
    }
    value = jnp.zeros(())
    weights = betas(teaching.weights, run.epoch, teaching.frozen)
    for name, factor in weights.items():
      value = value + factor * terms[name]
    return value, with_statistics(params, terms, statistics, key)

  return loss


def _apply_both(
  views: views_lib.Views,
  frozen: bool,
  params: interface.Params,
  batch: schema.Batch,
  emotions: Float[Array, "k e"],
  keys: list[PRNGKeyArray | None],
) -> tuple[model.Output, model.Output, dict[str, Any]]:
  """Runs both views; a frozen second one is a constant, as in prediction."""
  first, statistics = views.apply(
    views_lib.FIRST, params, batch, emotions, keys[0]
  )
  second, more = views.apply(
    views_lib.SECOND, params, batch, emotions, None if frozen else keys[1]
  )
  if frozen:
    return first, jax.lax.stop_gradient(second), statistics
  return first, second, statistics | more


def with_statistics(
  params: interface.Params,
  terms: dict[str, Scalar],
  statistics: dict[str, Any],
  key: PRNGKeyArray | None,
) -> dict[str, Any]:
  """Adds the views' statistics to the terms, where this is training."""
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
  """Computes Eq. 2 of a batch.

  Args:
    views: The vectors of both views.
    labels: One-hot.
    both: Rows that count: both views have something of them.
    size: How many rows have a negative. The rows behind them, if any, are
      their negatives; else negatives are drawn among the rows themselves.
    contrast: How views are contrasted.
    emotions: The emotions, as `contrast.confusable` names them.
    key: Of the draw; None for the mean over draws.
  """
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
  """Computes the weight of each term of the loss in an epoch.

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
