"""Lists the runs of a config: left-out emotions x settings x folds x seeds."""

import itertools
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ml_collections
import numpy as np
from absl import logging

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import few_shot, partition, ratings, splits, unlabelled

_NUMBERS = ("learning_rate", "weight_decay", "clip_norm", "unlabelled")

# Swept values by name: numbers, words as `emotion=word,...`, modalities as
# `lexical+acoustic`.
Setting = dict[str, float | str]


class RunRecord(NamedTuple):
  """Describes one run of a config, for people and for JSON.

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
  fold: partition.Fold
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
  """Writes a setting for people."""

  def text(value: float | str) -> str:
    return value or "-" if isinstance(value, str) else f"{value:g}"

  return ", ".join(f"{key} {text(value)}" for key, value in setting.items())


def make_records(
  config: ml_collections.ConfigDict, corpus: corpus_lib.Corpus
) -> tuple[RunRecord, ...]:
  """Lays out unseen x settings x folds x seeds, the seeds fastest.

  Raises:
    UserError: The split, the sweep or the left-out emotions do not fit the
      shards.
  """
  _check_unseen(config, corpus)
  rows = partition.Rows.from_corpus(corpus)
  if config.protocol.decision == "regression":
    rows = rows._replace(labels=ratings.levels(corpus))
  protocol = partition.Protocol.from_config(config.protocol)
  folds_by_seed = {
    seed: splits.make_folds(protocol, rows, seed=seed) for seed in config.seeds
  }
  fold_count = len(folds_by_seed[config.seeds[0]])
  records: list[RunRecord] = []
  for unseen, setting, position, seed in itertools.product(
    config.protocol.unseen or ((),),
    _settings(config),
    range(fold_count),
    config.seeds,
  ):
    fold = folds_by_seed[seed][position]
    record = RunRecord(
      run=len(records),
      seed=int(seed),
      fold=fold,
      setting=setting,
      unseen=tuple(unseen),
      samples=(),
      memory=(),
      pool=_unlabelled_pool(config, rows, fold),
    )
    if record.unseen:
      record = _hold_out_unseen(config, corpus, record)
    if not config.unlabelled.per_class:
      record = _limit_pool(config, record)
    records.append(record)
  return tuple(records)


def _settings(config: ml_collections.ConfigDict) -> list[Setting]:
  """Combines the swept values into settings, the last key fastest."""
  swept: dict[str, list[float] | list[str]] = {}
  for key in _NUMBERS:
    if values := _swept_numbers(config, key):
      swept[key] = values
  if words := _swept_words(config):
    swept["words"] = words
  if subsets := _swept_modalities(config):
    swept["modalities"] = subsets
  return [
    dict(zip(swept, values, strict=True))
    for values in itertools.product(*swept.values())
  ]


def _swept_numbers(config: ml_collections.ConfigDict, key: str) -> list[float]:
  """Reads the swept values of a key of numbers."""
  values = tuple(config.sweep[key])
  if len(set(values)) < len(values):
    raise errors.UserError(
      f"config.sweep.{key} is {values}, expected different numbers"
    )
  return [float(value) for value in values]


def _swept_words(config: ml_collections.ConfigDict) -> list[str]:
  """Reads the swept word forms of the emotions."""
  words = tuple(config.sweep.words)
  wrong = [value for value in words if not isinstance(value, str)]
  if wrong or len(set(words)) < len(words):
    raise errors.UserError(
      f"config.sweep.words is {words}, expected different texts"
      ' "emotion=word,..."; "" is the words of the shards'
    )
  return list(words)


def _swept_modalities(config: ml_collections.ConfigDict) -> list[str]:
  """Reads the swept subsets of the modalities, each as `lexical+acoustic`."""
  subsets = tuple(config.sweep.modalities)
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
  return ["+".join(subset) for subset in subsets]


def pick(
  config: ml_collections.ConfigDict, record: RunRecord, logits: np.ndarray
) -> RunRecord:
  """Balances a run's unlabelled rows by what a classifier takes them for.

  Rows for which it predicts no finite number are left out, and counted.

  Args:
    config: With how many of each class, and how many in all.
    record: With the whole pool.
    logits: (n, k) of the rows of the pool.
  """
  finite = np.isfinite(logits).all(axis=-1)
  if not finite.all():
    logging.warning(
      "%s: %d of %d unlabelled utterances are left out: the prediction for"
      " them is not finite",
      record.describe(),
      np.count_nonzero(~finite),
      len(finite),
    )
  pool, classes = record.pool[finite], logits[finite].argmax(axis=-1)
  if not len(pool):
    return record._replace(pool=pool)
  names, counts = np.unique(classes, return_counts=True)
  logging.info(
    "%s: %d unlabelled utterances by predicted class: %s",
    record.describe(),
    len(classes),
    dict(zip(names.tolist(), counts.tolist(), strict=True)),
  )
  stream = zlib.crc32(b"balance_unlabelled")
  rows = unlabelled.balance(
    pool,
    classes,
    per_class=config.unlabelled.per_class,
    rng=np.random.default_rng([record.seed, stream]),
  )
  return _limit_pool(config, record._replace(pool=rows))


def _limit_pool(
  config: ml_collections.ConfigDict, record: RunRecord
) -> RunRecord:
  """Keeps as many unlabelled rows as the run may have; more hold fewer."""
  count = int(record.setting.get("unlabelled", config.unlabelled.count))
  if count < 0:
    return record
  stream = zlib.crc32(b"limit_unlabelled")
  rng = np.random.default_rng([record.seed, stream])
  return record._replace(pool=rng.permutation(record.pool)[:count])


def _unlabelled_pool(
  config: ml_collections.ConfigDict, rows: partition.Rows, fold: partition.Fold
) -> np.ndarray:
  """Selects the unlabelled rows that a fold may use."""
  if not config.unlabelled.use:
    return np.zeros(0, np.int64)
  pool = unlabelled.pool(rows, fold)
  if not len(pool):
    raise errors.UserError(
      f"config.unlabelled.use is True, but fold {fold.name} has no unlabelled"
      " utterance outside of what it holds out; use shards with unlabelled"
      " rows, or set it to False"
    )
  return pool


def _check_unseen(
  config: ml_collections.ConfigDict, corpus: corpus_lib.Corpus
) -> None:
  """Refuses left-out emotions that the shards or the few-shot method lack."""
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


def _hold_out_unseen(
  config: ml_collections.ConfigDict,
  corpus: corpus_lib.Corpus,
  record: RunRecord,
) -> RunRecord:
  """Takes the unseen emotions from the training rows; draws their samples.

  Rows with an unseen emotion leave the training side alone: validation and
  test stay whole (Dai et al. 2020, section 6.3; their code drops them from
  every side).
  """
  rows = record.fold.train
  columns = [corpus.emotions.index(name) for name in record.unseen]
  source = rows[~(corpus.labels[rows][:, columns] > 0).any(axis=1)]
  if not len(source):
    raise errors.UserError(
      f"fold {record.fold.name} has no training utterance without"
      f" {', '.join(record.unseen)}; choose other config.protocol.unseen"
    )
  record = record._replace(fold=record.fold._replace(train=source))
  if config.few_shot.method == "none":
    return record
  samples = tuple(
    few_shot.sample(
      corpus.labels[:, column],
      rows,
      share=config.few_shot.share,
      emotion=name,
      rng=_generator(record.seed, "few_shot", stage),
    )
    for stage, (name, column) in enumerate(
      zip(record.unseen, columns, strict=True), 1
    )
  )
  record = record._replace(samples=samples)
  if config.few_shot.method != "gem":
    return record
  return record._replace(memory=_memory(config, corpus.labels, record, columns))


def _memory(
  config: ml_collections.ConfigDict,
  labels: np.ndarray,
  record: RunRecord,
  unseen: Sequence[int],
) -> tuple[np.ndarray, ...]:
  """Draws the rows of the past tasks that each later stage of GEM keeps.

  Args:
    config: With how many, and what a task is.
    labels: (n, k) of the corpus.
    record: With the source's training rows and the samples.
    unseen: The columns of the emotions of the later stages.
  """
  count, stages = len(labels), 1 + len(record.samples)
  source, settings = record.fold.train, config.few_shot
  past = [source]
  if settings.memory_tasks == "per_emotion":
    past = [
      (stages + column) * count
      + few_shot.balanced(
        labels[:, column], source, _generator(record.seed, "balance", column)
      )
      for column in range(labels.shape[1])
      if column not in unseen
    ]
  memory = []
  for stage, sample in enumerate(record.samples, 1):
    memory.append(
      few_shot.memory(
        past,
        size=settings.memory,
        slots=few_shot.slots(config.training.batch_size, settings.memory),
        rng=_generator(record.seed, "memory", stage),
      )
    )
    past = [*past, sample + stage * count]
  return tuple(memory)


def _generator(seed: int, stream: str, number: int) -> np.random.Generator:
  """Seeds the draws of one purpose, for one stage or emotion of a run."""
  return np.random.default_rng([seed, zlib.crc32(stream.encode()), number])
