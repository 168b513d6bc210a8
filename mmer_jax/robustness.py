"""Noise, modality check and proxies in front of a system, and their measure."""

import hashlib
import json
import os
import pathlib
import tempfile
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from jaxtyping import Array

from mmer_jax import errors, program, training
from mmer_jax.data import noise as noise_lib
from mmer_jax.data import pipeline, repair, schema


def check(config: ml_collections.ConfigDict) -> None:
  """Refuses `config.noise` and `config.repair` that make no sense.

  Raises:
    UserError: A value is out of its range.
  """
  noise_lib.check(noise_lib.Noise.from_config(config))
  repair.Settings.from_config(config)


def make_front(config: ml_collections.ConfigDict) -> program.FrontFn | None:
  """What becomes of a batch between its normalisation and the system.

  Noise first; then what the check and the proxies make of it.
  """
  noise = noise_lib.Noise.from_config(config)
  settings = repair.Settings.from_config(config)
  if noise.kind == "none" and not settings.used:
    return None

  def front(
    source: Any, run: training.Runs, batch: schema.Batch, trained: bool
  ) -> schema.Batch:
    batch = noise_lib.corrupt(noise, run.seed, batch)
    method = settings.training if trained else settings.inference
    if method == "none":
      return batch
    return repair.apply(
      settings, method, run.repair, batch, _lookup(source, run)
    ).batch

  return front


def _lookup(source: Any, run: training.Runs) -> Any:
  def lookup(rows: Array) -> schema.Batch:
    batch = pipeline.take(source, rows.reshape(-1))
    return pipeline.normalise(batch, run.mean, run.scale)

  return lookup


def attach(setup: Any, folder: pathlib.Path, fingerprint: str) -> Any:
  """Adds what check and proxies were fitted to, to the runs of an experiment.

  It is read from `folder/repair` where the same was fitted before, and written
  there where not.

  Args:
    setup: An `experiment.Experiment`.
    folder: The workdir.
    fingerprint: Of the shards that the workdir was trained on.

  Returns:
    The experiment; as it was where its config has no check and no proxies.

  Raises:
    UserError: It would have to be fitted to other shards than the training's.
  """
  settings = repair.Settings.from_config(setup.config)
  if not settings.used:
    return setup
  noise = noise_lib.Noise.from_config(setup.config)
  now = setup.corpus.manifest["fingerprint"]
  path = folder / "repair" / f"{_digest(setup, settings, noise)}.npz"
  if now != fingerprint:
    raise errors.UserError(
      "the check and the proxies are fitted to the training rows, but"
      f" {setup.config.data.dir} has fingerprint {now[:12]} and the workdir"
      f" was trained on {fingerprint[:12]}; leave --data_dir or --repair out"
    )
  if path.exists():
    fitted = _read(path)
  else:
    fitted = _fit(setup, settings, noise)
    if jax.process_index() == 0:
      _write(path, fitted)
  return setup._replace(runs=setup.runs.replace(repair=fitted))


