"""Noise, modality check and proxies in front of a system, and their measure."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from mmer_jax.data import schema
from mmer_jax.experiment import input_repair
from mmer_jax.robustness import noise as noise_lib
from mmer_jax.robustness import repair
from mmer_jax.systems import interface
from mmer_jax.training import mesh, program
from mmer_jax.training import session as session_lib


def measure(
  session: session_lib.Session,
  params: Any,
  runs: interface.RunSettings,
  rows: np.ndarray,
  keep: tuple[str, ...] | None,
) -> tuple[list[dict[str, float | None]], list[dict[str, Any]]]:
  """What noise, check and proxies did to the rows of every run.

  Source: Mittal et al. 2020, section 5.3 (the weight of a modality before and
    after it fails), Figure 7 (the distance of the proxies).
  Deviation: the distance is relative to each vector's own length, and the
    check is judged against what is known to fail. Weights are of the rows where
    the modality fails, others of which may fail too; the check and the proxies
    stand in front of both, so that what is discarded weighs 0.

  Args:
    session: The runs, with what their check and proxies were fitted to.
    params: Of all runs, on the mesh.
    runs: Likewise.
    rows: (r, s, b), as of `Experiment.rows`.
    keep: The modalities that the system may see; None for all.

  Returns:
    For each run: a number by name, None where nothing defines it:
    `check_precision` and `check_recall` of "found ineffectual" against "fails",
    over the modalities that are there; `check_flagged`, their share;
    `check_none_effective`, the share of rows of which nothing is left;
    `check_lone_failure`, how often the last intact modality of three or more
    is found ineffectual too; for each modality `distance_<name>` of the proxies
    and `noise_distance_<name>` of the noisy features, over what was
    regenerated, and `weight_before_<name>`, `weight_after_<name>` of a system
    that has weights, over the rows where it fails. And of the first run one
    example for each modality that was regenerated: vectors averaged over the
    real frames.
  """
  found = _observe(session, params, runs, rows, keep)
  return (
    [
      _summarise({key: value[at] for key, value in found.items()})
      for at in range(len(session.experiment.records))
    ],
    _examples({key: value[0] for key, value in found.items()}),
  )


def _observe(
  session: session_lib.Session,
  params: Any,
  runs: interface.RunSettings,
  rows: np.ndarray,
  keep: tuple[str, ...] | None,
) -> dict[str, np.ndarray]:
  """Everything that `measure` counts, (r, n, ...) by name."""
  experiment = session.experiment
  config = experiment.config
  noise, settings = experiment.noise, experiment.repair
  resident = config.data.resident

  def one(
    params: Any, run: interface.RunSettings, source: Any, rows: Any
  ) -> dict[str, Array]:
    clean = program.view(
      source, rows, run, resident=resident, visible_modalities=keep
    )
    noisy = noise_lib.corrupt(noise, run.seed, clean)
    fails = {name: jnp.zeros_like(at) for name, at in clean.present.items()}
    if noise.kind != "none":
      fails = noise_lib.failing(noise, run.seed, clean)

    def through(batch: schema.Batch) -> repair.RepairedBatch:
      return repair.apply(
        settings,
        settings.inference,
        run.repair,
        batch,
        input_repair.bank_lookup(source, run),
      )

    after = through(noisy)
    weights = experiment.system.predict(
      params, after.batch, run.vectors
    ).weights
    before = weights
    if noise.kind != "none":
      cleaned = through(clean).batch
      before = experiment.system.predict(params, cleaned, run.vectors).weights
    seen = {
      "real": clean.example_mask,
      "none_effective": after.none_effective,
    }
    for name in sorted(clean.streams):
      mask = clean.streams[name].mask
      streams = [clean.streams[name], noisy.streams[name]]
      streams.append(after.batch.streams[name])
      original, corrupted, regenerated = (each.features for each in streams)
      seen |= {
        f"fails {name}": fails[name],
        f"there {name}": noisy.present[name],
        f"effective {name}": after.effective[name],
        f"proxied {name}": after.proxied[name] & clean.present[name],
        f"distance {name}": _distance(original, regenerated, mask),
        f"noise_distance {name}": _distance(original, corrupted, mask),
        f"original {name}": _pool(original, mask),
        f"corrupted {name}": _pool(corrupted, mask),
        f"regenerated {name}": _pool(regenerated, mask),
      }
      if name in weights:
        seen[f"before {name}"] = before[name]
        seen[f"after {name}"] = weights[name]
    return seen

  def first(
    params: Any, run: interface.RunSettings, source: Any, rows: Any
  ) -> dict[str, Array]:
    return one(params, run, source, jax.tree.map(lambda x: x[0], rows))

  # A batch at a time, so that splits of any length share one compilation.
  compiled = jax.jit(
    jax.vmap(first, in_axes=(0, 0, None, 0), spmd_axis_name="runs"),
    out_shardings=mesh.replicated(session.mesh),
  )
  source = session.resident
  batches = (rows[:, at : at + 1] for at in range(rows.shape[1]))
  found = [
    mesh.fetch(compiled(params, runs, source, fed))
    for fed in session.feed(batches)
  ]
  return jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *found)


def _distance(original: Array, other: Array, mask: Array) -> Array:
  """L2 over the real frames, relative to the original's own; (b,)."""

  def length(values: Array) -> Array:
    kept = jnp.where(mask[..., None], values, 0.0)
    return jnp.sqrt(jnp.square(kept).sum(axis=(1, 2)))

  return length(other - original) / jnp.maximum(length(original), 1e-12)


