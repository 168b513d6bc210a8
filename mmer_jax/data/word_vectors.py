"""Reads word vectors in GloVe's text format."""

import hashlib
import pathlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.data import text_files


class WordVectors(NamedTuple):
  """Holds the vectors of the words that were asked for.

  Attributes:
    dim: Numbers of every vector in the file.
    vectors: Word to float32 vector.
  """

  dim: int
  vectors: dict[str, np.ndarray]


def read(path: pathlib.Path, wanted: set[str]) -> WordVectors:
  """Streams a file of word vectors and keeps what is wanted.

  One word per line, then its numbers, separated by single spaces. A first line
  of two integers (word2vec, fastText) is skipped. Some words of GloVe 840B
  contain spaces: the last `dim` fields are the numbers. The first of two lines
  for one word counts.

  Args:
    path: A text file, or one packed with gzip (`.gz`).
    wanted: Words to keep.

  Raises:
    UserError: A line has too few numbers or one that is not finite.
  """
  dim = None
  vectors: dict[str, np.ndarray] = {}
  for number, line in lines(path):
    spaces = line.count(b" ")
    if dim is None:
      if number == 1 and re.fullmatch(rb"\d+ \d+", line):
        continue
      dim = spaces
      if dim == 0:
        raise UserError(
          f"{path} line {number}: expected a word and its numbers separated by"
          f" single spaces, got {line[:40]!r}"
        )
    if spaces < dim:
      raise UserError(
        f"{path} line {number}: a word and {dim} numbers expected, as in the"
        f" first line, got {spaces} numbers; is the file truncated?"
      )
    raw = line.split(b" ", 1)[0] if spaces == dim else word_of(line, dim)
    # Bytes that are no UTF-8 are a word that no corpus holds.
    word = normal_form(raw.decode("utf-8", errors="replace"))
    if word in wanted and word not in vectors:
      vectors[word] = numbers(line, dim, path, number)
  if dim is None:
    raise UserError(f"{path} holds no word vectors: it has no line")
  return WordVectors(dim, vectors)


def write(path: pathlib.Path, vectors: Mapping[str, np.ndarray]) -> None:
  """Writes vectors as `read` reads them, to the last bit."""
  with path.open("w", encoding="utf-8", newline="\n") as file:
    for word, vector in vectors.items():
      # Nine digits are a float32 to its last bit.
      numbers = " ".join(f"{number:.9g}" for number in vector)
      file.write(f"{word} {numbers}\n")


def word_of(line: bytes, dim: int) -> bytes:
  """Extracts the word before the numbers of a line."""
  return line.rsplit(b" ", dim)[0]


def numbers(
  line: bytes, dim: int, path: pathlib.Path, number: int
) -> np.ndarray:
  """Parses the numbers of a line.

  Raises:
    UserError: One is not finite.
  """
  fields = line.rsplit(b" ", dim)[1:]
  try:
    vector = np.array([float(field) for field in fields], np.float32)
  except ValueError:
    vector = np.array([np.nan])
  if not np.isfinite(vector).all():
    raise UserError(
      f"{path} line {number}: expected {dim} finite numbers after the word,"
      f" got {b' '.join(fields)[:60]!r}"
    )
  return vector


def lines(path: pathlib.Path) -> Iterator[tuple[int, bytes]]:
  """Reads the lines of a file, numbered from 1, without the empty ones."""
  try:
    with text_files.open_bytes(path) as file:
      for number, line in enumerate(file, 1):
        if number == 1:
          line = line.removeprefix(text_files.UTF8_MARK)
        line = line.rstrip(b" \r\n")
        if line:
          yield number, line
  except text_files.READ_ERRORS as error:
    raise UserError(f"cannot read word vectors {path}: {error}") from error


def normal_form(text: str) -> str:
  """Composes letters and their marks (NFC), so that equal words are equal."""
  return text if text.isascii() else unicodedata.normalize("NFC", text)


def digest(vectors: Mapping[str, np.ndarray]) -> str:
  """Computes the SHA-256 of words and their vectors, whatever their order."""
  sha = hashlib.sha256()
  for word in sorted(vectors):
    sha.update(f"{word}\n".encode())
    sha.update(np.asarray(vectors[word], "<f4").tobytes())
  return sha.hexdigest()


def sample(vectors: Mapping[str, np.ndarray]) -> dict[str, str]:
  """Computes a short digest of each word's vector, to compare corpora by.

  Two corpora have different words: those that both have tell whether their
  vectors are the same.
  """
  return {word: digest({word: vectors[word]})[:12] for word in sorted(vectors)}


def different_word(got: Mapping[str, str], expected: Mapping[str, str]) -> str:
  """Finds a word whose vectors differ in two samples; "" for none."""
  both = sorted(got.keys() & expected.keys())
  return next((word for word in both if got[word] != expected[word]), "")


def parse_forms(
  forms: Sequence[str], emotions: Sequence[str]
) -> dict[str, str]:
  """Reads `emotion=word` texts; empty ones say nothing, later ones win.

  Raises:
    UserError: A text is of another form, or names another emotion.
  """
  words = {}
  for form in forms:
    if not form:
      continue
    emotion, equals, word = form.partition("=")
    if not equals or not word or emotion not in emotions:
      raise UserError(
        f"the word form {form!r} is not of the kind EMOTION=WORD with one of"
        f" {', '.join(emotions)}"
      )
    words[emotion] = word
  return words
