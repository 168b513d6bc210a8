"""Reads a finished workdir as a function to serve."""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from mmer_jax.base import errors, workdir
from mmer_jax.data import identity
from mmer_jax.evaluation import evaluate, restore, results, scores
from mmer_jax.experiment import build, input_repair, provenance
from mmer_jax.serving import function
from mmer_jax.serving import spec as spec_lib
from mmer_jax.training import session as session_lib


def from_workdir(
  folder: pathlib.Path,
  *,
  run: int | None = None,
  ensemble: bool = False,
  thresholds: str = "fixed",
  data_dir: str = "",
) -> function.Served:
  """Builds the function of what a finished workdir has selected.

  Args:
    folder: The workdir.
    run: Its number; None for the one of the best setting that is best on its
      validation split.
    ensemble: Whether all runs of the best setting are averaged instead.
    thresholds: `fixed` or `validation`, as in `evaluate`; those of an ensemble
      are its members' mean.
    data_dir: The shard folder, where it is not the one of training.

  Raises:
    UserError: Training has not finished, or the request does not fit it.
  """
  experiment = _read_experiment(folder, thresholds, data_dir)
  session = session_lib.open_session(experiment)
  restored = restore.restore(folder, session, len(experiment.corpus.emotions))
  result = workdir.read_json(folder / "results" / "validation.json")
  members = choose_runs(result, run=run, ensemble=ensemble)
  chosen = None
  if thresholds == "validation":
    each = scores.validation_thresholds(session, restored, members)
    chosen = each.mean(axis=0)
  spec = spec_lib.describe(
    experiment, restored, members, ensemble=ensemble, thresholds=chosen
  )
  tensors = _tensors(restored, np.asarray(members) if ensemble else members[0])
  served = function.make_function(experiment.system, spec, tensors)
  return served._replace(shards=pathlib.Path(experiment.config.data.dir))


def choose_runs(
  result: dict[str, Any], *, run: int | None, ensemble: bool
) -> list[int]:
  """Chooses the runs to serve by their results on validation.

  Args:
    result: The content of `results/validation.json`.
    run: Its number; None for the best of the best setting.
    ensemble: Whether all runs of the best setting are served.

  Returns:
    Numbers of runs; one where no ensemble is asked for.

  Raises:
    UserError: There is no such run, or its members know different emotions.
  """
  finished = [entry for entry in result["runs"] if entry["failed_step"] is None]
  if run is not None:
    if ensemble:
      raise errors.UserError(
        f"--ensemble averages the runs of a setting, got --run={run} too; leave"
        " one out"
      )
    if run not in [entry["run"] for entry in finished]:
      raise errors.UserError(
        f"--run is {run}, expected one of the runs that finished:"
        f" {', '.join(str(entry['run']) for entry in finished)}"
      )
    return [run]
  candidates = [
    entry for entry in finished if entry["setting"] == result["setting"]
  ]
  if not candidates:
    raise errors.UserError(
      "no run of the setting that validation chose has finished; train again"
    )
  if not ensemble:
    best = min if results.errs(result) else max
    return [best(candidates, key=lambda entry: entry["selection"])["run"]]
  if any(entry["unseen"] != candidates[0]["unseen"] for entry in candidates):
    raise errors.UserError(
      "--ensemble averages runs that were taught the same emotions, but these"
      " left out different ones (config.protocol.unseen); pass --run=N"
    )
  return [entry["run"] for entry in candidates]


def _read_experiment(
  folder: pathlib.Path, thresholds: str, data_dir: str
) -> build.Experiment:
  """Builds the experiment of a workdir, on the shards of its training.

  Raises:
    UserError: The shards are others, or the experiment cannot be served.
  """
  description = provenance.read_description(folder)
  config = provenance.read_config(folder, description)
  if data_dir:
    with config.unlocked():
      config.data.dir = str(pathlib.Path(data_dir).absolute())
  evaluate.check_thresholds(thresholds, config.protocol.decision)
  experiment = build.build_experiment(config)
  trained_on = description["dataset"]["fingerprint"]
  identity.check_fingerprint(
    experiment.corpus.dataset["fingerprint"],
    trained_on,
    what=f"the shards in {config.data.dir}",
    fix="pass --data_dir=DIR with those",
  )
  repair = experiment.repair
  if repair.inference == "proxy" and repair.proxy == "knn":
    raise errors.UserError(
      f"{folder} regenerates modalities from its training rows"
      " (config.repair.proxy is 'knn'), which a model to serve does not hold;"
      " train with --config.repair.proxy=linear"
    )
  if repair.inference != "none":
    experiment = input_repair.attach_repair(experiment, folder, trained_on)
  return experiment


def _tensors(
  restored: restore.Restored, members: int | Sequence[int]
) -> function.Tensors:
  """Names the parameters and the normalisation of the runs to serve."""
  params, runs = jax.tree.map(
    lambda leaf: np.asarray(leaf)[members],
    (restored.params[-1], restored.runs),
  )
  tensors = {
    f"params.{name}": leaf
    for name, leaf in function.named_tensors(params).items()
  }
  for modality in runs.mean:
    tensors[f"mean.{modality}"] = runs.mean[modality]
    tensors[f"scale.{modality}"] = runs.scale[modality]
  if runs.rating_mean is not None:
    tensors["rating_mean"] = runs.rating_mean
    tensors["rating_scale"] = runs.rating_scale
  if runs.repair is not None:
    # Only the nearest-neighbour proxies read the training rows themselves.
    fitted = runs.repair.replace(bank=None, reduced={}, there={})
    for name, leaf in function.named_tensors(fitted).items():
      tensors[f"repair.{name}"] = leaf
  return tensors
