"""Checks examples of a corpus and encodes them as records."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError

FILE_FORMATS = ("tfrecord", "array_record")


class Ids:
  """Checks that every utterance has an id of its own."""

  def __init__(self) -> None:
    """Starts without any."""
    self._seen: dict[str, tuple[str, str]] = {}

  def check(self, name: str, split: str, where: str) -> None:
    """Raises a `UserError` for an id that is empty or known already."""
    if not name:
      raise UserError(f"{where}: the id is empty; every utterance needs one")
    if name in self._seen:
      other, first = self._seen[name]
      if other != split:
        raise UserError(
          f"{where}: id {name!r} is in split {split!r} and, at"
          f" {first}, in split {other!r}; an utterance has one side"
        )
      raise UserError(
        f"{where}: id {name!r} is used at {first} already; ids must be unique"
      )
    self._seen[name] = (split, where)


def check(corpus: corpus_lib.Corpus, example: corpus_lib.Example) -> None:
  """Checks what must hold of an example by itself, whatever the source.

  Raises:
    UserError: Split, features or labels do not fit the corpus.
  """
  where = example.where
  if example.split not in (*corpus_lib.SPLITS, ""):
    raise UserError(
      f"{where}: split {example.split!r}, expected one of"
      f" {', '.join(corpus_lib.SPLITS)}; map it in the spec's split_values"
    )
  for name, frames in example.streams.items():
    at = example.stream_where.get(name, where)
    corpus_lib.check_dim(corpus.modalities[name], name, frames, at)
  if example.labels is not None:
    _check_labels(corpus, where, example.labels)
  if example.ratings is not None:
    _check_ratings(corpus, where, example.ratings)


def _check_labels(
  corpus: corpus_lib.Corpus, where: str, labels: np.ndarray
) -> None:
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


def _check_ratings(
  corpus: corpus_lib.Corpus, where: str, ratings: np.ndarray
) -> None:
  if ratings.shape != (len(corpus.ratings),):
    raise AssertionError(f"{where}: ratings of shape {ratings.shape}")
  # As shards hold them, so that the rounded end of a scale is on it.
  values = corpus_lib.as_float32(ratings)
  for rating, value in zip(corpus.ratings, values, strict=True):
    if not np.isnan(value) and not rating.has(value):
      raise UserError(
        f"{where}: rating {rating.name} is {value:g}, expected"
        f" {rating.low:g} to {rating.high:g}; correct it, or leave it blank"
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
  if corpus.ratings:
    spec["ratings"] = tfds.features.Tensor(
      shape=(len(corpus.ratings),), dtype=np.float32
    )
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
  if corpus.ratings:
    record["ratings"] = _ratings(corpus, example.ratings)
  return record


def _ratings(
  corpus: corpus_lib.Corpus, ratings: np.ndarray | None
) -> np.ndarray:
  """Returns the ratings of a record; NaN, always the same, for none."""
  values = np.full(len(corpus.ratings), np.nan, np.float32)
  if ratings is not None:
    np.copyto(values, ratings, where=~np.isnan(ratings), casting="same_kind")
  return values
