"""Which runs a config has: left-out emotions x swept values x folds x seeds."""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import ml_collections
import numpy as np
from absl import logging

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import few_shot, splits, unlabelled

_NUMBERS = ("learning_rate", "weight_decay", "clip_norm", "unlabelled")

# Swept values by name: numbers, words as `emotion=word,...`, modalities as
# `lexical+acoustic`.
Setting = dict[str, float | str]


class RunRecord(NamedTuple):
  """One run, for people and for JSON.

  Attributes:
    run: Its place on the runs axis.
    seed: Its seed.
    fold: Its fold.
    setting: The swept values, by name.
    unseen: The emotions that its source training does not see.
    samples: The rows of each later stage's new emotion.
    memory: (t, slots) rows that each later stage keeps; empty where none does.
    pool: The unlabelled rows: before a classifier has picked some, all.
  """

  run: int
  seed: int
  fold: splits.Fold
  setting: Setting
  unseen: tuple[str, ...]
  samples: tuple[np.ndarray, ...]
  memory: tuple[np.ndarray, ...]
  pool: np.ndarray

  def describe(self) -> str:
    """Names the run in a message."""
    swept = f", {show(self.setting)}" if self.setting else ""
    unseen = f", without {' '.join(self.unseen)}" if self.unseen else ""
    return (
      f"run {self.run} (fold {self.fold.name}, seed {self.seed}{swept}{unseen})"
    )


def show(setting: Mapping[str, float | str]) -> str:
  """A setting for people."""

  def text(value: float | str) -> str:
    return value or "-" if isinstance(value, str) else f"{value:g}"

  return ", ".join(f"{key} {text(value)}" for key, value in setting.items())


def make_records(
  config: ml_collections.ConfigDict, corpus: corpus_lib.Corpus
) -> tuple[RunRecord, ...]:
  """Lays out unseen x settings x folds x seeds, the seeds fastest."""
  _check_unseen(config, corpus)
  settings: list[Setting] = [{}]
  for key, values in _swept(config).items():
    settings = [
      {**setting, key: value} for setting in settings for value in values
    ]
  rows = splits.Rows(
    ids=corpus.columns["id"],
    speakers=corpus.columns["speaker"],
    sessions=corpus.columns["session"],
    splits=corpus.columns["split"],
    labelled=corpus.labelled,
  )
  folds_by_seed = {
    seed: splits.make_folds(
      splits.Protocol.from_config(config.protocol), rows, seed=seed
    )
    for seed in config.seeds
  }
  records: list[RunRecord] = []
  for unseen in config.protocol.unseen or ((),):
    for setting in settings:
      for position in range(len(folds_by_seed[config.seeds[0]])):
        for seed in config.seeds:
          fold = folds_by_seed[seed][position]
          record = RunRecord(
            run=len(records),
            seed=int(seed),
            fold=fold,
            setting=setting,
            unseen=tuple(unseen),
            samples=(),
            memory=(),
            pool=_pool(config, rows, fold),
          )
          record = _low_resource(config, corpus, record)
          if not config.unlabelled.per_class:
            record = _limit(config, record)
          records.append(record)
  return tuple(records)


def _swept(
  config: ml_collections.ConfigDict,
) -> dict[str, list[float] | list[str]]:
  """The swept values of `config.sweep`, by name."""
  found: dict[str, list[float] | list[str]] = {}
  for key in _NUMBERS:
    values = tuple(config.sweep[key])
    wrong = [v for v in values if isinstance(v, str) or not v >= 0]
    if wrong or len(set(values)) < len(values):
      raise errors.UserError(
        f"config.sweep.{key} is {values}, expected different numbers of at"
        " least 0"
      )
    if values:
      found[key] = [float(value) for value in values]
  words = tuple(config.sweep.words)
  if words:
    wrong = [value for value in words if not isinstance(value, str)]
    if wrong or len(set(words)) < len(words):
      raise errors.UserError(
        f"config.sweep.words is {words}, expected different texts"
        ' "emotion=word,..."; "" is the words of the shards'
      )
    found["words"] = list(words)
  subsets = tuple(config.sweep.modalities)
  if subsets:
    known = config.data.modalities
    for subset in subsets:
      if (
        not isinstance(subset, tuple)
        or not subset
        or set(subset) - set(known)
        or subsets.count(subset) > 1
      ):
        raise errors.UserError(
          f"config.sweep.modalities has {subset!r}, expected different tuples"
          f" of some of {', '.join(known)}"
        )
    found["modalities"] = ["+".join(subset) for subset in subsets]
  return found


