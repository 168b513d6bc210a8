"""Reads a shard folder for one config: labels, texts and features."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from mmer_jax.base import errors
from mmer_jax.data import duplicates, padding, schema, shards, tables, tfrecord
from mmer_jax.data import identity as identity_lib
from mmer_jax.data import manifest as manifest_lib

_TEXTS = ("id", "speaker", "session", "dialogue", "split")


class AssumedShapes(NamedTuple):
  """Describes what shards may lack, because a model was trained with it.

  Attributes:
    shapes: Modality name to (frames, columns). One that the shards do not hold
      is absent from every utterance. Where they do not say which word a frame
      is in, it is in none.
    vectors: Word vectors of the emotions, (k, e), where the shards hold none.
  """

  shapes: dict[str, tuple[int, int]]
  vectors: np.ndarray


class Corpus(NamedTuple):
  """Holds a shard folder, read for one config.

  Attributes:
    manifest: The folder's manifest, as `data_prep.convert` wrote it.
    emotions: Names, in the order of the columns of `labels`.
    vectors: One word vector per emotion; (k, 0) where the shards hold none.
    columns: `id speaker session dialogue split`, each (n,) text.
    labels: (n, k) float32, 1 where present.
    labelled: (n,) bool.
    present: Modality name to (n,) bool.
    shapes: Modality name to (frames, columns) of the padded features.
    table: The features.
    dataset: Name and fingerprint of the shards, for results; and, as
      `unlabelled`, those of shards of unlabelled rows behind them.
    identity: What the features mean, see `data.identity`.
    digests: For each utterance those of its text and of its features, see
      `data.duplicates`.
    rating_names: The ratings beside the emotions, in the order of the columns
      of `ratings`; empty where the shards have none.
    rating_ranges: The lowest and the highest value of each rating's scale.
    ratings: (n, q) float32, NaN where a rating was not given; None where the
      shards have none.
  """

  manifest: dict[str, Any]
  emotions: tuple[str, ...]
  vectors: np.ndarray
  columns: dict[str, np.ndarray]
  labels: np.ndarray
  labelled: np.ndarray
  present: dict[str, np.ndarray]
  shapes: dict[str, tuple[int, int]]
  table: tables.Table
  dataset: dict[str, Any]
  identity: identity_lib.Identity = {}  # noqa: RUF012
  digests: tuple[dict[str, bytes], ...] = ()
  rating_names: tuple[str, ...] = ()
  rating_ranges: tuple[tuple[float, float], ...] = ()
  ratings: np.ndarray | None = None


def load_corpus(
  directory: str,
  *,
  modalities: Sequence[str],
  emotions: Sequence[str],
  max_length: dict[str, int],
  resident: bool,
  decision: str,
  without_emotion: str,
  assumed: AssumedShapes | None = None,
  expected: identity_lib.Identity | None = None,
) -> Corpus:
  """Reads a shard folder; every record's checksum is verified.

  Args:
    directory: The shard folder.
    modalities: The streams to read.
    emotions: The label columns to use, in this order; empty for all.
    max_length: Modality name to the longest sequence; 0 for the corpus's.
    resident: Whether features are kept in memory; if not, they stream.
    decision: `"softmax"` makes rows without any of `emotions` unlabelled.
    without_emotion: Under `"binary"`, such a row is `"negative"` of them all or
      `"unlabelled"`.
    assumed: What is made up where the shards do not have it; None for nothing.
    expected: The identity to compare with, whose order columns are put in.

  Raises:
    UserError: The folder, an emotion or a modality is not as the config says,
      or the features are not those expected.
  """
  folder = pathlib.Path(directory)
  manifest = manifest_lib.load_manifest(folder)
  identity = identity_lib.of_shards(folder, manifest)
  orders = _column_orders(manifest, folder, modalities, identity, expected)
  manifest = identity_lib.reorder(manifest, orders)
  pad = padding.Padding(
    manifest,
    modalities,
    max_length,
    absent=_absent_modalities(manifest, folder, modalities, assumed),
    assume_words=assumed is not None,
    orders=orders,
  )
  names = tuple(emotions) or tuple(manifest["emotions"])
  rows = _read_rows(folder, pad, _places(manifest, folder, names), resident)
  labelled = _labelled(folder, rows, decision, without_emotion)
  return Corpus(
    manifest=manifest,
    emotions=names,
    vectors=_vectors(folder, names, assumed),
    labelled=labelled,
    shapes={m: (pad.lengths[m], pad.dims[m]) for m in modalities},
    table=_table(folder, pad, rows, labelled, resident),
    dataset={key: manifest[key] for key in ("name", "fingerprint")},
    identity=identity_lib.in_order(identity, orders),
    **_rows_fields(manifest, rows),
  )


def _rows_fields(manifest: dict[str, Any], rows: "_Rows") -> dict[str, Any]:
  """Returns the fields of a corpus that stay as they were read."""
  scales = manifest.get("ratings", [])
  return {
    "columns": rows.texts,
    "labels": rows.labels,
    "present": rows.present,
    "digests": tuple(rows.digests),
    "ratings": rows.ratings,
    "rating_names": tuple(scale["name"] for scale in scales),
    "rating_ranges": tuple((scale["low"], scale["high"]) for scale in scales),
  }


def _column_orders(
  manifest: dict[str, Any],
  folder: pathlib.Path,
  modalities: Sequence[str],
  identity: identity_lib.Identity,
  expected: identity_lib.Identity | None,
) -> dict[str, list[int]]:
  """Finds the columns that are expected; refuses features of another kind."""
  if expected is None:
    return {}
  return identity_lib.check(
    identity,
    expected,
    [name for name in modalities if name in manifest["modalities"]],
    where=f"the shards in {folder}",
    fix="convert them in the same way as those of the training",
  )


def _absent_modalities(
  manifest: dict[str, Any],
  folder: pathlib.Path,
  modalities: Sequence[str],
  assumed: AssumedShapes | None,
) -> dict[str, tuple[int, int]]:
  """Names the modalities that no utterance has, with their assumed shapes."""
  if not modalities:
    raise errors.UserError(
      "config.data.modalities is empty, expected at least one of"
      f" {', '.join(manifest['modalities'])}"
    )
  absent = {}
  for modality in modalities:
    if modality in manifest["modalities"]:
      continue
    if assumed is None or modality not in assumed.shapes:
      raise errors.UserError(
        f"config.data.modalities names {modality!r}, but {folder} holds"
        f" {', '.join(manifest['modalities'])}; set config.data.modalities"
      )
    logging.info("%s holds no %s: no utterance has it", folder, modality)
    absent[modality] = assumed.shapes[modality]
  return absent


def _places(
  manifest: dict[str, Any], folder: pathlib.Path, emotions: Sequence[str]
) -> list[int]:
  """Finds the emotions among the label columns of the shards."""
  for emotion in emotions:
    if emotion not in manifest["emotions"]:
      raise errors.UserError(
        f"config.data.emotions names {emotion!r}, but {folder} holds"
        f" {', '.join(manifest['emotions'])}"
      )
  return [manifest["emotions"].index(emotion) for emotion in emotions]


class _Rows(NamedTuple):
  """Holds what one pass over the shards has read.

  Attributes:
    texts: `id speaker session dialogue split`, each (n,) text.
    labels: (n, k) float32.
    labelled: (n,) bool.
    ratings: (n, q) float32; None where the shards have none.
    locations: The place of each record in the shards.
    digests: What tells whether two utterances are the same.
    present: Modality name to (n,) bool.
    streams: Modality name to padded features; {} where they stream.
    words: (n, t) word of each acoustic frame; None where not known or read.
  """

  texts: dict[str, np.ndarray]
  labels: np.ndarray
  labelled: np.ndarray
  ratings: np.ndarray | None
  locations: list[tfrecord.Location]
  digests: list[dict[str, bytes]]
  present: dict[str, np.ndarray]
  streams: dict[str, schema.Stream]
  words: np.ndarray | None


def _read_rows(
  folder: pathlib.Path,
  pad: padding.Padding,
  label_columns: list[int],
  keep_features: bool,
) -> _Rows:
  """Reads every record of a folder, in the order of the shards."""
  texts: dict[str, list[str]] = {key: [] for key in _TEXTS}
  labels, labelled, ratings, locations, digests = [], [], [], [], []
  features = _FeatureBuffer(pad, keep_features)
  for location, example in shards.read_examples(folder):
    for key, values in texts.items():
      values.append(str(example[key]))
    labels.append(example["labels"][label_columns])
    labelled.append(bool(example["labelled"]))
    ratings += [example["ratings"]] if "ratings" in example else []
    locations.append(location)
    own = [name for name in pad.dims if name in example]
    digests.append(duplicates.keys_of(example, own))
    features.add(example)
  if not labels:
    raise errors.UserError(f"{folder} holds no example; convert it again")
  features.flush()
  _log_truncated(pad, len(labels))
  streams, words = features.joined() if keep_features else ({}, None)
  return _Rows(
    texts={key: np.asarray(values) for key, values in texts.items()},
    labels=np.asarray(labels, np.float32),
    labelled=np.asarray(labelled, bool),
    ratings=np.asarray(ratings, np.float32) if ratings else None,
    locations=locations,
    digests=digests,
    present={m: np.asarray(flags) for m, flags in features.present.items()},
    streams=streams,
    words=words,
  )


class _FeatureBuffer:
  """Pads examples block by block; keeps the features, or only presence.

  Attributes:
    present: Modality name to whether each utterance has it.
  """

  def __init__(self, pad: padding.Padding, keep: bool):
    self._pad = pad
    self._keep = keep
    self._wanted = (*pad.dims, "acoustic_word")
    self._pending: list[dict[str, np.ndarray]] = []
    self._streams: list[dict[str, schema.Stream]] = []
    self._words: list[np.ndarray] = []
    self.present: dict[str, list[bool]] = {m: [] for m in pad.dims}

  def add(self, example: dict[str, Any]) -> None:
    """Takes one example; pads a block once it is full."""
    self._pending.append(
      {key: example[key] for key in self._wanted if key in example}
    )
    if len(self._pending) == tables.PASS_ROWS:
      self.flush()

  def flush(self) -> None:
    """Pads the examples that wait."""
    if not self._pending:
      return
    streams = self._pad(self._pending)
    for modality, flags in self.present.items():
      flags.extend(streams[modality].mask.any(axis=1).tolist())
    if self._keep:
      self._streams.append(streams)
      words = self._pad.words(self._pending)
      if words is not None:
        self._words.append(words)
    self._pending.clear()

  def joined(self) -> tuple[dict[str, schema.Stream], np.ndarray | None]:
    """Joins the padded blocks of streams, and of words of frames."""
    streams = {
      modality: schema.Stream(
        np.concatenate([block[modality].features for block in self._streams]),
        np.concatenate([block[modality].mask for block in self._streams]),
      )
      for modality in self.present
    }
    return streams, np.concatenate(self._words) if self._words else None


def _log_truncated(pad: padding.Padding, count: int) -> None:
  for modality, truncated in pad.truncated.items():
    if truncated:
      logging.info(
        "%s: %d of %d utterances are longer than %d frames; the rest is cut",
        modality,
        truncated,
        count,
        pad.lengths[modality],
      )


def _labelled(
  folder: pathlib.Path, rows: _Rows, decision: str, without_emotion: str
) -> np.ndarray:
  """Tells which rows are labelled, under the decision of the config."""
  several = rows.labelled & (rows.labels.sum(axis=1) > 1)
  if decision == "softmax" and several.any():
    raise errors.UserError(
      f"{folder} has {several.sum()} utterances with several emotions,"
      ' but config.protocol.decision is "softmax", which expects one; use'
      ' "binary"'
    )
  if decision == "softmax" or without_emotion == "unlabelled":
    return rows.labelled & rows.labels.any(axis=1)
  return rows.labelled


def _table(
  folder: pathlib.Path,
  pad: padding.Padding,
  rows: _Rows,
  labelled: np.ndarray,
  resident: bool,
) -> tables.Table:
  """Makes the table of the features, in memory or read from the shards."""
  if resident:
    words = rows.words
    return tables.ResidentTable(
      schema.make_batch(
        rows.streams, rows.labels, labelled=labelled, acoustic_word=words
      )
    )
  reader = shards.RecordReader(folder)
  return tables.StreamingTable(
    lambda row: reader.read(rows.locations[row]), pad, rows.labels, labelled
  )


def _vectors(
  folder: pathlib.Path, names: Sequence[str], assumed: AssumedShapes | None
) -> np.ndarray:
  """Reads the emotions' word vectors, or takes those that are assumed."""
  vectors = manifest_lib.load_emotion_vectors(folder)
  if vectors is not None:
    rows = [vectors.names.index(name) for name in names]
    return np.asarray(vectors.vectors[rows], np.float32)
  if assumed is not None and len(assumed.vectors) == len(names):
    return assumed.vectors
  return np.zeros((len(names), 0), np.float32)
