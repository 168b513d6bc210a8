"""Shards to batches: what is resident, what streams, and in which order.

Which rows make up which batch is decided here, on the host, from (seed,
stage, epoch) alone: an index per row, -1 where a row only fills the batch. The
resident path gathers those rows inside the compiled program, the streaming
path reads them from the shards; both see the same batches.

Row i in role s is number i + s n, of n utterances: one utterance can take part
with the labels of the source emotions and, drawn into a sample, with that of
a new one.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from mmer_jax.base import errors
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import schema, shards, tables


class AssumedShapes(NamedTuple):
  """What shards may lack, because other shards had it in training.

  Attributes:
    shapes: Modality name to (frames, columns). One that the shards do not hold
      is absent from every utterance. Where they do not say which word a frame
      is in, it is in none.
    vectors: Of the emotions, (k, e), where the shards hold none.
  """

  shapes: dict[str, tuple[int, int]]
  vectors: np.ndarray


class Corpus(NamedTuple):
  """A shard folder, read for one config.

  Attributes:
    manifest: As `data_prep.convert` wrote it.
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


def load_corpus(
  directory: str,
  *,
  modalities: Sequence[str],
  emotions: Sequence[str],
  max_length: dict[str, int],
  resident: bool,
  decision: str,
  without_emotion: str,
  lacking: AssumedShapes | None = None,
) -> Corpus:
  """Reads a shard folder; every record's checksum is verified.

  Args:
    directory: The shard folder.
    modalities: The streams to read.
    emotions: The label columns to use, in this order; empty for all.
    max_length: Modality name to the longest sequence; 0 for the corpus's.
    resident: Whether features are kept in memory. If not, one pass verifies
      the shards and reads what is not a feature; features stream afterwards.
    decision: `"softmax"` makes rows without any of `emotions` unlabelled.
    without_emotion: Under `"binary"`, what such a row is: `"negative"` of them
      all, or `"unlabelled"`.
    lacking: What is made up where the shards do not have it.

  Returns:
    The corpus.

  Raises:
    UserError: The folder, an emotion or a modality is not as the config says.
  """
  manifest = manifest_lib.load_manifest(pathlib.Path(directory))
  absent: dict[str, tuple[int, int]] = {}
  for modality in modalities:
    if modality in manifest["modalities"]:
      continue
    if lacking is None or modality not in lacking.shapes:
      raise errors.UserError(
        f"config.data.modalities names {modality!r}, but {directory} holds"
        f" {', '.join(manifest['modalities'])}; set config.data.modalities"
      )
    logging.info("%s holds no %s: no utterance has it", directory, modality)
    absent[modality] = lacking.shapes[modality]
  if not modalities:
    raise errors.UserError(
      "config.data.modalities is empty, expected at least one of"
      f" {', '.join(manifest['modalities'])}"
    )
  names = tuple(emotions) or tuple(manifest["emotions"])
  for emotion in names:
    if emotion not in manifest["emotions"]:
      raise errors.UserError(
        f"config.data.emotions names {emotion!r}, but {directory} holds"
        f" {', '.join(manifest['emotions'])}"
      )
  columns = [manifest["emotions"].index(emotion) for emotion in names]

  pad = tables.Padding(
    manifest, modalities, max_length, absent if lacking is not None else None
  )
  text: dict[str, list[str]] = {
    key: [] for key in ("id", "speaker", "session", "dialogue", "split")
  }
  labels, labelled, locations = [], [], []
  streams: list[dict[str, schema.Stream]] = []
  words: list[np.ndarray] = []
  present: dict[str, list[bool]] = {modality: [] for modality in modalities}
  pending: list[dict[str, np.ndarray]] = []
  for location, example in shards.read_examples(pathlib.Path(directory)):
    for key, values in text.items():
      values.append(str(example[key]))
    labels.append(example["labels"][columns])
    labelled.append(bool(example["labelled"]))
    locations.append(location)
    kept = (*modalities, "acoustic_word")
    pending.append({key: example[key] for key in kept if key in example})
    if len(pending) == tables.PASS_ROWS:
      tables.flush_buffer(
        pad, pending, present, (streams, words) if resident else None
      )
  tables.flush_buffer(
    pad, pending, present, (streams, words) if resident else None
  )
  if not labels:
    raise errors.UserError(f"{directory} holds no example; convert it again")
  for modality, count in pad.truncated.items():
    if count:
      logging.info(
        "%s: %d of %d utterances are longer than %d frames; the rest is cut",
        modality,
        count,
        len(labels),
        pad.lengths[modality],
      )

  label_array = np.asarray(labels, np.float32)
  labelled_array = np.asarray(labelled, bool)
  if decision == "softmax":
    several = labelled_array & (label_array.sum(axis=1) > 1)
    if several.any():
      raise errors.UserError(
        f"{directory} has {several.sum()} utterances with several emotions,"
        ' but config.protocol.decision is "softmax", which expects one; use'
        ' "binary"'
      )
  if decision == "softmax" or without_emotion == "unlabelled":
    labelled_array = labelled_array & label_array.any(axis=1)
  if resident:
    table = tables.ResidentTable(
      schema.make_batch(
        {
          modality: schema.Stream(
            np.concatenate([part[modality].features for part in streams]),
            np.concatenate([part[modality].mask for part in streams]),
          )
          for modality in modalities
        },
        label_array,
        labelled=labelled_array,
        acoustic_word=np.concatenate(words) if words else None,
      )
    )
  else:
    reader = shards.RecordReader(pathlib.Path(directory))
    table = tables.StreamingTable(
      lambda row: reader.read(locations[row]), pad, label_array, labelled_array
    )
  return Corpus(
    manifest=manifest,
    emotions=names,
    vectors=_vectors(directory, names, lacking),
    columns={key: np.asarray(values) for key, values in text.items()},
    labels=label_array,
    labelled=labelled_array,
    present={m: np.asarray(flags) for m, flags in present.items()},
    shapes={m: (pad.lengths[m], pad.dims[m]) for m in modalities},
    table=table,
    dataset={key: manifest[key] for key in ("name", "fingerprint")},
  )


def _vectors(
  directory: str, names: Sequence[str], lacking: AssumedShapes | None
) -> np.ndarray:
  vectors = manifest_lib.load_emotion_vectors(pathlib.Path(directory))
  if vectors is None and lacking is not None:
    if len(lacking.vectors) == len(names):
      return lacking.vectors
  if vectors is None:
    return np.zeros((len(names), 0), np.float32)
  rows = [vectors.names.index(name) for name in names]
  return np.asarray(vectors.vectors[rows], np.float32)
