"""Measures what noise, modality check and proxies do to the rows of a split."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from mmer_jax.data import schema
from mmer_jax.experiment import build, input_repair
from mmer_jax.robustness import noise as noise_lib
from mmer_jax.robustness import repair
from mmer_jax.systems import interface
from mmer_jax.training import mesh, program
from mmer_jax.training import session as session_lib


def measure(
  session: session_lib.Session,
  params: interface.Params,
  runs: interface.RunSettings,
  rows: np.ndarray,
  visible_modalities: Sequence[str] | None,
) -> tuple[list[dict[str, float | None]], list[dict[str, Any]]]:
  """Measures what noise, check and proxies did to the rows of every run.

  Source: Mittal et al. 2020, section 5.3 (the weight of a modality before and
    after it fails), Figure 7 (the distance of the proxies).
  Deviation: the distance is relative to each vector's own length, and the
    check is judged against what is known to fail. Weights are of the rows where
    the modality fails, others of which may fail too; the check and the proxies
    come before both, so that what is discarded weighs 0.

  Args:
    session: The runs, with what their check and proxies were fitted to.
    params: The parameters of all runs, on the mesh.
    runs: The settings of all runs, on the mesh.
    rows: (r, s, b), from `Experiment.rows`.
    visible_modalities: The modalities that the system may see; None for all.

  Returns:
    For each run: a number by name, None where nothing defines it:
    `check_precision` and `check_recall` of "found ineffectual" against "fails",
    over the modalities that are present; `check_false_alarm`, the share of the
    others that are found so too; `check_flagged`, the share of all;
    `check_none_effective`, the share of rows of which nothing is left;
    `check_lone_failure`, how often the last intact modality of three or more
    is found ineffectual too; for each modality `distance_<name>` of the proxies
    and `noise_distance_<name>` of the noisy features, over what was
    regenerated, and `weight_before_<name>`, `weight_after_<name>` of a system
    that has weights, over the rows where it fails. And of the first run one
    example for each modality that was regenerated: vectors averaged over the
    real frames.
  """
  observed = _observe(session, params, runs, rows, visible_modalities)
  return (
    [
      _summarise({key: value[run] for key, value in observed.items()})
      for run in range(len(session.experiment.records))
    ],
    _examples({key: value[0] for key, value in observed.items()}),
  )


def _observe(
  session: session_lib.Session,
  params: interface.Params,
  runs: interface.RunSettings,
  rows: np.ndarray,
  visible_modalities: Sequence[str] | None,
) -> dict[str, np.ndarray]:
  """Collects what `measure` counts, (r, n, ...) by name."""
  experiment = session.experiment

  def observe(
    params: Any, run: interface.RunSettings, source: Any, rows: Any
  ) -> dict[str, Array]:
    batch = program.view(
      source,
      jax.tree.map(lambda x: x[0], rows),
      run,
      resident=experiment.config.data.resident,
      visible_modalities=visible_modalities,
    )
    return _observe_batch(experiment, params, run, source, batch)

  # A batch at a time, so that splits of any length share one compilation.
  compiled = jax.jit(
    jax.vmap(observe, in_axes=(0, 0, None, 0), spmd_axis_name="runs"),
    out_shardings=mesh.fetched(session.mesh),
  )
  source = session.resident
  batches = (rows[:, at : at + 1] for at in range(rows.shape[1]))
  parts = [
    mesh.fetch(compiled(params, runs, source, batch))
    for batch in session.feed(batches)
  ]
  return jax.tree.map(lambda *each: np.concatenate(each, axis=1), *parts)


def _observe_batch(
  experiment: build.Experiment,
  params: interface.Params,
  run: interface.RunSettings,
  source: Any,
  clean: schema.Batch,
) -> dict[str, Array]:
  """Corrupts and repairs a batch, and keeps what became of it.

  Args:
    experiment: With noise, check and proxies.
    params: The parameters of the run.
    run: Its settings.
    source: The corpus on the devices, for proxies that read training rows.
    clean: Utterances, normalised.

  Returns:
    (b, ...) by name; names of a modality end in it.
  """
  noise, settings = experiment.noise, experiment.repair

  def repaired(batch: schema.Batch) -> repair.RepairedBatch:
    lookup = input_repair.bank_lookup(source, run)
    return repair.apply(settings, settings.inference, run.repair, batch, lookup)

  def weights(batch: schema.Batch) -> dict[str, Array]:
    return experiment.system.predict(params, batch, run.vectors).weights

  noisy = noise_lib.corrupt(
    noise, run.seed, clean, input_repair.other_utterances(source, run)
  )
  after = repaired(noisy)
  weights_after = weights_before = weights(after.batch)
  fails = noise_lib.harmed(noise, run.seed, clean, noisy)
  if noise.kind != "none":
    weights_before = weights(repaired(clean).batch)
  observed = {
    "real": clean.example_mask,
    "none_effective": after.none_effective,
  }
  for name in sorted(clean.streams):
    mask = clean.streams[name].mask
    original, corrupted, regenerated = (
      batch.streams[name].features for batch in (clean, noisy, after.batch)
    )
    observed |= {
      f"fails {name}": fails[name],
      f"present {name}": noisy.present[name],
      f"effective {name}": after.effective[name],
      f"proxied {name}": after.proxied[name] & clean.present[name],
      f"distance {name}": _distance(original, regenerated, mask),
      f"noise_distance {name}": _distance(original, corrupted, mask),
      f"original {name}": _pool(original, mask),
      f"corrupted {name}": _pool(corrupted, mask),
      f"regenerated {name}": _pool(regenerated, mask),
    }
    if name in weights_after:
      observed[f"before {name}"] = weights_before[name]
      observed[f"after {name}"] = weights_after[name]
  return observed


def _distance(original: Array, other: Array, mask: Array) -> Array:
  """Computes the L2 distance over real frames, relative to the original's."""

  def length(values: Array) -> Array:
    kept = jnp.where(mask[..., None], values, 0.0)
    return jnp.sqrt(jnp.square(kept).sum(axis=(1, 2)))

  return length(other - original) / jnp.maximum(length(original), 1e-12)


