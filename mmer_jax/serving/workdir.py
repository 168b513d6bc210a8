"""A trained system as one function: raw features in, probabilities out.

What `mmer_jax.export` writes and `mmer_jax.predictor` calls. The function takes
its tensors as an argument, cuts what is longer than in training, normalises,
checks and repairs the modalities as `config.repair.inference` says, predicts,
and averages over its members where it is an ensemble.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from mmer_jax.base import environment, errors, version, workdir
from mmer_jax.data import manifest, normalise, word_vectors
from mmer_jax.evaluation import evaluate, restore, scores
from mmer_jax.experiment import build, input_repair, provenance, records
from mmer_jax.robustness import settings as settings_lib
from mmer_jax.serving import files, function
from mmer_jax.training import session as session_lib


def from_workdir(
  folder: pathlib.Path,
  *,
  run: int | None = None,
  ensemble: bool = False,
  thresholds: str = "fixed",
  data_dir: str = "",
) -> function.Served:
  """Reads what a finished workdir has selected.

  Args:
    folder: The workdir.
    run: Its number; None for the one of the best setting that is best on its
      validation split.
    ensemble: Whether all runs of the best setting are averaged instead.
    thresholds: As of `evaluate`; of an ensemble, its members' mean.
    data_dir: The shard folder, where it is not the one of training.

  Raises:
    UserError: Training has not finished, or the request does not fit it.
  """
  config = workdir.read_config(folder)
  if data_dir:
    with config.unlocked():
      config.data.dir = str(pathlib.Path(data_dir).absolute())
  evaluate.check_thresholds(thresholds, config.protocol.decision)
  experiment = build.build_experiment(config)
  before = workdir.read_json(folder / "run.json")["dataset"]["fingerprint"]
  now = experiment.corpus.dataset["fingerprint"]
  if before != now:
    raise errors.UserError(
      f"the shards in {config.data.dir} have fingerprint {now[:12]}, the"
      f" workdir was trained on {before[:12]}; pass --data_dir=DIR with those"
    )
  settings = settings_lib.RepairSettings.from_config(config)
  if settings.inference == "proxy" and settings.proxy == "knn":
    raise errors.UserError(
      f"{folder} regenerates modalities from its training rows"
      " (config.repair.proxy is 'knn'), which a model to serve does not hold;"
      " train with --config.repair.proxy=linear"
    )
  if settings.inference != "none":
    experiment = input_repair.attach_repair(experiment, folder, before)
  session = session_lib.open_session(experiment)
  restored = restore.restore(folder, session, len(experiment.corpus.emotions))
  outcome = workdir.read_json(folder / "results" / "validation.json")
  members = choose(outcome, run=run, ensemble=ensemble)
  chosen = None
  if thresholds == "validation":
    each = scores.validation_thresholds(session, restored, members)
    chosen = each.mean(axis=0)
  spec = describe(
    experiment, restored, members, ensemble=ensemble, thresholds=chosen
  )
  picked = np.asarray(members) if ensemble else members[0]
  params, runs = jax.tree.map(
    lambda leaf: np.asarray(leaf)[picked],
    (restored.params[-1], restored.runs),
  )
  tensors = {
    f"params.{name}": leaf
    for name, leaf in function.named_tensors(params).items()
  }
  for modality in runs.mean:
    tensors[f"mean.{modality}"] = runs.mean[modality]
    tensors[f"scale.{modality}"] = runs.scale[modality]
  if runs.repair is not None:
    # The training rows themselves are of neighbours alone.
    kept = runs.repair.replace(bank=None, reduced={}, there={})
    for name, leaf in function.named_tensors(kept).items():
      tensors[f"repair.{name}"] = leaf
  return function.make_function(experiment.system, spec, tensors)


def choose(
  outcome: dict[str, Any], *, run: int | None, ensemble: bool
) -> list[int]:
  """The runs to serve, by what `results/validation.json` says of them.

  Raises:
    UserError: There is no such run, or its members know different emotions.
  """
  lived = [each for each in outcome["runs"] if each["failed_step"] is None]
  if run is not None:
    if ensemble:
      raise errors.UserError(
        f"--ensemble averages the runs of a setting, got --run={run} too; leave"
        " one out"
      )
    if run not in [each["run"] for each in lived]:
      raise errors.UserError(
        f"--run is {run}, expected one of the runs that finished:"
        f" {', '.join(str(each['run']) for each in lived)}"
      )
    return [run]
  chosen = [each for each in lived if each["setting"] == outcome["setting"]]
  if not chosen:
    raise errors.UserError(
      "no run of the setting that validation chose has finished; train again"
    )
  if not ensemble:
    return [max(chosen, key=lambda each: each["selection"])["run"]]
  if any(each["unseen"] != chosen[0]["unseen"] for each in chosen):
    raise errors.UserError(
      "--ensemble averages runs that were taught the same emotions, but these"
      " left out different ones (config.protocol.unseen); pass --run=N"
    )
  return [each["run"] for each in chosen]


def describe(
  experiment: build.Experiment,
  restored: restore.Restored,
  members: Sequence[int],
  *,
  ensemble: bool,
  thresholds: np.ndarray | None,
) -> dict[str, Any]:
  """The content of `feature_spec.json`, but for `explain`.

  Args:
    experiment: The runs.
    restored: Its parameters.
    members: The runs to serve.
    ensemble: Whether they are averaged.
    thresholds: (k + 1,), of every emotion and of a new one, chosen on
      validation; None for that of the config.
  """
  config, corpus = experiment.config, experiment.corpus
  binary = config.protocol.decision == "binary"
  least: list[float | None] = [None] * (len(corpus.emotions) + 1)
  if thresholds is not None:
    least = thresholds.tolist()
  elif binary:
    least = [config.protocol.threshold] * len(least)
  first = experiment.records[members[0]]
  modalities, unused = {}, {}
  for modality, (length, dim) in corpus.shapes.items():
    keep = restored.runs.keep.get(modality)
    if keep is not None and not keep[members[0]]:
      unused[modality] = dim
      continue
    entry = corpus.manifest["modalities"][modality]
    statistics = [
      normalise.statistics(corpus.table, rows, modality)
      for rows in _different(
        [experiment.records[m].fold.train for m in members]
      )
    ]
    mean, std = np.mean(statistics, axis=0)
    modalities[modality] = {
      "dim": dim,
      "columns": list(entry["columns"]),
      "max_length": length,
      "padding": entry["padding"],
      "normalised": modality in restored.runs.mean,
      "mean": mean.tolist(),
      "std": std.tolist(),
      "present_in_training": float(
        corpus.present[modality][first.fold.train].mean()
      ),
      "may_be_absent": True,
    }
  words = _words(config, corpus.emotions, first.setting)
  sample = build.sample_batch(config, corpus)
  vectors = restored.runs.vectors[members[0]]
  return {
    "format": files.SPEC_FORMAT,
    "mmer_jax": version.__version__,
    "system": config.system,
    "config_sha256": provenance.config_digest(config),
    "decision": config.protocol.decision,
    "open_vocabulary": experiment.system.open_vocabulary,
    "aligned": experiment.system.aligned,
    "acoustic_word": experiment.system.acoustic_word
    and "acoustic" in modalities
    and sample.acoustic_word is not None,
    "modalities": modalities,
    "unused_modalities": unused,
    "repair": None if restored.runs.repair is None else config.repair.to_dict(),
    "emotions": [
      {
        "name": name,
        "word": words[name],
        "vector": np.asarray(vector, np.float64).tolist(),
        "threshold": threshold,
        "taught": name not in first.unseen or bool(first.samples),
      }
      for name, vector, threshold in zip(
        corpus.emotions, vectors, least[:-1], strict=True
      )
    ],
    "thresholds": {
      "chosen": ("fixed" if thresholds is None else "validation")
      if binary
      else None,
      "new_emotion": least[-1],
    },
    "ensemble": ensemble,
    "members": [
      {
        "run": record.run,
        "seed": record.seed,
        "fold": record.fold.name,
        "setting": record.setting,
        "unseen": list(record.unseen),
      }
      for record in (experiment.records[member] for member in members)
    ],
    "dataset": corpus.dataset,
    "environment": environment.environment(),
  }


def _different(folds: Sequence[np.ndarray]) -> list[np.ndarray]:
  """The sets of rows, each once."""
  return list({rows.tobytes(): rows for rows in folds}.values())


def _words(
  config: ml_collections.ConfigDict,
  emotions: Sequence[str],
  setting: records.Setting,
) -> dict[str, str]:
  """The word that each emotion's vector is of; `""` where there is none."""
  found = manifest.load_emotion_vectors(pathlib.Path(config.data.dir))
  words = dict.fromkeys(emotions, "")
  if found is not None:
    known = dict(zip(found.names, found.words, strict=True))
    words = {name: known[name] for name in emotions}
  forms = [*config.data.words, *str(setting.get("words", "")).split(",")]
  return words | word_vectors.parse_forms(forms, emotions)
