"""Makes an experiment of a config: shards, system, runs and their settings."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import ml_collections
import numpy as np
from absl import logging

from mmer_jax.base import errors
from mmer_jax.data import batches as batches_lib
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import (
  few_shot,
  identity,
  negatives,
  ratings,
  schema,
  unlabelled,
)
from mmer_jax.experiment import ranges, training_rows, validate
from mmer_jax.experiment import records as records_lib
from mmer_jax.experiment import runs as runs_lib
from mmer_jax.robustness import noise as noise_lib
from mmer_jax.robustness import settings as settings_lib
from mmer_jax.systems import interface, registry


class Experiment(NamedTuple):
  """Holds everything between a config and a compiled program.

  Attributes:
    config: The config, locked.
    corpus: The shards, read.
    system: The paper's system.
    rules: The rules of selection and stopping that the runs share.
    records: The runs, in the order of the runs axis.
    runs: Their settings, (r, ...) NumPy arrays.
    noise: The noise that the input transform adds.
    repair: The settings of its check and proxies.
    warnings: What the training rows do not teach, in sentences for people.
  """

  config: ml_collections.ConfigDict
  corpus: corpus_lib.Corpus
  system: interface.System
  rules: interface.TrainingRules
  records: tuple[records_lib.RunRecord, ...]
  runs: interface.RunSettings
  noise: noise_lib.Noise
  repair: settings_lib.RepairSettings
  warnings: tuple[str, ...] = ()

  def section(self, number: int) -> ml_collections.ConfigDict:
    """Returns the part of the config that says how long a stage trains."""
    return self.config[self.system.stages[number].section]

  def stage_rules(self, number: int) -> interface.TrainingRules:
    """Returns the rules of selection and early stopping of a stage."""
    section = self.section(number)
    return self.rules._replace(
      early_stopping=section.early_stopping,
      select=section.select or self.config.training.select,
    )

  def stage_rows(
    self, record: records_lib.RunRecord, number: int
  ) -> np.ndarray:
    """Lists the rows that a run trains on in a stage, with their roles."""
    if not number or not record.samples:
      return record.fold.train
    count = len(self.corpus.labels)
    first = number
    parts = []
    if self.config.few_shot.method == "joint":
      first, parts = 1, [record.fold.train]
    parts += [
      record.samples[stage - 1] + stage * count
      for stage in range(first, number + 1)
    ]
    return np.concatenate(parts)

  def epoch(
    self, record: records_lib.RunRecord, number: int, epoch: int
  ) -> np.ndarray:
    """Lists the rows of a run's epoch, (steps, width).

    Behind the rows of a batch come those that its stage asks for: a memory, or
    unlabelled rows, or those of the next batch, or negatives.
    """
    batches = batches_lib.epoch_rows(
      self.stage_rows(record, number),
      self.config.training.batch_size,
      seed=record.seed,
      stage=number,
      epoch=epoch,
    )
    if number and record.memory:
      return few_shot.with_memory(batches, record.memory[number - 1])
    stage = self.system.stages[number]
    if stage.unlabelled:
      batches = unlabelled.append_unlabelled(
        batches, record.pool, seed=record.seed, stage=number, epoch=epoch
      )
    if stage.following:
      following = np.roll(batches, -1, axis=0)
      batches = np.concatenate([batches, following], axis=1)
    if stage.negatives is not None:
      batches = negatives.append_negatives(
        batches,
        record.fold.train,
        self.corpus.labels,
        negatives.wanted(stage.negatives, self.corpus.emotions),
        seed=record.seed,
        stage=number,
        epoch=epoch,
      )
    return batches

  def rows(self, split: str) -> np.ndarray:
    """Lists the rows of a split of every run, in order, as (r, s, b)."""
    return self._stack([getattr(record.fold, split) for record in self.records])

  def pool(self) -> np.ndarray:
    """Lists the unlabelled rows of every run, in order, as (r, s, b)."""
    return self._stack([record.pool for record in self.records])

  def picked(self, logits: np.ndarray) -> "Experiment":
    """Balances the unlabelled rows by what a stage predicts for `pool`.

    Args:
      logits: (r, n, k) of the rows of `pool`, fillers included.
    """
    records = tuple(
      records_lib.pick(
        self.config, record, logits[record.run][: len(record.pool)]
      )
      for record in self.records
    )
    return self._replace(records=records)

  def _stack(self, rows: Sequence[np.ndarray]) -> np.ndarray:
    """Cuts the rows of every run into batches of one shape."""
    size = self.config.training.batch_size
    return batches_lib.stack_runs(
      [batches_lib.in_batches(each, size) for each in rows]
    )


def build_experiment(
  config: ml_collections.ConfigDict,
  assumed: corpus_lib.AssumedShapes | None = None,
  expected: identity.Identity | None = None,
) -> Experiment:
  """Reads the shards and lays out the runs of a config.

  Args:
    config: A config of `configs/`, with overrides.
    assumed: What is made up where the shards do not have it; None to refuse
      such shards.
    expected: The identity that the features must have; None for any.

  Raises:
    UserError: The config does not fit itself or the shards.
  """
  rules = validate.make_rules(config)
  ranges.check_ranges(config)
  noise = noise_lib.Noise.from_config(config)
  noise_lib.check(noise, resident=config.data.resident)
  repair = settings_lib.RepairSettings.from_config(config)
  system = build_system(config)
  if not config.data.dir:
    raise errors.UserError(
      "config.data.dir is empty, expected a shard folder; convert a corpus"
      " with `python -m data_prep.convert` and pass --config.data.dir=DIR"
    )
  corpus = read_corpora(config, assumed, expected)
  # What a system refuses, it refuses here: before anything is written.
  with _naming_keys(config):
    jax.eval_shape(
      system.init,
      jax.random.key(0),
      sample_batch(config, corpus),
      corpus.vectors,
    )
  records = records_lib.make_records(config, corpus)
  warnings: tuple[str, ...] = ()
  if assumed is None:
    # Otherwise these shards are not those of the training.
    warnings = training_rows.check_training_rows(
      corpus, records, config.protocol.decision
    )
  for sentence in warnings:
    logging.warning("%s", sentence)
  runs = runs_lib.make_runs(config, corpus, records)
  if system.open_vocabulary:
    runs_lib.check_vectors(corpus.emotions, runs.vectors)
  return Experiment(
    config=config,
    corpus=corpus,
    system=system,
    rules=validate.rate(rules, corpus.rating_ranges),
    records=records,
    runs=runs,
    noise=noise,
    repair=repair,
    warnings=warnings,
  )


def read_corpora(
  config: ml_collections.ConfigDict,
  assumed: corpus_lib.AssumedShapes | None = None,
  expected: identity.Identity | None = None,
) -> corpus_lib.Corpus:
  """Reads the shards that `config.data` and `config.unlabelled` name.

  Args:
    config: A config of `configs/`, with overrides.
    assumed: What is made up where the labelled shards do not have it.
    expected: The identity that the features must have; None for any.

  Raises:
    UserError: A folder is not as the config says, or the unlabelled shards
      are not of the same features.
  """
  resident = config.data.resident
  regression = config.protocol.decision == "regression"
  corpus = corpus_lib.load_corpus(
    config.data.dir,
    modalities=config.data.modalities,
    emotions=() if regression else config.data.emotions,
    max_length=config.data.max_length.to_dict(),
    resident=resident,
    decision=config.protocol.decision,
    without_emotion=config.data.without_emotion,
    assumed=assumed,
    expected=expected,
  )
  if regression:
    corpus = ratings.as_targets(corpus, config.data.ratings)
  if not (config.unlabelled.use and config.unlabelled.dir):
    return corpus
  other = corpus_lib.load_corpus(
    config.unlabelled.dir,
    modalities=config.data.modalities,
    emotions=(),
    max_length=config.data.max_length.to_dict(),
    resident=resident,
    # Whatever their labels are, they are not looked at.
    decision="binary",
    without_emotion="negative",
    expected=corpus.identity,
  )
  return unlabelled.join(corpus, other, resident=resident)


def build_system(config: ml_collections.ConfigDict) -> interface.System:
  """Builds the system that the config names.

  Raises:
    UserError: There is none of that name, its section of the config does not
      fit it, or it cannot learn ratings and is to.
  """
  if config.system in registry.FITTED:
    raise errors.UserError(
      f"config.system is {config.system!r}, which scikit-learn fits: there is"
      " no network to benchmark, export, predict with or draw; train, evaluate,"
      " table and report know it"
    )
  errors.check_choices("system", config.system, sorted(registry.SYSTEMS))
  for modality in config.data.modalities:
    if modality not in schema.MODALITIES:
      raise errors.UserError(
        f"config.data.modalities names {modality!r}, expected some of"
        f" {', '.join(schema.MODALITIES)}"
      )
  with _naming_keys(config, KeyError):
    system = registry.SYSTEMS[config.system](config)
  _check_system(config, system)
  return system


def _check_system(
  config: ml_collections.ConfigDict, system: interface.System
) -> None:
  """Refuses to learn ratings with a system whose outputs are none."""
  if config.protocol.decision == "regression" and not system.regression:
    raise errors.UserError(
      f'config.protocol.decision is "regression", but {config.system} scores'
      " emotions and no ratings; expected one of"
      f" {', '.join(registry.REGRESSION)}, as --config=own/lf_lstm"
    )


@contextlib.contextmanager
def _naming_keys(
  config: ml_collections.ConfigDict, *also: type[Exception]
) -> Iterator[None]:
  """Says which key of `config.model` a component lacks or does not know.

  Components are made as `Component(**config.part)`; a config of another version
  may have other keys. `also` is what else may be raised for want of one.
  """
  unfit = re.compile(r"missing (a|\d+) required|unexpected keyword")
  try:
    yield
  except (TypeError, *also) as error:
    if isinstance(error, TypeError) and not unfit.search(str(error)):
      raise
    raise errors.UserError(
      f"config.model has not the keys of this version's {config.system}"
      f" ({error}); begin with a file of configs/, or use the version of"
      " mmer_jax that wrote the workdir"
    ) from error


def sample_batch(
  config: ml_collections.ConfigDict, corpus: corpus_lib.Corpus
) -> schema.Batch:
  """Takes a batch for its shapes: parameters do not depend on its rows."""
  rows = np.zeros(config.training.batch_size, np.int32)
  return corpus.table.take(rows)
