"""Builds what a batch goes through before the system: noise, check, proxies."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import flax.serialization
import jax
import numpy as np
from absl import logging
from jaxtyping import Array

from mmer_jax.base import progress, workdir
from mmer_jax.data import identity, normalise, schema, tables
from mmer_jax.experiment import build
from mmer_jax.robustness import fit, repair
from mmer_jax.robustness import noise as noise_lib
from mmer_jax.robustness import settings as settings_lib
from mmer_jax.systems import interface


def make_input_transform(
  noise: noise_lib.Noise, settings: settings_lib.RepairSettings
) -> interface.InputTransform | None:
  """Builds the input transform: noise, then check and proxies.

  Returns:
    The function that every normalised batch goes through before the system
    sees it; None where it would change nothing.
  """
  if noise.kind == "none" and not settings.used:
    return None

  def transform(
    source: Any, run: interface.RunSettings, batch: schema.Batch, trained: bool
  ) -> schema.Batch:
    batch = noise_lib.corrupt(
      noise, run.seed, batch, other_utterances(source, run)
    )
    method = settings.training if trained else settings.inference
    if method == "none":
      return batch
    return repair.apply(
      settings, method, run.repair, batch, bank_lookup(source, run)
    ).batch

  return transform


def bank_lookup(
  source: Any, run: interface.RunSettings
) -> Callable[[Array], schema.Batch]:
  """Makes the function that reads training rows, normalised, for `knn`."""

  def lookup(rows: Array) -> schema.Batch:
    batch = tables.take(source, rows.reshape(-1))
    return normalise.normalise(batch, run.mean, run.scale)

  return lookup


def other_utterances(
  source: Any, run: interface.RunSettings
) -> noise_lib.Others | None:
  """Makes what reads any utterance, normalised; None for a streamed corpus."""
  if not isinstance(source, schema.Batch):
    return None
  return noise_lib.Others(bank_lookup(source, run), source.labels.shape[0])


def attach_repair(
  experiment: build.Experiment, folder: pathlib.Path, fingerprint: str
) -> build.Experiment:
  """Adds the fitted check and proxies to the runs of an experiment.

  They are read from `folder/repair` where the same were fitted before, and
  written there where not.

  Args:
    experiment: The runs.
    folder: The workdir.
    fingerprint: That of the shards that the workdir was trained on.

  Returns:
    The experiment; as it was where its config has no check and no proxies.

  Raises:
    UserError: It would have to be fitted to other shards than the training's.
  """
  settings = experiment.repair
  if not settings.used:
    return experiment
  identity.check_fingerprint(
    experiment.corpus.dataset["fingerprint"],
    fingerprint,
    what=f"the shards in {experiment.config.data.dir}",
    fix="check and proxies are fitted to its training rows: leave --data_dir or"
    " --repair out",
  )
  path = folder / "repair" / f"{_digest(experiment)}.npz"
  if path.exists():
    fitted = _read(path)
  else:
    fitted = _fit(experiment)
    if jax.process_index() == 0:
      _write(path, fitted)
  for sentence in remarks(settings, experiment.config.data.modalities, fitted):
    logging.warning("%s", sentence)
  return experiment._replace(runs=experiment.runs.replace(repair=fitted))


def remarks(
  settings: settings_lib.RepairSettings,
  modalities: Sequence[str],
  fitted: settings_lib.FittedRepair,
) -> list[str]:
  """Says what a check cannot do, a line each; nothing where it can.

  Args:
    settings: The settings of the check.
    modalities: The modalities that it compares.
    fitted: What was fitted for all runs.
  """
  said = []
  taus = np.atleast_1d(fitted.tau)
  blind = int(np.isneginf(taus).sum())
  if blind:
    said.append(
      f"the modality check discards nothing in {blind} of {len(taus)} runs: on"
      " validation no threshold that loses at most"
      f" {100 * settings.max_false_alarm:g} % of the intact modalities tells"
      " those that fail from them with a balanced accuracy above"
      f" {settings.min_balanced_accuracy:g}"
    )
  if len(modalities) == 2 and settings.score in settings_lib.SYMMETRIC:
    said.append(
      f"the modality check has one pair, {' and '.join(sorted(modalities))},"
      f" and config.repair.score={settings.score!r} gives a pair one score: it"
      " can tell that the two disagree, not which of them fails, and discards"
      " both or neither"
    )
  elif len(modalities) == 2:
    said.append(
      f"the modality check has one pair, {' and '.join(sorted(modalities))}: it"
      " finds what is unusually large, and cannot tell which of two usual"
      " streams is of another utterance"
    )
  return said


def _fit(experiment: build.Experiment) -> settings_lib.FittedRepair:
  """Fits check and proxies of every run, once for runs that share rows."""
  runs, records = experiment.runs, experiment.records
  width = max(len(record.fold.train) for record in records)
  fits: dict[Any, settings_lib.FittedRepair] = {}
  each = []
  for record in progress.each(
    records, "fitting check and proxies", len(records), "runs"
  ):
    run = record.run
    keep = {name: flags[run] for name, flags in runs.keep.items()}
    key = (
      record.fold.train.tobytes(),
      record.seed,
      tuple(bool(keep[name]) for name in sorted(keep)),
    )
    if key not in fits:
      fits[key] = fit.fit(
        experiment.repair,
        experiment.corpus.table,
        train=record.fold.train,
        validation=record.fold.validation,
        width=width,
        mean={name: values[run] for name, values in runs.mean.items()},
        scale={name: values[run] for name, values in runs.scale.items()},
        keep=keep,
        noise=experiment.noise,
        seed=runs.seed[run],
      )
      logging.info(
        "%s: check and proxies fitted, tau %.4g",
        record.describe(),
        fits[key].tau,
      )
    each.append(fits[key])
  return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


def _digest(experiment: build.Experiment) -> str:
  """Digests all that a fit depends on."""
  settings = experiment.repair
  noise = settings.tuning_noise(experiment.noise)
  content = {
    "fingerprint": experiment.corpus.manifest["fingerprint"],
    "settings": {
      key: getattr(settings, key)
      for key in ("score", "tau_from", "tau", "components", "ridge")
    },
    "noise": [noise.snr, noise.share],
    "seeds": np.asarray(experiment.runs.seed).tolist(),
    "shapes": experiment.corpus.shapes,
  }
  # Bounds that came later; without, the digest is that of before.
  bounds = {
    key: getattr(settings, key)
    for key in ("max_false_alarm", "min_balanced_accuracy")
  }
  if bounds != {"max_false_alarm": 1.0, "min_balanced_accuracy": 0.0}:
    content["settings"] |= bounds
  whole = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
  for record in experiment.records:
    whole.update(np.asarray(record.fold.train).tobytes())
    whole.update(np.asarray(record.fold.validation).tobytes())
  for leaf in jax.tree.leaves((experiment.runs.mean, experiment.runs.keep)):
    whole.update(np.ascontiguousarray(leaf).tobytes())
  return whole.hexdigest()[:16]


def _write(path: pathlib.Path, fitted: settings_lib.FittedRepair) -> None:
  """Writes what was fitted as one .npz, `field` or `field:part` its arrays."""
  arrays = {}
  for field, value in flax.serialization.to_state_dict(fitted).items():
    if isinstance(value, dict):
      arrays.update({f"{field}:{key}": part for key, part in value.items()})
    else:
      arrays[field] = value
  with workdir.new_file(path) as name, name.open("wb") as file:
    np.savez(file, **arrays)


def _read(path: pathlib.Path) -> settings_lib.FittedRepair:
  """Reads what `_write` wrote."""
  fields: dict[str, Any] = {}
  with np.load(path, allow_pickle=False) as arrays:
    for key in arrays.files:
      field, colon, part = key.partition(":")
      if colon:
        fields.setdefault(field, {})[part] = arrays[key]
      else:
        fields[field] = arrays[key]
  return settings_lib.FittedRepair(**fields)
