"""Which runs a config has: left-out emotions x swept values x folds x seeds."""

import hashlib
import pathlib
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ml_collections
import numpy as np
from absl import logging

from mmer_jax import errors, training
from mmer_jax.data import few_shot, pipeline, splits, unlabelled, word_vectors

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
  config: ml_collections.ConfigDict, corpus: pipeline.Corpus
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
  config: ml_collections.ConfigDict, corpus: pipeline.Corpus
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
  config: ml_collections.ConfigDict, corpus: pipeline.Corpus, record: RunRecord
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


def make_runs(
  config: ml_collections.ConfigDict,
  corpus: pipeline.Corpus,
  records: Sequence[RunRecord],
) -> training.Runs:
  """Collects the settings of every run; all statistics are of training rows."""

  def values(key: str) -> np.ndarray:
    default = config.optimizer[key]
    return np.asarray(
      [record.setting.get(key, default) for record in records], np.float32
    )

  weights, knowns, seen = [], [], set()
  for record in records:
    weight, empty = class_weight(
      corpus.labels[record.fold.train],
      decision=config.protocol.decision,
      balanced=config.loss.class_weight == "balanced",
    )
    for column in empty:
      if corpus.emotions[column] in record.unseen:
        continue
      if (record.fold.name, column) not in seen:
        seen.add((record.fold.name, column))
        logging.info(
          "fold %s has no training utterance of %s: its class weight is 1",
          record.fold.name,
          corpus.emotions[column],
        )
    known, weight = _roles(corpus.emotions, record, weight)
    knowns.append(known)
    weights.append(weight)

  mean: dict[str, np.ndarray] = {}
  scale: dict[str, np.ndarray] = {}
  for modality in config.data.normalise:
    if modality not in config.data.modalities:
      continue
    found: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    rows = []
    for record in records:
      key = record.fold.train.tobytes()
      if key not in found:
        found[key] = _statistics(config, corpus, record.fold, modality)
      rows.append(found[key])
    mean[modality] = np.stack([row[0] for row in rows]).astype(np.float32)
    scale[modality] = np.stack(
      [pipeline.inverse_deviation(*row) for row in rows]
    ).astype(np.float32)
  return training.Runs(
    seed=np.asarray([record.seed for record in records], np.uint32),
    fold=np.asarray([record.fold.number for record in records], np.int32),
    learning_rate=values("learning_rate"),
    weight_decay=values("weight_decay"),
    clip_norm=values("clip_norm"),
    known=np.stack(knowns),
    class_weight=np.stack(weights),
    mean=mean,
    scale=scale,
    vectors=_vectors(config, corpus, records),
    keep=_keep(config, records),
  )


def _vectors(
  config: ml_collections.ConfigDict,
  corpus: pipeline.Corpus,
  records: Sequence[RunRecord],
) -> np.ndarray:
  """The word vectors of every run: the shards', or those of other words."""
  forms = [
    word_vectors.parse_forms(
      [*config.data.words, *str(record.setting.get("words", "")).split(",")],
      corpus.emotions,
    )
    for record in records
  ]
  wanted = {word for form in forms for word in form.values()}
  vectors = np.repeat(corpus.vectors[None], len(records), axis=0)
  if not wanted:
    return vectors
  if not config.data.word_vectors:
    raise errors.UserError(
      "config.data.words or config.sweep.words names"
      f" {', '.join(sorted(wanted))}, but config.data.word_vectors is empty;"
      " set it to a file of word vectors"
    )
  table = word_vectors.read(pathlib.Path(config.data.word_vectors), wanted)
  missing = sorted(wanted - set(table.vectors))
  if missing:
    raise errors.UserError(
      f"{config.data.word_vectors} has no vector for {', '.join(missing)};"
      " choose other words"
    )
  width = corpus.vectors.shape[1]
  if table.dim != width:
    raise errors.UserError(
      f"{config.data.word_vectors} has vectors of {table.dim} dimensions, those"
      f" of the shards have {width}; use the file that the shards were"
      " converted with"
    )
  for run, form in enumerate(forms):
    for emotion, word in form.items():
      vectors[run, corpus.emotions.index(emotion)] = table.vectors[word]
  return vectors


def check_vectors(emotions: Sequence[str], vectors: np.ndarray) -> None:
  """Refuses an emotion whose word vector the shards lack.

  Raises:
    UserError: A row of (r, k, e) is zero throughout.
  """
  for column, emotion in enumerate(emotions):
    if vectors.shape[-1] and not vectors[:, column].any(axis=-1).all():
      raise errors.UserError(
        f"the shards have no word vector for {emotion}, which the system reads"
        f' emotions by; set config.data.words=("{emotion}=WORD",) and'
        " config.data.word_vectors, or choose other config.data.emotions"
      )


def digest(vectors: np.ndarray) -> str:
  """SHA-256 of the word vectors of the runs."""
  return hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()


def _keep(
  config: ml_collections.ConfigDict, records: Sequence[RunRecord]
) -> dict[str, np.ndarray]:
  if not config.sweep.modalities:
    return {}
  kept = [str(record.setting["modalities"]).split("+") for record in records]
  return {
    modality: np.asarray([modality in names for names in kept])
    for modality in config.data.modalities
  }


def _roles(
  emotions: Sequence[str], record: RunRecord, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Which labels the rows of each role have, and what they weigh, (s, k).

  The roles are those of `training.Runs.known`. A sample has as many positives
  as negatives, so that its weights are 1.
  """
  each = np.eye(len(emotions), dtype=bool)
  source = np.asarray([name not in record.unseen for name in emotions])
  new = [emotions.index(name) for name in record.unseen[: len(record.samples)]]
  known = np.concatenate([source[None], each[new], each])
  weights = np.broadcast_to(weight, known.shape).copy()
  weights[1 : 1 + len(new)] = 1.0
  return known, weights


def class_weight(
  labels: np.ndarray, *, decision: str, balanced: bool
) -> tuple[np.ndarray, tuple[int, ...]]:
  """Weights against imbalance, from the labels of the training rows.

  `"binary"`: negatives / positives of each emotion, the `pos_weight` of
  Dai et al.'s code. `"softmax"`: n / (k n_c), scikit-learn's "balanced".

  Args:
    labels: (n, k).
    decision: `"binary"` or `"softmax"`.
    balanced: If not, ones.

  Returns:
    (k,) float32, and the emotions without a positive, whose weight is 1.
  """
  count, positive = len(labels), labels.sum(axis=0)
  if not balanced:
    return np.ones(labels.shape[1], np.float32), ()
  safe = np.maximum(positive, 1)
  weight = (
    (count - positive) / safe
    if decision == "binary"
    else count / (labels.shape[1] * safe)
  )
  empty = tuple(np.flatnonzero(positive == 0).tolist())
  # An emotion that every row has would get weight 0 and never be learnt.
  weight = np.where((positive == 0) | (weight == 0), 1.0, weight)
  return weight.astype(np.float32), empty


def _statistics(
  config: ml_collections.ConfigDict,
  corpus: pipeline.Corpus,
  fold: splits.Fold,
  modality: str,
) -> tuple[np.ndarray, np.ndarray]:
  known = corpus.manifest["normalisation"]
  of_manifest = (
    config.protocol.split == "corpus" and config.protocol.train == "train"
  )
  if known is not None and of_manifest and modality in known:
    return (
      np.asarray(known[modality]["mean"]),
      np.asarray(known[modality]["std"]),
    )
  return pipeline.statistics(corpus.table, fold.train, modality)