def measure(
  setup: Any,
  params: Any,
  runs: training.Runs,
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
    setup: An `experiment.Experiment`, with `attach` applied.
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
  found = _observe(setup, params, runs, rows, keep)
  return (
    [
      _summarise({key: value[at] for key, value in found.items()})
      for at in range(len(setup.records))
    ],
    _examples({key: value[0] for key, value in found.items()}),
  )


def _observe(
  setup: Any,
  params: Any,
  runs: training.Runs,
  rows: np.ndarray,
  keep: tuple[str, ...] | None,
) -> dict[str, np.ndarray]:
  """Everything that `measure` counts, (r, n, ...) by name."""
  config = setup.config
  noise = noise_lib.Noise.from_config(config)
  settings = repair.Settings.from_config(config)
  resident = config.data.resident

  def one(
    params: Any, run: training.Runs, source: Any, rows: Any
  ) -> dict[str, Array]:
    clean = program.view(source, rows, run, resident=resident, keep=keep)
    noisy = noise_lib.corrupt(noise, run.seed, clean)
    fails = {name: jnp.zeros_like(at) for name, at in clean.present.items()}
    if noise.kind != "none":
      fails = noise_lib.failing(noise, run.seed, clean)

    def through(batch: schema.Batch) -> repair.Outcome:
      return repair.apply(
        settings, settings.inference, run.repair, batch, _lookup(source, run)
      )

    after = through(noisy)
    weights = setup.system.predict(params, after.batch, run.vectors).weights
    before = weights
    if noise.kind != "none":
      cleaned = through(clean).batch
      before = setup.system.predict(params, cleaned, run.vectors).weights
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
    params: Any, run: training.Runs, source: Any, rows: Any
  ) -> dict[str, Array]:
    return one(params, run, source, jax.tree.map(lambda x: x[0], rows))

  # A batch at a time, so that splits of any length share one compilation.
  compiled = jax.jit(
    jax.vmap(first, in_axes=(0, 0, None, 0), spmd_axis_name="runs"),
    out_shardings=program.replicated(setup.mesh),
  )
  source = setup.source
  batches = (rows[:, at : at + 1] for at in range(rows.shape[1]))
  found = [
    program.fetch(compiled(params, runs, source, fed))
    for fed in setup.feed(batches)
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


def _fit(
  setup: Any, settings: repair.Settings, noise: noise_lib.Noise
) -> repair.Fitted:
  runs, records = setup.runs, setup.records
  width = max(len(record.fold.train) for record in records)
  found: dict[Any, repair.Fitted] = {}
  each = []
  for record in records:
    at = record.run
    keep = {name: flags[at] for name, flags in runs.keep.items()}
    key = (
      record.fold.train.tobytes(),
      record.seed,
      tuple(bool(keep[name]) for name in sorted(keep)),
    )
    if key not in found:
      found[key] = repair.fit(
        settings,
        setup.corpus.table,
        train=record.fold.train,
        validation=record.fold.validation,
        width=width,
        mean={name: values[at] for name, values in runs.mean.items()},
        scale={name: values[at] for name, values in runs.scale.items()},
        keep=keep,
        noise=noise,
        seed=runs.seed[at],
      )
      logging.info(
        "%s: check and proxies fitted, tau %.4g",
        record.describe(),
        found[key].tau,
      )
    each.append(found[key])
  return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


def _digest(
  setup: Any, settings: repair.Settings, noise: noise_lib.Noise
) -> str:
  """Of all that a fit depends on."""
  content = {
    "fingerprint": setup.corpus.manifest["fingerprint"],
    "settings": {
      key: getattr(settings, key)
      for key in ("score", "tau_from", "tau", "components", "ridge")
    },
    "noise": [noise.snr, noise.share],
    "seeds": np.asarray(setup.runs.seed).tolist(),
    "shapes": setup.corpus.shapes,
  }
  whole = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
  for record in setup.records:
    whole.update(np.asarray(record.fold.train).tobytes())
    whole.update(np.asarray(record.fold.validation).tobytes())
  for leaf in jax.tree.leaves((setup.runs.mean, setup.runs.keep)):
    whole.update(np.ascontiguousarray(leaf).tobytes())
  return whole.hexdigest()[:16]


def _write(path: pathlib.Path, fitted: repair.Fitted) -> None:
  arrays = {}
  for field, value in flax.serialization.to_state_dict(fitted).items():
    if isinstance(value, dict):
      arrays.update({f"{field}:{key}": part for key, part in value.items()})
    else:
      arrays[field] = value
  path.parent.mkdir(parents=True, exist_ok=True)
  handle, name = tempfile.mkstemp(dir=path.parent, suffix=".npz")
  with os.fdopen(handle, "wb") as file:
    np.savez(file, **arrays)
  os.replace(name, path)


def _read(path: pathlib.Path) -> repair.Fitted:
  fields: dict[str, Any] = {}
  with np.load(path, allow_pickle=False) as arrays:
    for key in arrays.files:
      field, colon, part = key.partition(":")
      if colon:
        fields.setdefault(field, {})[part] = arrays[key]
      else:
        fields[field] = arrays[key]
  return repair.Fitted(**fields)