def _pool(features: Array, mask: Array) -> Array:
  """Averages features over the real frames."""
  total = jnp.where(mask[..., None], features, 0.0).sum(axis=1)
  return total / jnp.maximum(mask.sum(axis=1), 1)[:, None]


def _summarise(observed: dict[str, np.ndarray]) -> dict[str, float | None]:
  """Computes the numbers of one run, see `measure`."""
  names = sorted(key.split()[1] for key in observed if key.startswith("fails "))
  real = observed["real"]

  def stack(what: str) -> np.ndarray:
    return np.stack([observed[f"{what} {name}"] for name in names])

  def share(part: np.ndarray, whole: np.ndarray) -> float | None:
    return float(part.sum() / whole.sum()) if whole.any() else None

  def mean(what: str, name: str, rows: np.ndarray) -> float | None:
    values = observed[f"{what} {name}"][rows]
    return float(values.mean()) if rows.any() else None

  present = stack("present") & real
  fails, flagged = stack("fails") & present, present & ~stack("effective")
  intact = present & ~fails
  lone = intact & (intact.sum(axis=0) == 1) & (fails.sum(axis=0) >= 2)
  numbers: dict[str, float | None] = {
    "check_precision": share(flagged & fails, flagged),
    "check_recall": share(flagged & fails, fails),
    "check_false_alarm": share(flagged & intact, intact),
    "check_flagged": share(flagged, present),
    "check_none_effective": share(observed["none_effective"] & real, real),
    "check_lone_failure": share(flagged & lone, lone),
  }
  for name in names:
    made = observed[f"proxied {name}"] & real
    failed = observed[f"fails {name}"] & real
    for what in ("distance", "noise_distance"):
      numbers[f"{what}_{name}"] = mean(what, name, made)
    for what in ("before", "after"):
      if f"{what} {name}" in observed:
        numbers[f"weight_{what}_{name}"] = mean(what, name, failed)
  return numbers


def _examples(observed: dict[str, np.ndarray]) -> list[dict[str, Any]]:
  """Picks one regenerated vector of each modality, of one that fails if any."""
  examples = []
  for key in sorted(observed):
    what, _, name = key.partition(" ")
    if what != "proxied":
      continue
    made = observed[key] & observed["real"]
    failed = made & observed[f"fails {name}"]
    rows = np.flatnonzero(failed if failed.any() else made)
    if len(rows):
      vectors = ("original", "corrupted", "regenerated")
      examples.append(
        {
          "modality": name,
          **{
            vector: observed[f"{vector} {name}"][rows[0]].tolist()
            for vector in vectors
          },
        }
      )
  return examples
