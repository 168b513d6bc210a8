"""Fits the modality check and the proxies to the training rows of a run."""

import itertools

import jax
import numpy as np

from mmer_jax.core import cca
from mmer_jax.data import batches, normalise, schema, tables
from mmer_jax.robustness import check, proxies
from mmer_jax.robustness import noise as noise_lib
from mmer_jax.robustness import settings as settings_lib


def fit(
  settings: settings_lib.RepairSettings,
  table: tables.Table,
  *,
  train: np.ndarray,
  validation: np.ndarray,
  width: int,
  mean: dict[str, np.ndarray],
  scale: dict[str, np.ndarray],
  keep: dict[str, np.ndarray],
  noise: noise_lib.Noise,
  seed: int,
) -> settings_lib.FittedRepair:
  """Fits check and proxies on the training rows of one run.

  tau is the threshold with the best balanced accuracy in telling the modalities
  that fail from the others, on the validation rows under white noise, within
  the bounds of the settings.

  Args:
    settings: The settings of check and proxies.
    table: The features.
    train: The run's training rows.
    validation: Its validation rows.
    width: Rows of the bank, as many as the longest run needs.
    mean: Means of the run's normalisation.
    scale: Scales of the run's normalisation.
    keep: The modalities that the run sees; empty for all.
    noise: That of the config, see `RepairSettings.tuning_noise`.
    seed: The seed of the run.

  Returns:
    Arrays without the runs axis.
  """
  rows = np.full(width, schema.PAD_ROW, np.int32)
  rows[: len(train)] = train

  def take(rows: np.ndarray) -> schema.Batch:
    batch = normalise.normalise(table.take(rows), mean, scale)
    return normalise.keep_modalities(batch, keep)

  fitted = _fit(settings, take(rows), rows)
  if settings.tau_from == "config":
    return fitted.replace(tau=np.float32(settings.tau))
  noise = settings.tuning_noise(noise)
  best, fails = [], []
  for part in batches.in_batches(validation, settings_lib.BLOCK_ROWS):
    scored = check.score_block(settings, noise, fitted, take(part), seed)
    values, failed, counted = jax.device_get(scored)
    best.append(values[counted])
    fails.append(failed[counted])
  tau = check.threshold(
    np.concatenate(best),
    np.concatenate(fails),
    max_false_alarm=settings.max_false_alarm,
    min_balanced_accuracy=settings.min_balanced_accuracy,
  )
  return fitted.replace(tau=np.float32(tau))


def _fit(
  settings: settings_lib.RepairSettings, batch: schema.Batch, rows: np.ndarray
) -> settings_lib.FittedRepair:
  """Fits all but tau to a batch of all training rows."""
  names = sorted(batch.streams)
  # The arrays are numbers to be kept, and placed on the mesh by the caller.
  mean, basis, reduced, there = {}, {}, {}, {}
  for name in names:
    flat = check.flatten_frames(batch.streams[name])
    there[name] = np.asarray(batch.present[name])
    reduction = _principal(flat, there[name], settings.components)
    mean[name], basis[name] = reduction.mean, reduction.basis
    reduced[name] = cca.reduce(reduction, flat)
  first, second, correlations, linear = {}, {}, {}, {}
  for a, b in itertools.combinations(names, 2):
    maps = _maps(
      reduced[a],
      reduced[b],
      there[a] & there[b],
      ridge=settings.ridge,
      components=settings.components,
    )
    pair = f"{a}|{b}"
    first[pair], second[pair], correlations[pair] = maps
  for a, b in itertools.permutations(names, 2):
    linear[f"{a}|{b}"] = proxies.fit_linear_map(
      settings, batch.streams[a], batch.streams[b]
    )
  fitted = settings_lib.FittedRepair(
    mean=mean,
    basis=basis,
    first=first,
    second=second,
    correlations=correlations,
    tau=np.float32(0),
    linear=linear,
    bank=rows,
    reduced=reduced,
    there=there,
  )
  return jax.tree.map(np.asarray, fitted)


# Compiled once for all runs.
_principal = jax.jit(cca.principal, static_argnums=2)
_maps = jax.jit(cca.fit, static_argnames=("ridge", "components"))