def pick(
  config: ml_collections.ConfigDict, record: RunRecord, classes: np.ndarray
) -> RunRecord:
  """Balances a run's unlabelled rows by what a classifier takes them for.

  Args:
    config: With how many of each class, and how many in all.
    record: With the whole pool.
    classes: (n,) of the rows of the pool.
  """
  names, counts = np.unique(classes, return_counts=True)
  logging.info(
    "%s: %d unlabelled utterances by predicted class: %s",
    record.describe(),
    len(classes),
    dict(zip(names.tolist(), counts.tolist(), strict=True)),
  )
  stream = zlib.crc32(b"balance_unlabelled")
  rows = unlabelled.balance(
    record.pool,
    classes,
    per_class=config.unlabelled.per_class,
    rng=np.random.default_rng([record.seed, stream]),
  )
  return _limit(config, record._replace(pool=rows))


def _limit(config: ml_collections.ConfigDict, record: RunRecord) -> RunRecord:
  """Keeps as many unlabelled rows as the run may have; more hold fewer."""
  count = int(record.setting.get("unlabelled", config.unlabelled.count))
  if count < 0:
    return record
  stream = zlib.crc32(b"limit_unlabelled")
  rng = np.random.default_rng([record.seed, stream])
  return record._replace(pool=rng.permutation(record.pool)[:count])


def _pool(
  config: ml_collections.ConfigDict, rows: splits.Rows, fold: splits.Fold
) -> np.ndarray:
  if not config.unlabelled.use:
    return np.zeros(0, np.int64)
  found = unlabelled.pool(rows, fold)
  if not len(found):
    raise errors.UserError(
      f"config.unlabelled.use is True, but fold {fold.name} has no unlabelled"
      " utterance outside of what it holds out; use shards with unlabelled"
      " rows, or set it to False"
    )
  return found


def _check_unseen(
  config: ml_collections.ConfigDict, corpus: corpus_lib.Corpus
) -> None:
  unseen, method = config.protocol.unseen, config.few_shot.method
  wanted = "a tuple of tuples of emotions, as ((angry,), (sad, happy))"
  if not isinstance(unseen, tuple) or any(
    not isinstance(names, tuple) or not names for names in unseen
  ):
    raise errors.UserError(
      f"config.protocol.unseen is {unseen!r}, expected {wanted}"
    )
  for names in unseen:
    unknown = [name for name in names if name not in corpus.emotions]
    if unknown or len(set(names)) < len(names):
      raise errors.UserError(
        f"config.protocol.unseen has {names!r}, expected different ones of"
        f" {', '.join(corpus.emotions)}"
      )
    if len(names) == len(corpus.emotions):
      raise errors.UserError(
        f"config.protocol.unseen has {names!r}, which leaves no emotion to"
        " train on; leave one out"
      )
  if method != "none" and len({len(names) for names in unseen}) != 1:
    raise errors.UserError(
      f"config.few_shot.method is {method!r}, which learns the emotions of"
      f" config.protocol.unseen, got {unseen!r}; expected {wanted}, each with"
      " as many"
    )


def _low_resource(
  config: ml_collections.ConfigDict,
  corpus: corpus_lib.Corpus,
  record: RunRecord,
) -> RunRecord:
  """Takes the unseen emotions from the training rows; draws their samples.

  Rows with an unseen emotion leave the training side alone: validation and
  test stay whole (Dai et al. 2020, section 6.3; their code drops them from
  every side).
  """
  if not record.unseen:
    return record
  labels, rows = corpus.labels, record.fold.train
  columns = [corpus.emotions.index(name) for name in record.unseen]
  source = rows[~(labels[rows][:, columns] > 0).any(axis=1)]
  if not len(source):
    raise errors.UserError(
      f"fold {record.fold.name} has no training utterance without"
      f" {', '.join(record.unseen)}; choose other config.protocol.unseen"
    )
  record = record._replace(fold=record.fold._replace(train=source))
  method, settings = config.few_shot.method, config.few_shot
  if method == "none":
    return record

  def draw(what: str, stage: int) -> np.random.Generator:
    return np.random.default_rng(
      [record.seed, zlib.crc32(what.encode()), stage]
    )

  samples = tuple(
    few_shot.sample(
      labels[:, column],
      rows,
      share=settings.share,
      emotion=name,
      rng=draw("few_shot", stage),
    )
    for stage, (name, column) in enumerate(
      zip(record.unseen, columns, strict=True), 1
    )
  )
  if method != "gem":
    return record._replace(samples=samples)
  count, stages = len(labels), 1 + len(samples)
  past = [source]
  if settings.memory_tasks == "per_emotion":
    past = [
      (stages + column) * count
      + few_shot.balanced(labels[:, column], source, draw("balance", column))
      for column in range(labels.shape[1])
      if column not in columns
    ]
  memory = []
  for stage, rows_of_sample in enumerate(samples, 1):
    memory.append(
      few_shot.memory(
        past,
        size=settings.memory,
        slots=few_shot.slots(config.training.batch_size, settings.memory),
        rng=draw("memory", stage),
      )
    )
    past = [*past, rows_of_sample + stage * count]
  return record._replace(samples=samples, memory=tuple(memory))
