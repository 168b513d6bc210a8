"""The contrastive loss of two views, and its negatives in the batch.

It is a statistic of a whole batch: under `jit` over a mesh negatives are those
of the global batch.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import masked, scaling


def choose_negatives(
  labels: Float[Array, "b k"],
  wanted: Bool[Array, "k k"],
  mask: Bool[Array, " b"],
  *,
  key: PRNGKeyArray | None,
) -> Float[Array, "b b"]:
  """Chooses a negative for each utterance, another one of the batch.

  Source: Aguilar et al. 2019, Algorithm 1, GETNEGSAMPLES.
  Deviation: drawn from the batch, not from the whole training set. Without a
    key all that may be drawn weigh alike: the mean over draws.

  Args:
    labels: One-hot.
    wanted: For each class (row) those that its negatives may have.
    mask: Rows that are False have no negative and are none.
    key: Key of the draw; None for the mean over draws.

  Returns:
    Weights of the negatives (columns) of each row; they sum to 1, or to 0
    where the batch has none.
  """
  wants = labels @ wanted.astype(labels.dtype)
  allowed = (wants @ labels.T > 0) & mask[:, None] & mask[None, :]
  if key is None:
    weights = allowed.astype(labels.dtype)
    return weights / jnp.maximum(weights.sum(axis=1, keepdims=True), 1.0)
  lots = jax.random.uniform(key, allowed.shape)
  chosen = jnp.argmax(jnp.where(allowed, lots, -1.0), axis=1)
  columns = jnp.arange(len(labels))[None, :]
  return ((chosen[:, None] == columns) & allowed).astype(labels.dtype)


def contrastive(
  first: Float[Array, "b d"],
  second: Float[Array, "b d"],
  negatives: Float[Array, "b n"],
  mask: Bool[Array, " b"],
  *,
  margin: float,
  first_others: Float[Array, "n d"] | None = None,
  second_others: Float[Array, "n d"] | None = None,
) -> Float[Array, ""]:
  """Computes how much nearer two views of an utterance are than a negative.

  All distances come from one product of matrices: negatives among the batch's
  own vectors cost no second pass.

  Source: Aguilar et al. 2019, Eq. 2, with dis(v, w) = 1 - cos(v, w).
  Deviation: an utterance without a negative contributes 0.

  Args:
    first: The vectors of one view.
    second: The vectors of the other view, of the same utterances.
    negatives: Weights of the negatives of each row, see `choose_negatives`;
      both directions take the same.
    mask: Rows that are False enter neither sum nor count.
    margin: The margin, m.
    first_others: The vectors that are negatives, by the columns of
      `negatives`; None for `first`.
    second_others: Those of the other view; None for `second`.

  Returns:
    A scalar: half of the sum of the two directions' means; 0 for no row.
  """
  a, b = _unit(first), _unit(second)
  others_a = a if first_others is None else _unit(first_others)
  others_b = b if second_others is None else _unit(second_others)
  together = 1 - jnp.sum(a * b, axis=-1)
  apart = jnp.stack([1 - a @ others_b.T, 1 - b @ others_a.T])
  hinge = jax.nn.relu(margin + together[None, :, None] - apart)
  values = jnp.sum(negatives[None] * hinge, axis=-1)
  return masked.mean(values.sum(axis=0) / 2, mask)


def _unit(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
  """Scales rows to length 1; zeros, without a gradient, stay zeros."""
  x = scaling.scale(x, -scaling.extreme_exponent(x, axis=-1))
  square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
  some = square > 0
  length = jnp.sqrt(jnp.where(some, square, 1.0))
  return jnp.where(some, x / length, 0.0)