def _pool(features: Array, mask: Array) -> Array:
  total = jnp.where(mask[..., None], features, 0.0).sum(axis=1)
  return total / jnp.maximum(mask.sum(axis=1), 1)[:, None]


def _summarise(seen: dict[str, np.ndarray]) -> dict[str, float | None]:
  """The numbers of one run, see `measure`."""
  names = sorted(key.split()[1] for key in seen if key.startswith("fails "))
  real = seen["real"]

  def stack(what: str) -> np.ndarray:
    return np.stack([seen[f"{what} {name}"] for name in names])

  there = stack("there") & real
  fails, flagged = stack("fails") & there, there & ~stack("effective")

  def share(part: np.ndarray, whole: np.ndarray) -> float | None:
    return float(part.sum() / whole.sum()) if whole.any() else None

  found: dict[str, float | None] = {
    "check_precision": share(flagged & fails, flagged),
    "check_recall": share(flagged & fails, fails),
    "check_flagged": share(flagged, there),
    "check_none_effective": share(seen["none_effective"] & real, real),
  }
  intact = there & ~fails
  lone = intact & (intact.sum(axis=0) == 1) & (fails.sum(axis=0) >= 2)
  found["check_lone_failure"] = share(flagged & lone, lone)
  for name in names:
    made = seen[f"proxied {name}"] & real
    failed = seen[f"fails {name}"] & real
    for what, at in (("distance", made), ("noise_distance", made)):
      values = seen[f"{what} {name}"][at]
      found[f"{what}_{name}"] = float(values.mean()) if at.any() else None
    for what in ("before", "after"):
      if f"{what} {name}" in seen:
        values = seen[f"{what} {name}"][failed]
        found[f"weight_{what}_{name}"] = (
          float(values.mean()) if failed.any() else None
        )
  return found


def _examples(seen: dict[str, np.ndarray]) -> list[dict[str, Any]]:
  """One regenerated vector of each modality; of what fails, if there is."""
  examples = []
  for key in sorted(seen):
    what, _, name = key.partition(" ")
    if what != "proxied":
      continue
    made = seen[key] & seen["real"]
    failed = made & seen[f"fails {name}"]
    rows = np.flatnonzero(failed if failed.any() else made)
    if len(rows):
      examples.append(
        {
          "modality": name,
          **{
            vector: seen[f"{vector} {name}"][rows[0]].tolist()
            for vector in ("original", "corrupted", "regenerated")
          },
        }
      )
  return examples
