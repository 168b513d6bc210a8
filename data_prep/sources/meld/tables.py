"""Reads MELD's official tables of texts and labels."""

import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files

# Rows, dialogues and speakers of the published files (declare-lab/MELD,
# data/MELD). Its README and Poria et al. 2019, "MELD", ACL, say the same, but
# for one dialogue more, 1,039, in train.
PUBLISHED = {
  "train": (9989, 1038, 260),
  "dev": (1109, 114, 47),
  "test": (2610, 280, 100),
}
SPLITS = {"train": "train", "dev": "validation", "test": "test"}
# Where the files lie below a copy of the repository or of the raw release.
_FOLDERS = ("", "data/MELD", "MELD", "MELD.Raw", "train", "MELD.Raw/train")
_SUFFIX = "_sent_emo.csv"
EMOTIONS = {
  "emotion": (
    *("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"),
  ),
  "sentiment": ("negative", "neutral", "positive"),
}
_COLUMNS = {"emotion": "Emotion", "sentiment": "Sentiment"}


class Key(NamedTuple):
  """Names an utterance: dialogues are numbered from 0 in every file."""

  split: str
  dialogue: int
  utterance: int

  def __str__(self) -> str:
    """Returns the name of its file of media, the split in front."""
    return f"{self.split}_dia{self.dialogue}_utt{self.utterance}"


class Line(NamedTuple):
  """Holds a row of a table.

  Attributes:
    key: Which utterance.
    where: File and line, for messages.
    text: What is said.
    speaker: Who speaks.
    label: One of the variant's `EMOTIONS`.
  """

  key: Key
  where: str
  text: str
  speaker: str
  label: str


def find(given: str) -> dict[str, pathlib.Path]:
  """Finds the table of each split.

  Args:
    given: A folder, with the tables of all three splits; or tables, separated
      by commas, of one split at least.

  Raises:
    UserError: A table is missing, or is of no split.
  """
  folder = pathlib.Path(given)
  if folder.is_dir():
    return {split: _required(folder, split) for split in SPLITS}
  found: dict[str, pathlib.Path] = {}
  for path in map(pathlib.Path, given.split(",")):
    split = path.name.partition("_")[0]
    if not path.is_file():
      raise UserError(
        f"--input={path} is neither a folder nor a file; expected the folder of"
        f" train{_SUFFIX}, dev{_SUFFIX} and test{_SUFFIX}, or such files"
        " separated by commas"
      )
    if split not in SPLITS or split in found:
      what = "is of no split" if split not in SPLITS else "is a split's second"
      raise UserError(
        f"--input={path} {what}; expected a name for each of"
        f" {', '.join(split + _SUFFIX for split in SPLITS)} at most once"
      )
    found[split] = path
  return {split: found[split] for split in SPLITS if split in found}


def below(folder: pathlib.Path, split: str) -> pathlib.Path | None:
  """Finds the table of a split below a folder; None where there is none."""
  paths = (folder / inner / f"{split}{_SUFFIX}" for inner in _FOLDERS)
  return next((path for path in paths if path.is_file()), None)


def _required(folder: pathlib.Path, split: str) -> pathlib.Path:
  path = below(folder, split)
  if path is None:
    raise UserError(
      f"--input={folder} has no {split}{_SUFFIX}, neither there nor in"
      " data/MELD; for some splits alone name their files, separated by commas"
    )
  return path


def read(split: str, path: pathlib.Path, variant: str) -> list[Line]:
  """Reads the table of a split.

  Raises:
    UserError: A column is missing, a number is none, a label is unknown, or an
      utterance is there twice.
  """
  table = table_files.open_table(path)
  column = _COLUMNS[variant]
  wanted = ("Utterance", "Speaker", "Dialogue_ID", "Utterance_ID", column)
  lines: dict[Key, Line] = {}
  for row in table.rows(wanted):
    cells = {
      name: table_files.as_text(row.cells[name], row.where, name).strip()
      for name in wanted
    }
    key = Key(
      split,
      _number(cells["Dialogue_ID"], "Dialogue_ID", row.where),
      _number(cells["Utterance_ID"], "Utterance_ID", row.where),
    )
    if key in lines:
      raise UserError(
        f"{row.where}: dialogue {key.dialogue}, utterance {key.utterance} is"
        f" there already, at {lines[key].where}; expected each once"
      )
    if cells[column] not in EMOTIONS[variant]:
      raise UserError(
        f"{row.where}: {column} is {cells[column]!r}, expected one of"
        f" {', '.join(EMOTIONS[variant])}"
      )
    lines[key] = Line(
      key, row.where, cells["Utterance"], cells["Speaker"], cells[column]
    )
  if not lines:
    raise UserError(f"{path} has no rows; is it whole?")
  return list(lines.values())


def _number(text: str, column: str, where: str) -> int:
  if not (text.isascii() and text.isdigit()):
    raise UserError(f"{where}: {column} is {text!r}, expected a number")
  return int(text)


def tally(lines: Sequence[Line]) -> dict[str, int]:
  """Counts rows, dialogues and speakers of each split, beside the published."""
  rows = Counter(line.key.split for line in lines)
  counted = {}
  for split, count in rows.items():
    own = [line for line in lines if line.key.split == split]
    dialogues = len({line.key.dialogue for line in own})
    speakers = len({line.speaker for line in own})
    here = (count, dialogues, speakers)
    said = "as published"
    if here != PUBLISHED[split]:
      said = "published: {} rows, {} dialogues, {} speakers".format(
        *PUBLISHED[split]
      )
    counted[
      f"of {split} in {dialogues} dialogues by {speakers} speakers, {said}"
    ] = count
  return counted


def differences(lines: Sequence[Line]) -> list[str]:
  """Names the splits that have another number of rows than was published."""
  rows = Counter(line.key.split for line in lines)
  return [
    f"{split}{_SUFFIX} has {rows[split]} rows, the published file"
    f" {PUBLISHED[split][0]}"
    for split in SPLITS
    if split in rows and rows[split] != PUBLISHED[split][0]
  ]
