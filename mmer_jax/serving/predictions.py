"""Predicts every utterance of a file or a shard folder."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import word_vectors
from mmer_jax.serving import checks, inputs, rows
from mmer_jax.serving import model as model_lib

# Utterances that are in memory at a time.
_CHUNK = 256


def predict_file(
  model: model_lib.Model,
  source: pathlib.Path,
  out: pathlib.Path,
  *,
  modalities: Sequence[str] = (),
  emotions: Sequence[str] = (),
  words: pathlib.Path | None = None,
  explain: bool = False,
  check_scale: bool = True,
) -> int:
  """Predicts every utterance of an input and writes a row for each.

  Args:
    model: From `mmer_jax.load`.
    source: Shards, or a file; see `inputs`.
    out: The file to write; see `rows`.
    modalities: What the model may see; empty for all.
    emotions: Which, in this order; empty for those of training. A new one may
      be `name=word`.
    words: A file of word vectors for new emotions.
    explain: Whether rows hold what else the model knows.
    check_scale: See `Model.predict`.

  Returns:
    How many there were.

  Raises:
    UserError: Input or request do not fit the model.
  """
  rows.check_out(out, source)
  asked = read_emotions(model, emotions, words) if emotions else None
  utterances = inputs.read_utterances(model.spec, source)
  written: list[rows.Row] = []
  while chunk := list(itertools.islice(utterances, _CHUNK)):
    features = {
      modality: [utterance.features.get(modality) for utterance in chunk]
      for modality in model.spec["modalities"]
    }
    try:
      prediction = model.predict(
        features,
        emotions=asked,
        modalities=modalities,
        acoustic_word=_acoustic_words(model, chunk),
        check_scale=check_scale,
      )
    except checks.OutputError as error:
      # Its number is that in the chunk.
      raise checks.OutputError(error.row, repr(chunk[error.row].id)) from None
    written += [
      rows.make_row(model.spec, utterance, prediction, index, explain)
      for index, utterance in enumerate(chunk)
    ]
  rows.write(
    out,
    written,
    rows.columns(model.spec, list(asked or model.emotions), explain),
  )
  return len(written)


def read_emotions(
  model: model_lib.Model, emotions: Sequence[str], words: pathlib.Path | None
) -> dict[str, np.ndarray | None]:
  """Reads emotions as names to the word vectors of those that are new.

  Args:
    model: From `mmer_jax.load`.
    emotions: Each `name` or `name=word`.
    words: A file of word vectors; None for none.

  Raises:
    UserError: A new emotion has no vector.
  """
  trained, word_of = model.emotions, {}
  for form in emotions:
    name, equals, word = form.partition("=")
    is_new = equals or name not in trained
    word_of[name] = (word or name) if is_new else None
  wanted = {word for word in word_of.values() if word is not None}
  if not wanted or not model.spec["open_vocabulary"]:
    # The model itself says that its vocabulary is closed.
    return dict.fromkeys(word_of)
  if words is None:
    raise errors.UserError(
      f"--emotions needs the vector of {', '.join(sorted(wanted))}, and the"
      f" model has those of {', '.join(trained)}; pass --word_vectors=FILE,"
      f" {_file(model.spec)}"
    )
  table = word_vectors.read(words, wanted | _known_words(model.spec))
  _check_vectors(model.spec, words, table.vectors)
  missing = sorted(wanted - set(table.vectors))
  if missing:
    raise errors.UserError(
      f"{words} has no vector for {', '.join(missing)}; choose another word as"
      " --emotions=NAME=WORD"
    )
  return {
    name: None if word is None else table.vectors[word]
    for name, word in word_of.items()
  }


def _known_words(spec: dict[str, Any]) -> set[str]:
  """Collects the words whose vectors the model knows something of."""
  sample = (spec.get("identity") or {}).get("word_vectors_sample") or {}
  return {*sample, *(e["word"] for e in spec["emotions"] if e.get("word"))}


def _check_vectors(
  spec: dict[str, Any], path: pathlib.Path, vectors: dict[str, np.ndarray]
) -> None:
  """Refuses vectors of another file than that of the training.

  Raises:
    UserError: The first word that differs is named.
  """
  sample = (spec.get("identity") or {}).get("word_vectors_sample") or {}
  known = {word: vectors[word] for word in sample if word in vectors}
  different = word_vectors.different_word(word_vectors.sample(known), sample)
  encoded = "text_encoder" in (spec.get("identity") or {})
  for emotion in spec["emotions"]:
    word = emotion.get("word")
    if word in vectors and not _equal(
      vectors[word], emotion["vector"], encoded=encoded
    ):
      different = different or word
  if different:
    raise errors.UserError(
      f"{path} has other vectors than those that the model was trained on, the"
      f" first word that differs is {different!r}; pass {_file(spec)}"
    )


def _file(spec: dict[str, Any]) -> str:
  """Says which file holds the vectors of words for a model's emotions."""
  encoder = (spec.get("identity") or {}).get("text_encoder")
  if encoder is None:
    return "the file that its shards were converted with"
  return (
    "one that data_prep.encode_words has written with the encoder of its"
    f" shards ({encoder})"
  )


def _equal(
  got: np.ndarray, expected: Sequence[float], *, encoded: bool
) -> bool:
  """Tells whether two vectors are the same to float32's rounding.

  The last digits of those that an encoder has made are its machine's.
  """
  if len(got) != len(expected):
    return False
  if encoded:
    return np.allclose(got, expected, atol=1e-3 * np.abs(expected).max())
  return np.allclose(got, expected, rtol=1e-6)


def _acoustic_words(
  model: model_lib.Model, chunk: Sequence[inputs.Utterance]
) -> list[np.ndarray] | None:
  """Collects the words of acoustic frames, where the model asks for them."""
  if not model.spec["acoustic_word"]:
    return None
  words = []
  for utterance in chunk:
    frames = utterance.features.get("acoustic")
    count = 0 if frames is None else len(frames)
    word = utterance.acoustic_word
    words.append(np.full(count, -1) if word is None else word)
  return words
