"""The modality check: how well a modality of an utterance fits the others."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmer_jax.core import cca
from mmer_jax.data import schema
from mmer_jax.robustness import noise as noise_lib
from mmer_jax.robustness import settings as settings_lib


def scores(
  settings: settings_lib.RepairSettings,
  fitted: settings_lib.FittedRepair,
  batch: schema.Batch,
) -> dict[tuple[str, str], Float[Array, " b"]]:
  """Scores how well each modality fits each other one, in both orders."""
  names = sorted(batch.streams)
  reduced = {
    name: cca.reduce(
      reduction_of(fitted, name), flatten_frames(batch.streams[name])
    )
    for name in names
  }
  scored = {}
  for a, b in itertools.combinations(names, 2):
    pair = f"{a}|{b}"
    x = jnp.matmul(reduced[a], fitted.first[pair])
    y = jnp.matmul(reduced[b], fitted.second[pair])
    if settings.score in settings_lib.SYMMETRIC:
      scored[a, b] = scored[b, a] = getattr(cca, settings.score)(x, y)
    else:
      rho = fitted.correlations[pair]
      scored[a, b] = cca.likelihood(x, y, rho)
      scored[b, a] = cca.likelihood(y, x, rho)
  return scored


def threshold(
  best: np.ndarray,
  fails: np.ndarray,
  *,
  max_false_alarm: float = 1.0,
  min_balanced_accuracy: float = 0.0,
) -> float:
  """Chooses the score from which a modality is taken for effective.

  Args:
    best: Best score of each modality of each row with another one.
    fails: Whether the modality is one that fails.
    max_false_alarm: Most of the modalities that do not fail, as a share of
      them, that may be taken for ineffectual.
    min_balanced_accuracy: What a threshold must be better than.

  Returns:
    The threshold with the best balanced accuracy within the bound, of equally
    good ones the lowest; -inf, from which everything is effective, where
    nothing fails or no threshold is good enough.
  """
  order = np.argsort(best, kind="stable")
  best, fails = best[order], fails[order]
  if not fails.any() or fails.all():
    return -np.inf
  # With the threshold at best[i], all before i is taken for ineffectual.
  caught = np.concatenate([[0], np.cumsum(fails)]) / fails.sum()
  lost = np.concatenate([[0], np.cumsum(~fails)]) / (~fails).sum()
  edges = np.concatenate([[-np.inf], best[1:], [np.inf]])
  allowed = np.concatenate([[True], best[1:] > best[:-1], [True]])
  allowed &= lost <= max_false_alarm
  balanced = np.where(allowed, (1 + caught - lost) / 2, -np.inf)
  if balanced.max() <= min_balanced_accuracy:
    return -np.inf
  return float(edges[np.argmax(balanced)])


def _best_scores(
  settings: settings_lib.RepairSettings,
  noise: noise_lib.Noise,
  fitted: settings_lib.FittedRepair,
  batch: schema.Batch,
  seed: Array,
) -> tuple[Array, Array, Array]:
  """Scores a batch under noise, for the choice of a threshold.

  Returns:
    For every modality and row: its best score with another one, whether noise
    was put on it, and whether it has a score at all.
  """
  fails = noise_lib.failing(noise, seed, batch)
  noisy = noise_lib.corrupt(noise, seed, batch)
  scored = scores(settings, fitted, noisy)
  names = sorted(batch.streams)
  best = jnp.stack(
    [cca.best_score(name, scored, noisy.present) for name in names]
  )
  failed = jnp.stack([fails[name] for name in names])
  return best, failed, jnp.isfinite(best)


def flatten_frames(stream: schema.Stream) -> Float[Array, "b f"]:
  """Puts the features of all steps side by side, zeros at padding."""
  features = jnp.where(stream.mask[..., None], stream.features, 0.0)
  return features.reshape(features.shape[0], -1)


def reduction_of(fitted: settings_lib.FittedRepair, name: str) -> cca.Reduction:
  """Returns the principal components of a modality."""
  basis = fitted.basis[name]
  return cca.Reduction(fitted.mean[name], basis, jnp.zeros(basis.shape[-1]))


# Compiled once for all runs.
score_block = jax.jit(_best_scores, static_argnums=(0, 1))
