"""The multiplicative loss over modalities, and fusion by its weights.

A modality's log probabilities are those of the class that is true, or of the
one that it finds most likely. An absent modality has no part in anything.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# The least log probability: its product with 0 is 0.
_LOWEST = -1e30


def binary_log_probs(
  logits: Float[Array, "b k"], labels: Float[Array, "b k"]
) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
  """Computes log p and log (1 - p) of the true side of binary decisions.

  Args:
    logits: Scores before the sigmoid.
    labels: 0 or 1.
  """
  signed = jnp.where(labels > 0, logits, -logits)
  return jax.nn.log_sigmoid(signed), jax.nn.log_sigmoid(-signed)


def softmax_log_probs(
  logits: Float[Array, "b k"], labels: Float[Array, "b k"]
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
  """Computes log p and log (1 - p) of the true class; k is 2 at least.

  Args:
    logits: Scores before the softmax.
    labels: One-hot; a row of zeros is treated as its last class, and is for
      the caller to leave out.
  """
  true = (labels > 0) | (
    ~(labels > 0).any(axis=-1, keepdims=True)
    & (jnp.arange(labels.shape[-1]) == labels.shape[-1] - 1)[None, :]
  )
  log_probs = jax.nn.log_softmax(logits, axis=-1)
  log_prob = jnp.where(true, log_probs, 0.0).sum(axis=-1)
  # 1 - p is small where p is near 1: the others are summed and not taken off.
  others = jax.nn.logsumexp(log_probs, axis=-1, where=~true)
  return log_prob, others


def multiplicative(
  log_probs: dict[str, Float[Array, "b *k"]],
  log_others: dict[str, Float[Array, "b *k"]],
  present: dict[str, Bool[Array, " b"]],
  *,
  beta: float,
  form: str,
  detach_weight: bool,
) -> Float[Array, "b *k"]:
  """Computes the multiplicative loss c(y), summed over present modalities.

  Source: Mittal et al. 2020, Eq. 3 (`form="boost"`): each term -log p_i has the
    weight p_i^a. Eq. 2, Liu et al. 2018 (`"suppress"`): it has the weight
    prod_{j != i} (1 - p_j)^a. a = beta / (M - 1).
  Deviation: M is the number of modalities that the sample has; with one alone
    a is 0. `detach_weight` is ours.

  -p^a log p falls with p only above exp(-1 / a). Below that the loss of Eq. 3
  is lower the less likely the true class gets: see `beta_bound`.

  Args:
    log_probs: Modality to log p of the true class; -inf counts as -1e30.
    log_others: Modality to log (1 - p) of the same.
    present: Which modalities each sample has.
    beta: How much the weights count; 0 for plain cross-entropies.
    form: `boost` or `suppress`.
    detach_weight: Whether the weights are constants of the gradient.

  Returns:
    One value per sample (and emotion); 0 where no modality is present.
  """
  names = sorted(log_probs)
  wide = {
    name: present[name].reshape(-1, *(1,) * (log_probs[name].ndim - 1))
    for name in names
  }
  exponent = _exponent(present, beta, log_probs[names[0]].dtype)
  exponent = exponent.reshape(wide[names[0]].shape)
  # Values that are not used must not be infinite: 0 times infinity.
  log_probs, log_others = (
    {
      name: jnp.where(wide[name], jnp.maximum(each[name], _LOWEST), 0.0)
      for name in names
    }
    for each in (log_probs, log_others)
  )
  everyone = sum(log_others.values())
  total = jnp.zeros_like(log_probs[names[0]])
  for name in names:
    if form == "boost":
      log_weight = exponent * log_probs[name]
    else:
      log_weight = exponent * (everyone - log_others[name])
    if detach_weight:
      log_weight = jax.lax.stop_gradient(log_weight)
    total = total - jnp.exp(log_weight) * log_probs[name]
  return total


def beta_bound(modalities: int, classes: int) -> float:
  """Computes the beta from which Eq. 3 teaches a new head the wrong thing.

  A head begins at p = 1 / K; -p^a log p falls with p above exp(-1 / a), so
  that a must stay below 1 / ln K. A binary decision has K = 2.

  Args:
    modalities: M, the number of modalities.
    classes: K, the number of classes.
  """
  if modalities < 2:
    return float("inf")
  return (modalities - 1) / math.log(classes)


def modality_weights(
  confidence: dict[str, Float[Array, " b"]],
  present: dict[str, Bool[Array, " b"]],
  *,
  beta: float,
) -> dict[str, Float[Array, " b"]]:
  """Computes the weight of each modality in the fusion of a sample.

  Source: Mittal et al. 2020, sections 4.2 and 5.3, which do not say how.
  Deviation: ours: confidence^(beta / (M - 1)), normalised over the modalities
    that the sample has, M of them.

  Args:
    confidence: Modality to its `log_confidence`.
    present: Which modalities each sample has.
    beta: How much confidence counts, as for `multiplicative`.

  Returns:
    Weights that sum to one; zeros where no modality is present.
  """
  names = sorted(confidence)
  exponent = _exponent(present, beta, confidence[names[0]].dtype)
  logs = jnp.stack([exponent * confidence[name] for name in names])
  stacked = jnp.stack([present[name] for name in names])
  weights = jax.nn.softmax(logs, axis=0, where=stacked)
  return {name: weights[index] for index, name in enumerate(names)}


def log_confidence(
  logits: Float[Array, "b k"], decision: str, measure: str
) -> Float[Array, " b"]:
  """Computes how sure a modality is of its scores, as a log probability.

  Source: ours, see `modality_weights`. The factor of Eq. 3 is p^a of the true
    class, which nobody knows when the weights are needed.

  A calibrated guess at the base rate of a rare emotion is as sure as can be by
  `likeliest`: log max(p, 1 - p) is concave below one half, so that whoever
  tells utterances apart has less of it on average. The negative entropy is
  convex: whoever tells more has more.

  Args:
    logits: The scores of the modality.
    decision: `softmax`: over the emotions; `binary`: the mean over decisions.
    measure: `likeliest`: the log probability of the likeliest class; `entropy`:
      the log probability of the true class as the modality itself expects it,
      the negative entropy.
  """
  if decision == "softmax":
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    if measure == "likeliest":
      return log_probs.max(axis=-1)
    return (jnp.exp(log_probs) * log_probs).sum(axis=-1)
  if measure == "likeliest":
    return jax.nn.log_sigmoid(jnp.abs(logits)).mean(axis=-1)
  sides = [
    jax.nn.sigmoid(side) * jax.nn.log_sigmoid(side)
    for side in (logits, -logits)
  ]
  return sum(sides).mean(axis=-1)


def weighted_sum(
  vectors: dict[str, Float[Array, "b h"]],
  weights: dict[str, Float[Array, " b"]],
) -> Float[Array, "b h"]:
  """Sums the vectors of the modalities by their weights."""
  return sum(weights[name][:, None] * vectors[name] for name in sorted(vectors))


def product(
  vectors: dict[str, Float[Array, "b h"]],
  present: dict[str, Bool[Array, " b"]],
) -> Float[Array, "b h"]:
  """Multiplies, element by element, the vectors of present modalities."""
  names = sorted(vectors)
  total = jnp.ones_like(vectors[names[0]])
  for name in names:
    total = total * jnp.where(present[name][:, None], vectors[name], 1.0)
  anything = jnp.stack([present[name] for name in names]).any(axis=0)
  return jnp.where(anything[:, None], total, 0.0)


def _exponent(
  present: dict[str, Bool[Array, " b"]], beta: float, dtype: jnp.dtype
) -> Float[Array, " b"]:
  """Computes beta / (M - 1) of each sample; 0 where M is below 2."""
  count = sum(flags.astype(dtype) for flags in present.values())
  return jnp.where(count > 1, beta / jnp.maximum(count - 1, 1.0), 0.0)
