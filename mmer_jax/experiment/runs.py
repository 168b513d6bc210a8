"""Makes the arrays of settings that the runs of a program differ in."""

import hashlib
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import normalise, partition, word_vectors
from mmer_jax.experiment import records as records_lib
from mmer_jax.systems import interface


def make_runs(
  config: ml_collections.ConfigDict,
  corpus: corpus_lib.Corpus,
  records: Sequence[records_lib.RunRecord],
) -> interface.RunSettings:
  """Collects the settings of every run; all statistics are of training rows."""

  def values(key: str) -> np.ndarray:
    default = config.optimizer[key]
    return np.asarray(
      [record.setting.get(key, default) for record in records], np.float32
    )

  known, weight = _labels(config, corpus, records)
  mean, scale = _normalisation(config, corpus, records)
  return interface.RunSettings(
    seed=np.asarray([record.seed for record in records], np.uint32),
    fold=np.asarray([record.fold.number for record in records], np.int32),
    learning_rate=values("learning_rate"),
    weight_decay=values("weight_decay"),
    clip_norm=values("clip_norm"),
    known=known,
    class_weight=weight,
    mean=mean,
    scale=scale,
    vectors=_vectors(config, corpus, records),
    keep=_keep(config, records),
    **_ratings(config, corpus, records),
  )


def _ratings(
  config: ml_collections.ConfigDict,
  corpus: corpus_lib.Corpus,
  records: Sequence[records_lib.RunRecord],
) -> dict[str, np.ndarray]:
  """Computes mean and deviation of the ratings that each run is trained on."""
  if config.protocol.decision != "regression":
    return {}
  shape = (len(records), len(corpus.emotions))
  mean, scale = np.zeros(shape), np.ones(shape)
  if config.loss.standardise_ratings:
    for row, record in enumerate(records):
      values = corpus.labels[record.fold.train].astype(np.float64)
      mean[row], scale[row] = values.mean(axis=0), values.std(axis=0)
  return {
    "rating_mean": mean.astype(np.float32),
    "rating_scale": scale.astype(np.float32),
  }


def _labels(
  config: ml_collections.ConfigDict,
  corpus: corpus_lib.Corpus,
  records: Sequence[records_lib.RunRecord],
) -> tuple[np.ndarray, np.ndarray]:
  """Finds which labels the rows of each run have and what they weigh.

  Returns:
    `known` and `class_weight` of the runs, both (r, s, k).
  """
  knowns, weights = [], []
  for record in records:
    weight = class_weight(
      corpus.labels[record.fold.train],
      decision=config.protocol.decision,
      balanced=config.loss.class_weight == "balanced"
      and config.protocol.decision != "regression",
    )
    known, weight = _roles(corpus.emotions, record, weight)
    knowns.append(known)
    weights.append(weight)
  return np.stack(knowns), np.stack(weights)


def _normalisation(
  config: ml_collections.ConfigDict,
  corpus: corpus_lib.Corpus,
  records: Sequence[records_lib.RunRecord],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Computes what each run subtracts from and multiplies its features by.

  Returns:
    Modality name to (r, d), of the modalities that are normalised.
  """
  mean: dict[str, np.ndarray] = {}
  scale: dict[str, np.ndarray] = {}
  for modality in config.data.normalise:
    if modality not in config.data.modalities:
      continue
    # Runs of one fold share their training rows.
    by_rows: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    statistics = []
    for record in records:
      key = record.fold.train.tobytes()
      if key not in by_rows:
        by_rows[key] = _statistics(config, corpus, record.fold, modality)
      statistics.append(by_rows[key])
    mean[modality] = np.stack([each[0] for each in statistics]).astype(
      np.float32
    )
    scale[modality] = np.stack(
      [normalise.inverse_deviation(*each) for each in statistics]
    ).astype(np.float32)
  return mean, scale


def _vectors(
  config: ml_collections.ConfigDict,
  corpus: corpus_lib.Corpus,
  records: Sequence[records_lib.RunRecord],
) -> np.ndarray:
  """Collects each run's word vectors: the shards', or those of other words."""
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


def vectors_digest(vectors: np.ndarray) -> str:
  """Digests the emotions' word vectors of all runs (SHA-256)."""
  return hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()


def _keep(
  config: ml_collections.ConfigDict, records: Sequence[records_lib.RunRecord]
) -> dict[str, np.ndarray]:
  """Says which modalities each run sees; empty where all see all."""
  if not config.sweep.modalities:
    return {}
  kept = [str(record.setting["modalities"]).split("+") for record in records]
  return {
    modality: np.asarray([modality in names for names in kept])
    for modality in config.data.modalities
  }


def _roles(
  emotions: Sequence[str], record: records_lib.RunRecord, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Lists the labels that the rows of each role have, and what they weigh.

  The roles are those of `RunSettings.known`. A sample has as many positives as
  negatives, so that its weights are 1.

  Returns:
    Both (s, k).
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
) -> np.ndarray:
  """Computes weights against imbalance from the labels of the training rows.

  `"binary"`: negatives / positives of each emotion, the `pos_weight` of
  Dai et al.'s code. `"softmax"`: n / (k n_c), scikit-learn's "balanced".

  Args:
    labels: (n, k).
    decision: `"binary"` or `"softmax"`.
    balanced: If not, ones.

  Returns:
    (k,) float32; 1 for an emotion without a positive.
  """
  count, positive = len(labels), labels.sum(axis=0)
  if not balanced:
    return np.ones(labels.shape[1], np.float32)
  safe = np.maximum(positive, 1)
  weight = (
    (count - positive) / safe
    if decision == "binary"
    else count / (labels.shape[1] * safe)
  )
  # An emotion that every row has would get weight 0 and never be learnt.
  weight = np.where((positive == 0) | (weight == 0), 1.0, weight)
  return weight.astype(np.float32)


def _statistics(
  config: ml_collections.ConfigDict,
  corpus: corpus_lib.Corpus,
  fold: partition.Fold,
  modality: str,
) -> tuple[np.ndarray, np.ndarray]:
  """Reads or computes mean and deviation of a fold's training rows."""
  in_manifest = corpus.manifest["normalisation"]
  same_rows = (
    config.protocol.split == "corpus"
    and config.protocol.train == "train"
    # Otherwise a part of the training split validates.
    and config.protocol.validation != ""
  )
  if in_manifest is not None and same_rows and modality in in_manifest:
    return (
      np.asarray(in_manifest[modality]["mean"]),
      np.asarray(in_manifest[modality]["std"]),
    )
  return normalise.statistics(corpus.table, fold.train, modality)
