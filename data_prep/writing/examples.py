"""Checks examples of a corpus and encodes them as records."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError

FILE_FORMATS = ("tfrecord", "array_record")


class ExampleChecker:
  """Checks what must hold of every example, whatever the source."""

  def __init__(self, corpus: corpus_lib.Corpus) -> None:
    """Takes the description that examples must agree with."""
    self._corpus = corpus
    self._seen: dict[str, tuple[str, str]] = {}

  def check(self, example: corpus_lib.Example) -> None:
    """Raises a `UserError` that names what is wrong with an example."""
    self._check_id(example)
    self._check_split(example)
    corpus, where = self._corpus, example.where
    for name, frames in example.streams.items():
      at = example.stream_where.get(name, where)
      corpus_lib.check_dim(corpus.modalities[name], name, frames, at)
    if example.labels is not None:
      self._check_labels(example)

  def _check_id(self, example: corpus_lib.Example) -> None:
    where = example.where
    if not example.id:
      raise UserError(f"{where}: the id is empty; every utterance needs one")
    if example.id in self._seen:
      split, first = self._seen[example.id]
      if split != example.split:
        raise UserError(
          f"{where}: id {example.id!r} is in split {example.split!r} and, at"
          f" {first}, in split {split!r}; an utterance has one side"
        )
      raise UserError(
        f"{where}: id {example.id!r} is used at {first} already; ids must be"
        " unique"
      )
    self._seen[example.id] = (example.split, where)

  def _check_split(self, example: corpus_lib.Example) -> None:
    if example.split not in (*corpus_lib.SPLITS, ""):
      raise UserError(
        f"{example.where}: split {example.split!r}, expected one of"
        f" {', '.join(corpus_lib.SPLITS)}; map it in the spec's split_values"
      )

  def _check_labels(self, example: corpus_lib.Example) -> None:
    corpus, where, labels = self._corpus, example.where, example.labels
    if labels.shape != (len(corpus.emotions),):
      raise UserError(
        f"{where}: labels of shape {labels.shape}, expected"
        f" {len(corpus.emotions)} emotions"
      )
    if corpus.label_type == "single" and labels.sum() != 1:
      raise UserError(
        f"{where}: {int(labels.sum())} emotions are present, expected exactly"
        " one in a single-label corpus; declare the corpus multi-label"
      )


def trim(
  corpus: corpus_lib.Corpus, example: corpus_lib.Example
) -> corpus_lib.Example:
  """Removes what is only padding; streams stay aligned.

  Rows at the end that are padding in every padded modality go; a padded stream
  with no real row becomes absent. Streams without padding stay as they are.
  """
  padded = {
    name: frames
    for name, frames in example.streams.items()
    if corpus.modalities[name].padding == corpus_lib.ZERO_ROWS
  }
  real = {name: frames.any(axis=1) for name, frames in padded.items()}
  length = max(
    (int(rows.nonzero()[0][-1]) + 1 for rows in real.values() if rows.any()),
    default=0,
  )
  streams = dict(example.streams)
  for name, rows in real.items():
    streams[name] = padded[name][: length if rows.any() else 0]
  words = example.words
  if words is not None and "lexical" in real:
    words = words[: len(streams["lexical"])]
  return dataclasses.replace(example, streams=streams, words=words)


def features(corpus: corpus_lib.Corpus) -> tfds.features.FeaturesDict:
  """Describes what a record of the corpus holds."""
  spec = {
    name: tfds.features.Text()
    for name in ("id", "speaker", "session", "dialogue", "split")
  }
  for name, modality in corpus.modalities.items():
    spec[name] = tfds.features.Tensor(
      shape=(None, modality.dim), dtype=np.float32
    )
  if corpus.has_acoustic_word:
    spec["acoustic_word"] = tfds.features.Tensor(shape=(None,), dtype=np.int32)
  if corpus.has_words:
    spec["words"] = tfds.features.Tensor(shape=(None,), dtype=np.str_)
  spec["labels"] = tfds.features.Tensor(
    shape=(len(corpus.emotions),), dtype=np.float32
  )
  spec["labelled"] = np.bool_
  return tfds.features.FeaturesDict(spec)


def encode(
  corpus: corpus_lib.Corpus, example: corpus_lib.Example
) -> dict[str, Any]:
  """Encodes an example as a record; absent modalities have no rows."""
  record: dict[str, Any] = {
    "id": example.id,
    "speaker": example.speaker,
    "session": example.session,
    "dialogue": example.dialogue,
    "split": example.split,
  }
  for name, modality in corpus.modalities.items():
    frames = example.streams.get(name, np.zeros((0, modality.dim)))
    record[name] = np.ascontiguousarray(frames, np.float32)
  if corpus.has_acoustic_word:
    word = example.acoustic_word
    record["acoustic_word"] = np.asarray(
      () if word is None else word, dtype=np.int32
    )
    if len(record["acoustic_word"]) != len(record["acoustic"]):
      raise AssertionError(f"{example.where}: one word index per frame")
  if corpus.has_words:
    words = example.words or []
    record["words"] = np.array([word.encode() for word in words], object)
    if len(words) != len(record["lexical"]):
      raise AssertionError(f"{example.where}: one word per lexical row")
  labelled = example.labels is not None
  zeros = np.zeros(len(corpus.emotions), np.float32)
  record["labels"] = example.labels.astype(np.float32) if labelled else zeros
  record["labelled"] = labelled
  return record
