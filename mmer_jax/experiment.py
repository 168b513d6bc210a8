"""A config and a shard folder made into runs: what every verb starts from."""

import contextlib
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from mmer_jax import (
  errors,
  layout,
  metrics,
  program,
  robustness,
  systems,
  training,
)
from mmer_jax.data import few_shot, negatives, pipeline, schema, unlabelled

# Keys that do not change what a run computes (beyond rounding): a workdir
# may be resumed, and its results compared, with other values of them.
PLACEMENT_KEYS = ("benchmark", "checkpoint", "mesh")
# Where files lie.
_PATHS = {"data": ("dir", "word_vectors"), "unlabelled": ("dir",)}


class Experiment(NamedTuple):
  """Everything between a config and a compiled program.

  Attributes:
    config: Locked.
    corpus: The shards, read.
    system: The paper.
    rules: What the runs share.
    records: The runs, in the order of the runs axis.
    runs: Their settings, (r, ...) NumPy arrays.
    mesh: Where they are computed.
  """

  config: ml_collections.ConfigDict
  corpus: pipeline.Corpus
  system: training.System
  rules: training.Rules
  records: tuple[layout.RunRecord, ...]
  runs: training.Runs
  mesh: jax.sharding.Mesh

  @property
  def source(self) -> Any:
    """What compiled functions gather from: see `program.Program`."""
    if self.config.data.resident:
      return program.place(self.corpus.table.batch, self.mesh)
    return ()

  def section(self, number: int) -> ml_collections.ConfigDict:
    """The part of the config that says how long a stage trains."""
    return self.config[self.system.stages[number].section]

  def program(
    self, number: int, keep: Sequence[str] | None = None
  ) -> program.Program:
    """The compiled functions of a stage."""
    section = self.section(number)
    rules = self.rules._replace(
      early_stopping=section.early_stopping,
      select=section.select or self.config.training.select,
    )
    return program.build(
      self.system,
      number,
      rules,
      self.mesh,
      resident=self.config.data.resident,
      keep=keep,
      front=robustness.make_front(self.config),
    )

  def feed(self, chunks: Iterator[np.ndarray]) -> Iterator[Any]:
    """Turns row numbers (r, s, b) into what compiled functions take."""

    def make(rows: np.ndarray) -> Any:
      fed = rows if self.config.data.resident else self.corpus.table.take(rows)
      return program.place(fed, self.mesh, "runs", None, "data")

    return pipeline.prefetch(chunks, make)

  def stage_rows(self, record: layout.RunRecord, number: int) -> np.ndarray:
    """The rows that a run trains on in a stage, with their roles."""
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
    self, record: layout.RunRecord, number: int, epoch: int
  ) -> np.ndarray:
    """The rows of a run's epoch, (steps, width).

    Behind the rows of a batch come what its stage wants there: a memory, or
    unlabelled rows, or those of the next batch, or negatives.
    """
    batches = pipeline.epoch_rows(
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
      batches = unlabelled.beside(
        batches, record.pool, seed=record.seed, stage=number, epoch=epoch
      )
    if stage.following:
      following = np.roll(batches, -1, axis=0)
      batches = np.concatenate([batches, following], axis=1)
    if stage.negatives is not None:
      batches = negatives.beside(
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
    """The rows of a split of every run, in order, as (r, s, b)."""
    return self._stack([getattr(record.fold, split) for record in self.records])

  def pool(self) -> np.ndarray:
    """The unlabelled rows of every run, in order, as (r, s, b)."""
    return self._stack([record.pool for record in self.records])

  def picked(self, logits: np.ndarray) -> "Experiment":
    """Balances the unlabelled rows by what a stage predicts for `pool`.

    Args:
      logits: (r, n, k) of the rows of `pool`, fillers included.
    """
    classes = logits.argmax(axis=-1)
    records = tuple(
      layout.pick(self.config, record, classes[record.run][: len(record.pool)])
      for record in self.records
    )
    return self._replace(records=records)

  def _stack(self, rows: Sequence[np.ndarray]) -> np.ndarray:
    size = self.config.training.batch_size
    return pipeline.stack_runs(
      [pipeline.in_batches(each, size) for each in rows]
    )


def build(
  config: ml_collections.ConfigDict,
  lacking: pipeline.Lacking | None = None,
) -> Experiment:
  """Reads the shards and lays out the runs of a config.

  Args:
    config: Of `configs/`.
    lacking: As of `pipeline.load`.

  Raises:
    UserError: The config does not fit itself or the shards.
  """
  rules = make_rules(config)
  check_positive(config)
  robustness.check(config)
  system = build_system(config)
  if not config.data.dir:
    raise errors.UserError(
      "config.data.dir is empty, expected a shard folder; convert a corpus"
      " with `python -m data_prep.convert` and pass --config.data.dir=DIR"
    )
  corpus = load_corpus(config, lacking)
  # What a system refuses, it refuses here: before anything is written.
  with _naming_keys(config):
    jax.eval_shape(
      system.init,
      jax.random.key(0),
      sample_batch(config, corpus),
      corpus.vectors,
    )
  records = layout.make_records(config, corpus)
  runs = layout.make_runs(config, corpus, records)
  if system.open_vocabulary:
    layout.check_vectors(corpus.emotions, runs.vectors)
  mesh = program.make_mesh(
    len(records),
    config.training.batch_size,
    over_runs=config.mesh.runs,
    over_data=config.mesh.data,
  )
  return Experiment(
    config=config,
    corpus=corpus,
    system=system,
    rules=rules,
    records=records,
    runs=runs,
    mesh=mesh,
  )


def load_corpus(
  config: ml_collections.ConfigDict,
  lacking: pipeline.Lacking | None = None,
) -> pipeline.Corpus:
  """Reads the shards that `config.data` and `config.unlabelled` name.

  Args:
    config: Of `configs/`.
    lacking: As of `pipeline.load`.

  Raises:
    UserError: A folder is not as the config says, or the unlabelled shards
      are not of the same features.
  """
  resident = config.data.resident
  corpus = pipeline.load(
    config.data.dir,
    modalities=config.data.modalities,
    emotions=config.data.emotions,
    max_length=config.data.max_length.to_dict(),
    resident=resident,
    decision=config.protocol.decision,
    without_emotion=config.data.without_emotion,
    lacking=lacking,
  )
  if not (config.unlabelled.use and config.unlabelled.dir):
    return corpus
  other = pipeline.load(
    config.unlabelled.dir,
    modalities=config.data.modalities,
    emotions=(),
    max_length=config.data.max_length.to_dict(),
    resident=resident,
    # Whatever their labels are, they are not looked at.
    decision="binary",
    without_emotion="negative",
  )
  return unlabelled.join(corpus, other, resident=resident)


def build_system(config: ml_collections.ConfigDict) -> training.System:
  """Looks the config's system up."""
  if config.system not in systems.SYSTEMS:
    raise errors.UserError(
      f"config.system is {config.system!r}, expected one of"
      f" {', '.join(sorted(systems.SYSTEMS))}"
    )
  for modality in config.data.modalities:
    if modality not in schema.MODALITIES:
      raise errors.UserError(
        f"config.data.modalities names {modality!r}, expected some of"
        f" {', '.join(schema.MODALITIES)}"
      )
  with _naming_keys(config, KeyError):
    return systems.SYSTEMS[config.system](config)


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


def make_rules(config: ml_collections.ConfigDict) -> training.Rules:
  """Checks and collects what all runs share."""
  choices = (
    ("protocol.decision", config.protocol.decision, ("binary", "softmax")),
    (
      "data.without_emotion",
      config.data.without_emotion,
      ("negative", "unlabelled"),
    ),
    ("loss.class_weight", config.loss.class_weight, ("balanced", "none")),
    ("compute_dtype", config.compute_dtype, ("float32", "bfloat16")),
    (
      "few_shot.method",
      config.few_shot.method,
      ("none", "fine_tune", "joint", "gem"),
    ),
    (
      "few_shot.memory_tasks",
      config.few_shot.memory_tasks,
      ("one", "per_emotion"),
    ),
    ("few_shot.optimizer", config.few_shot.optimizer, training.OPTIMIZERS),
  )
  for key, value, expected in choices:
    if value not in expected:
      raise errors.UserError(
        f"config.{key} is {value!r}, expected one of {', '.join(expected)}"
      )
  if config.protocol.unseen and config.protocol.decision != "binary":
    raise errors.UserError(
      "config.protocol.unseen leaves emotions out, which needs one decision"
      f" per emotion, got config.protocol.decision"
      f' {config.protocol.decision!r}; set it to "binary"'
    )
  metrics.check_selectable("training.select", config.training.select)
  if config.few_shot.select not in ("", "last"):
    metrics.check_selectable("few_shot.select", config.few_shot.select)
  curve_thresholds = tuple(config.training.curve_thresholds)
  if curve_thresholds and config.protocol.decision != "binary":
    raise errors.UserError(
      "config.training.curve_thresholds are of binary decisions, got"
      f" config.protocol.decision {config.protocol.decision!r}; set them to ()"
    )
  return training.Rules(
    decision=config.protocol.decision,
    threshold=config.protocol.threshold,
    select=config.training.select,
    factor=config.schedule.factor,
    patience=config.schedule.patience,
    early_stopping=config.training.early_stopping,
    curve_thresholds=curve_thresholds,
  )


def check_positive(config: ml_collections.ConfigDict) -> None:
  """Refuses counts that would train nothing."""
  for key in ("batch_size", "epochs", "steps_per_dispatch"):
    if config.training[key] < 1:
      raise errors.UserError(
        f"config.training.{key} is {config.training[key]}, expected at least 1"
      )
  for section, key in (
    ("checkpoint", "every_epochs"),
    ("checkpoint", "keep"),
    ("few_shot", "epochs"),
    ("few_shot", "memory"),
  ):
    if config[section][key] < 1:
      raise errors.UserError(
        f"config.{section}.{key} is {config[section][key]}, expected at least 1"
      )
  if not 0 < config.few_shot.share <= 1:
    raise errors.UserError(
      f"config.few_shot.share is {config.few_shot.share}, expected a share of"
      " the positives above 0, 1 at most"
    )
  if not config.seeds or len(set(config.seeds)) < len(config.seeds):
    raise errors.UserError(
      f"config.seeds is {tuple(config.seeds)}, expected different seeds, one at"
      " least"
    )


def sample_batch(
  config: ml_collections.ConfigDict, corpus: pipeline.Corpus
) -> schema.Batch:
  """The first utterances, for shapes: parameters do not depend on them."""
  rows = np.zeros(config.training.batch_size, np.int32)
  return corpus.table.take(rows)


def digest(config: ml_collections.ConfigDict) -> str:
  """SHA-256 of what a config computes: no folders, devices or bookkeeping."""
  content = comparable(json.loads(config.to_json()))
  text = json.dumps(content, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()


def comparable(config: dict[str, Any]) -> dict[str, Any]:
  """A config as JSON without the keys that may differ between two calls."""
  kept = {k: v for k, v in config.items() if k not in PLACEMENT_KEYS}
  for section, paths in _PATHS.items():
    # An older version's may lack one: a difference like any other.
    if section not in config:
      continue
    other = (*paths, "resident")
    kept[section] = {k: v for k, v in config[section].items() if k not in other}
  return kept


def fix_paths(config: ml_collections.ConfigDict) -> None:
  """Makes the paths absolute, so that a workdir can be moved about."""
  for section, keys in _PATHS.items():
    for key in keys:
      path = config[section][key]
      if path:
        with config.unlocked():
          config[section][key] = str(pathlib.Path(path).absolute())


def as_device(runs: training.Runs, mesh: jax.sharding.Mesh) -> training.Runs:
  """Lays the settings over the mesh's runs axis."""
  return program.place(runs, mesh, "runs")
