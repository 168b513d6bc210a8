"""Finds the .csd files of a corpus, and what each is: words, frames, labels."""

import os
import pathlib
import re
from typing import NamedTuple

from data_prep.sources.csd import read
from mmer_jax.base.errors import UserError

WORDS, VECTORS = "words", "vectors"
ACOUSTIC, VISUAL, LABELS = "acoustic", "visual", "labels"
PHONES = "phones"
MOSEI = "cmu_mosei"
ROLES = (WORDS, VECTORS, ACOUSTIC, VISUAL, LABELS)
# By the name of the file, then by its first key: those of the SDK's servers,
# and older ones such as CMU_MOSI_ModifiedTimestampedWords.
_NAMES = (
  (LABELS, r"label"),
  (PHONES, r"phone"),
  (VECTORS, r"word_?vec|word2vec|glove"),
  (WORDS, r"word"),
  (ACOUSTIC, r"covarep|opensmile|acoustic|audio"),
  (VISUAL, r"facet|openface|visual|video"),
)
# Names of corpora, as the files have them, to those of the shards.
_CORPORA = {
  "mosei": MOSEI,
  "mosi": "cmu_mosi",
  "pom": "pom",
  "iemocap": "iemocap",
}


class Found(NamedTuple):
  """Holds the sequences of a corpus.

  Attributes:
    sequences: What each is, a key of `ROLES`, to the sequence.
    corpus: The name for the shards.
    notes: Files that are there and not read.
  """

  sequences: dict[str, read.Sequence]
  corpus: str
  notes: tuple[str, ...]


def find(value: str) -> Found:
  """Finds the sequences that `--input` names.

  Args:
    value: A folder of .csd files, or files separated by commas, each with
      `ROLE=` before it where its name does not say what it is.

  Raises:
    UserError: A file cannot be read or told, or two are of one role.
  """
  sequences: dict[str, read.Sequence] = {}
  notes: list[str] = []
  for wanted, path in _paths(value):
    sequence = read.open_sequence(path)
    role = wanted or role_of(sequence)
    if role == PHONES:
      notes.append(f"{path.name} holds phones and is not read")
      continue
    if role is None:
      raise UserError(
        f"--input: neither the name of {path} nor its first key"
        f" {sequence.root!r} says what it is; list the files, with"
        f" {'=, '.join(ROLES)}= before those, as acoustic={path}"
      )
    _check(role, sequence)
    if role in sequences:
      raise UserError(
        f"--input has two files of {role}, {sequences[role].path} and {path};"
        " list those that you want, separated by commas"
      )
    sequences[role] = sequence
  return Found(sequences, _corpus(sequences), tuple(notes))


def paths_in(folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the .csd files of a folder; hidden ones are none."""
  return sorted(
    path
    for path in folder.iterdir()
    if path.name.lower().endswith(".csd") and not path.name.startswith(".")
  )


def _paths(value: str) -> list[tuple[str, pathlib.Path]]:
  """Lists the files, each with the role that is given to it."""
  found = []
  # Not pathlib's: it raises for text that is too long to be a path.
  names = [value] if os.path.exists(value) else value.split(",")
  for name in filter(None, (name.strip() for name in names)):
    role, equals, rest = name.partition("=")
    if not equals or role not in ROLES or os.path.exists(name):
      role, rest = "", name
    path = pathlib.Path(rest)
    if not os.path.exists(path):
      raise UserError(f"--input={rest} does not exist")
    if path.is_dir():
      inside = paths_in(path)
      if not inside or role:
        raise UserError(
          f"--input={path} is a folder, expected a file"
          if role
          else f"--input={path} holds no .csd file"
        )
      found += [("", each) for each in inside]
    else:
      found.append((role, path))
  return found


def role_of(sequence: read.Sequence) -> str | None:
  """Tells what a sequence is; None where nothing says so."""
  for name in (sequence.path.stem, sequence.root):
    for role, pattern in _NAMES:
      if re.search(pattern, name, re.IGNORECASE):
        return role
  return WORDS if sequence.text else None


def _check(role: str, sequence: read.Sequence) -> None:
  """Checks that words are text, and all else numbers."""
  if (role == WORDS) != sequence.text:
    raise UserError(
      f"{sequence.path} holds {'text' if sequence.text else 'numbers'},"
      f" expected {'text' if role == WORDS else 'numbers'} of {role}; write"
      " ROLE=PATH where the name of a file misleads"
    )
  if role == WORDS and sequence.width != 1:
    raise UserError(
      f"{sequence.path} has rows of {sequence.width} texts, expected one word"
    )


def _corpus(sequences: dict[str, read.Sequence]) -> str:
  names = " ".join(
    f"{each.path.stem} {each.root}".lower() for each in sequences.values()
  )
  return next((name for key, name in _CORPORA.items() if key in names), "csd")
