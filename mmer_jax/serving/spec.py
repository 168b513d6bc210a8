"""Describes a trained system: the content of `feature_spec.json`."""

import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from mmer_jax.base import environment, version
from mmer_jax.data import manifest, normalise, word_vectors
from mmer_jax.evaluation import restore
from mmer_jax.experiment import build, provenance, records
from mmer_jax.serving import files, origin


def describe(
  experiment: build.Experiment,
  restored: restore.Restored,
  members: Sequence[int],
  *,
  ensemble: bool,
  thresholds: np.ndarray | None,
) -> dict[str, Any]:
  """Describes the input, the output and the origin of a model.

  Args:
    experiment: The runs.
    restored: Its parameters.
    members: The runs to serve.
    ensemble: Whether they are averaged.
    thresholds: (k + 1,), of every emotion and of a new one, chosen on
      validation; None for that of the config.

  Returns:
    The content of `feature_spec.json`, but for `explain` and `files`.
  """
  config, corpus = experiment.config, experiment.corpus
  modalities, unused = _modalities(experiment, restored, members)
  sample = build.sample_batch(config, corpus)
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
    **_emotions(experiment, restored, members[0], thresholds),
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
    "identity": corpus.identity,
    "features_from": origin.of_manifest(corpus.manifest),
    "environment": environment.environment(),
  }


def _modalities(
  experiment: build.Experiment,
  restored: restore.Restored,
  members: Sequence[int],
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
  """Describes the modalities that the runs see, and the width of the others."""
  corpus, first = experiment.corpus, experiment.records[members[0]]
  folds = [experiment.records[member].fold.train for member in members]
  described, unused = {}, {}
  for modality, (length, dim) in corpus.shapes.items():
    visible = restored.runs.keep.get(modality)
    if visible is not None and not visible[members[0]]:
      unused[modality] = dim
      continue
    entry = corpus.manifest["modalities"][modality]
    statistics = [
      normalise.statistics(corpus.table, rows, modality)
      for rows in _distinct(folds)
    ]
    mean, std = np.mean(statistics, axis=0)
    described[modality] = {
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
  return described, unused


def _distinct(folds: Sequence[np.ndarray]) -> list[np.ndarray]:
  """Drops sets of rows that are there already."""
  return list({rows.tobytes(): rows for rows in folds}.values())


def _emotions(
  experiment: build.Experiment,
  restored: restore.Restored,
  member: int,
  chosen: np.ndarray | None,
) -> dict[str, Any]:
  """Describes the emotions and the thresholds of their decisions, or ratings.

  A rating has its `range`, beyond which a value may lie: it is not cut.
  """
  config, corpus = experiment.config, experiment.corpus
  record = experiment.records[member]
  binary = config.protocol.decision == "binary"
  regression = config.protocol.decision == "regression"
  thresholds: list[float | None] = [None] * (len(corpus.emotions) + 1)
  if chosen is not None:
    thresholds = chosen.tolist()
  elif binary:
    thresholds = [config.protocol.threshold] * len(thresholds)
  words = _words(config, corpus.emotions, record.setting)
  vectors = restored.runs.vectors[member]
  return {
    "emotions": [
      {
        "name": name,
        "word": words[name],
        "vector": np.asarray(vector, np.float64).tolist(),
        "threshold": threshold,
        "taught": name not in record.unseen or bool(record.samples),
        **({"range": list(corpus.rating_ranges[at])} if regression else {}),
      }
      for at, (name, vector, threshold) in enumerate(
        zip(corpus.emotions, vectors, thresholds[:-1], strict=True)
      )
    ],
    "thresholds": {
      "chosen": ("fixed" if chosen is None else "validation")
      if binary
      else None,
      "new_emotion": thresholds[-1],
    },
  }


def _words(
  config: ml_collections.ConfigDict,
  emotions: Sequence[str],
  setting: records.Setting,
) -> dict[str, str]:
  """Names the word of each emotion's vector; `""` where there is none."""
  if config.protocol.decision == "regression":
    return dict.fromkeys(emotions, "")
  table = manifest.load_emotion_vectors(pathlib.Path(config.data.dir))
  words = dict.fromkeys(emotions, "")
  if table is not None:
    known = dict(zip(table.names, table.words, strict=True))
    words = {name: known[name] for name in emotions}
  forms = [*config.data.words, *str(setting.get("words", "")).split(",")]
  return words | word_vectors.parse_forms(forms, emotions)
