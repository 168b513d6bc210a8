"""Makes the runs of a linear baseline, and fits them fold by fold.

A linear baseline has the config of any system and its folds: what differs is
`config.model`. Seeds draw nothing here: runs of the same rows are one fit.
"""

import pathlib
from typing import Any

import ml_collections
import numpy as np
from absl import logging

from mmer_jax.base import errors, progress
from mmer_jax.experiment import (
  build,
  ranges,
  records,
  runs,
  training_rows,
  validate,
)
from mmer_jax.linear import classifier, features
from mmer_jax.robustness import noise as noise_lib
from mmer_jax.robustness import settings as settings_lib
from mmer_jax.systems import interface

SYSTEM = "linear"
FEATURES = ("tfidf", "functionals")


def _not_descended(*arguments: Any) -> Any:
  """Stands for the functions of a system that is fitted and not trained."""
  del arguments
  raise NotImplementedError


_FITTED = interface.System(
  init=_not_descended,
  stages=(interface.Stage("fit", _not_descended),),
  predict=_not_descended,
  open_vocabulary=False,
)


def model(features: tuple[str, ...]) -> dict[str, Any]:
  """Gives `config.model` of configs/baselines/linear.py.

  Args:
    features: Some of `FEATURES`; none for the majority.
  """
  return {
    "features": features,
    "c": (0.1, 1.0, 10.0, 100.0),
    "ngrams": 2,
    "min_count": 2,
  }


def build_linear(config: ml_collections.ConfigDict) -> build.Experiment:
  """Reads the shards and lays out the runs of a linear baseline.

  Raises:
    UserError: The config does not fit itself, the shards, or what is linear.
  """
  rules = validate.make_rules(config)
  ranges.check_ranges(config)
  read_settings(config)
  _check(config)
  corpus = build.read_corpora(config)
  laid_out = records.make_records(config, corpus)
  warnings = training_rows.check_training_rows(
    corpus, laid_out, config.protocol.decision
  )
  for sentence in warnings:
    logging.warning("%s", sentence)
  return build.Experiment(
    config=config,
    corpus=corpus,
    system=_FITTED,
    rules=rules,
    records=laid_out,
    runs=runs.make_runs(config, corpus, laid_out),
    noise=noise_lib.Noise.from_config(config),
    repair=settings_lib.RepairSettings.from_config(config),
    warnings=warnings,
  )


def read_settings(config: ml_collections.ConfigDict) -> classifier.Settings:
  """Reads `config.model`.

  Raises:
    UserError: A key is missing, unknown, or none of its values.
  """
  model = config.model.to_dict()
  if set(model) != set(classifier.Settings._fields):
    raise errors.UserError(
      f"config.model has {', '.join(sorted(model))}, expected"
      f" {', '.join(classifier.Settings._fields)}; begin with"
      " configs/baselines/linear.py"
    )
  settings = classifier.Settings(**model)
  unknown = [name for name in settings.features if name not in FEATURES]
  if unknown or len(set(settings.features)) < len(settings.features):
    raise errors.UserError(
      f"config.model.features is {settings.features}, expected different ones"
      f" of {', '.join(FEATURES)}, or () for the majority"
    )
  if not settings.c or min(settings.c) <= 0:
    raise errors.UserError(
      f"config.model.c is {settings.c}, expected numbers above 0, one at least"
    )
  return settings


def _check(config: ml_collections.ConfigDict) -> None:
  """Refuses what a linear baseline cannot do."""
  sweep = config.sweep.to_dict()
  for key, asked in (
    ("protocol.unseen", config.protocol.unseen),
    ("few_shot.method", config.few_shot.method != "none"),
    ("unlabelled.use", config.unlabelled.use),
    ("noise.kind", config.noise.kind != "none"),
    ("repair.training", config.repair.training != "none"),
    ("repair.inference", config.repair.inference != "none"),
    *((f"sweep.{name}", values) for name, values in sweep.items()),
  ):
    if asked:
      raise errors.UserError(
        f"config.{key} is set, but a linear baseline is fitted to the labelled"
        " training rows of each fold and knows no such thing; leave it out"
      )
  if config.protocol.decision == "regression":
    raise errors.UserError(
      'config.protocol.decision is "regression", but a linear baseline'
      ' decides between emotions; set it to "softmax" or "binary"'
    )


def fit_runs(
  experiment: build.Experiment, chosen: dict[int, float] | None = None
) -> tuple[dict[int, float], np.ndarray]:
  """Fits every run; runs of the same rows are one fit.

  Args:
    experiment: From `build_linear`.
    chosen: Run to its `config.model.c`; None where validation chooses.

  Returns:
    Run to the `c` that was chosen, and the logits of all utterances, (r, n,
    k).
  """
  config, corpus = experiment.config, experiment.corpus
  settings = read_settings(config)
  folder = pathlib.Path(config.data.dir)
  inputs = classifier.Inputs(
    features.read_words(folder) if "tfidf" in settings.features else (),
    features.read_functionals(corpus)
    if "functionals" in settings.features
    else {},
    corpus.labels,
  )
  select = config.training.select
  fitted: dict[bytes, tuple[float, np.ndarray]] = {}
  penalties, logits = {}, []
  runs = experiment.records
  for record in progress.each(runs, "fitting", len(runs), "runs"):
    fold = record.fold
    key = fold.train.tobytes() + b"|" + fold.validation.tobytes()
    if key not in fitted:
      grid = settings
      if chosen is not None:
        grid = settings._replace(c=(chosen[record.run],))
      fitted[key] = classifier.fit(
        inputs,
        fold,
        grid,
        decision=config.protocol.decision,
        balanced=config.loss.class_weight == "balanced",
        select="accuracy" if select == "loss" else select,
        threshold=config.protocol.threshold,
      )
    c, scores = fitted[key]
    penalties[record.run] = c
    logits.append(scores)
  return penalties, np.stack(logits)
