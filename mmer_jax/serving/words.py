"""Finds the vectors of words that a model was trained with, and checks them."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import identity as identity_lib
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import shards as shards_lib
from mmer_jax.data import word_vectors
from mmer_jax.serving import files


class Reader:
  """Finds the vectors of words, and remembers them.

  Attributes:
    is_whole: Whether they are all words of a file; otherwise they are those of
      the training's texts.
  """

  def __init__(self, spec: dict[str, Any], ways: files.Ways) -> None:
    """Takes the model's spec, and where vectors may be."""
    self._spec = spec
    self._ways = ways
    self._found: dict[str, np.ndarray] = {}
    self._asked: set[str] = set()
    self._dim = 0
    # Of shards all words are read at once.
    self._is_complete = False
    self.is_whole = ways.word_vectors is not None

  def __call__(self, wanted: set[str]) -> word_vectors.WordVectors:
    """Finds the vectors of those words that have one.

    Raises:
      UserError: Nothing holds vectors, or not those of the training.
    """
    if not self._dim or (wanted - self._asked and not self._is_complete):
      table = self._read(wanted)
      self._found |= table.vectors
      self._asked |= wanted
      self._dim = table.dim
    return word_vectors.WordVectors(
      self._dim,
      {word: self._found[word] for word in wanted if word in self._found},
    )

  def _read(self, wanted: set[str]) -> word_vectors.WordVectors:
    ways = self._ways
    if ways.word_vectors is not None:
      table = read(self._spec, ways.word_vectors, wanted)
      _check_dim(self._spec, ways.word_vectors, table.dim)
      return table
    if ways.shipped is not None:
      return word_vectors.read(ways.shipped, wanted)
    if ways.shards is not None:
      vectors, self._is_complete = of_shards(ways.shards), True
      return word_vectors.WordVectors(_dim(self._spec, vectors), vectors)
    raise errors.UserError(
      "text needs the vectors of its words, and the model does not hold them;"
      f" pass --word_vectors=FILE, {which_file(self._spec)}, or export with"
      " --ship_word_vectors"
    )


def read(
  spec: dict[str, Any], path: pathlib.Path, wanted: set[str]
) -> word_vectors.WordVectors:
  """Reads vectors from the file that the model was trained with.

  Args:
    spec: The content of `feature_spec.json`.
    path: The file.
    wanted: Words; those by which files are told apart are read, too.

  Raises:
    UserError: It is another file.
  """
  table = word_vectors.read(path, wanted | _known_words(spec))
  _check(spec, path, table)
  return table


def of_shards(folder: pathlib.Path) -> dict[str, np.ndarray]:
  """Collects the vectors of the words that stand in shards.

  Raises:
    UserError: The rows of words are not their vectors.
  """
  manifest = manifest_lib.load_manifest(folder)
  vectors: dict[str, np.ndarray] = {}
  for _, example in shards_lib.read_examples(folder):
    rows = example.get("lexical", ())
    for word, row in zip(example.get("words", ()), rows, strict=True):
      word = word.decode() if isinstance(word, bytes) else str(word)
      # A row of zeros stands for a word without a vector.
      if word not in vectors and row.any():
        vectors[word] = row
  emotions = manifest_lib.load_emotion_vectors(folder)
  if emotions is not None:
    named = zip(emotions.words, emotions.vectors, strict=True)
    vectors |= {word: vector for word, vector in named if word}
  identity = identity_lib.of_shards(folder, manifest)
  expected = identity.get("word_vectors_sample") or {}
  known = {word: vectors[word] for word in expected if word in vectors}
  if not known or word_vectors.different_word(
    word_vectors.sample(known), expected
  ):
    raise errors.UserError(
      f"the shards in {folder} do not hold the vectors of their words as they"
      " are; pass --word_vectors=FILE, the file that they were converted with"
    )
  return vectors


def which_file(spec: dict[str, Any]) -> str:
  """Says which file holds the vectors of words for a model."""
  encoder = (spec.get("identity") or {}).get("text_encoder")
  if encoder is not None:
    return (
      "one that data_prep.encode_words has written with the encoder of its"
      f" shards ({encoder})"
    )
  text = (spec.get("features_from") or {}).get("text") or {}
  name = (text.get("word_vectors") or {}).get("file")
  return "the file that its shards were converted with" + (
    f" ({name})" if name else ""
  )


def _known_words(spec: dict[str, Any]) -> set[str]:
  """Collects the words whose vectors the model knows something of."""
  sample = (spec.get("identity") or {}).get("word_vectors_sample") or {}
  return {*sample, *(e["word"] for e in spec["emotions"] if e.get("word"))}


def _dim(spec: dict[str, Any], vectors: Mapping[str, np.ndarray]) -> int:
  """Counts the numbers of a vector."""
  lexical = spec["modalities"].get("lexical", {})
  return next((len(each) for each in vectors.values()), lexical.get("dim", 0))


def _check_dim(spec: dict[str, Any], path: pathlib.Path, dim: int) -> None:
  """Refuses vectors of another length than that of the training's."""
  dropped = (spec["features_from"].get("dropped") or {}).get("lexical", ())
  expected = spec["modalities"]["lexical"]["dim"] + len(dropped)
  if dim != expected:
    raise errors.UserError(
      f"{path} has vectors of {dim} numbers, expected {expected} as the model"
      f" reads; pass {which_file(spec)}"
    )


def _check(
  spec: dict[str, Any], path: pathlib.Path, table: word_vectors.WordVectors
) -> None:
  """Refuses vectors of another file than that of the training.

  Raises:
    UserError: The first word that differs is named.
  """
  vectors = table.vectors
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
      f" first word that differs is {different!r}; pass {which_file(spec)}"
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
