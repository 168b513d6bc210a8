"""The modality check and the proxies, in front of any system.

Both are fitted on the training rows of each run as they are without noise, and
applied to a batch before the system sees it. The check makes a modality that
does not fit the others absent; a proxy puts features in the place of one that
is absent or was made so.
"""

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
  """How well each modality fits each other one, of both orders."""
  names = sorted(batch.streams)
  reduced = {
    name: cca.reduce(
      reduction_of(fitted, name), flatten_frames(batch.streams[name])
    )
    for name in names
  }
  found = {}
  for a, b in itertools.combinations(names, 2):
    pair = f"{a}|{b}"
    x = jnp.matmul(reduced[a], fitted.first[pair])
    y = jnp.matmul(reduced[b], fitted.second[pair])
    if settings.score == "pearson":
      found[a, b] = found[b, a] = cca.pearson(x, y)
    else:
      rho = fitted.correlations[pair]
      found[a, b] = cca.likelihood(x, y, rho)
      found[b, a] = cca.likelihood(y, x, rho)
  return found


def threshold(best: np.ndarray, fails: np.ndarray) -> float:
  """The score from which a modality is best taken for effective.

  Args:
    best: The best score of each modality of each row, beside another one.
    fails: Whether it is one that fails.

  Returns:
    Of equally good ones the lowest; -inf where nothing fails.
  """
  order = np.argsort(best, kind="stable")
  best, fails = best[order], fails[order]
  if not fails.any() or fails.all():
    return -np.inf
  # With the threshold at best[i], what is before i is found ineffectual.
  caught = np.concatenate([[0], np.cumsum(fails)]) / fails.sum()
  lost = np.concatenate([[0], np.cumsum(~fails)]) / (~fails).sum()
  edges = np.concatenate([[-np.inf], best[1:], [np.inf]])
  allowed = np.concatenate([[True], best[1:] > best[:-1], [True]])
  return float(edges[np.argmax(np.where(allowed, caught - lost, -np.inf))])


def _best(
  settings: settings_lib.RepairSettings,
  noise: noise_lib.Noise,
  fitted: settings_lib.FittedRepair,
  batch: schema.Batch,
  seed: Array,
) -> tuple[Array, Array, Array]:
  """Of every row and modality: best score, whether it fails, if it counts."""
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
  features = jnp.where(stream.mask[..., None], stream.features, 0.0)
  return features.reshape(features.shape[0], -1)


def reduction_of(fitted: settings_lib.FittedRepair, name: str) -> cca.Reduction:
  basis = fitted.basis[name]
  return cca.Reduction(fitted.mean[name], basis, jnp.zeros(basis.shape[-1]))


score_block = jax.jit(_best, static_argnums=(0, 1))
