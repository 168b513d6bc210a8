"""Reads IEMOCAP's files of evaluations: labels, votes and ratings.

`dialog/EmoEvaluation/DIALOGUE.txt` holds two lines of heading, then a block for
each utterance, ended by a blank line:

  [6.2901 - 8.2357]  Ses01F_impro01_F000  neu  [2.5000, 2.5000, 2.5000]
  C-E2:  Neutral; Anger;  (a comment)
  C-F1:  Neutral;  ()
  A-E3:  val 3; act 2; dom  2;  ()

The numbers behind the label are valence, activation and dominance, from 1 to 5,
the mean of the raters. C lines are the categories that a rater chose, one or
more; A lines are his ratings, of which one may be blank. Raters are E1, E2 and
so on; F1 and M1 are the actors' reports on themselves, and no raters.
"""

import pathlib
import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from data_prep.sources.iemocap import labels as labels_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import text_files

_NUMBER = r"\s*(-?[0-9]{1,9}(?:\.[0-9]+)?)\s*"
_HEAD = re.compile(
  rf"\[{_NUMBER}-{_NUMBER}\]\s+(\S+)\s+(\S+)"
  rf"\s+\[{_NUMBER},{_NUMBER},{_NUMBER}\]"
)
_LINE = re.compile(r"([CA])-([EFM]\d*)\s*:(.*)")
_RATING = re.compile(
  r"val\s*([0-9.]*)\s*;\s*act\s*([0-9.]*)\s*;\s*dom\s*([0-9.]*)\s*;?"
)
# Session and the partner with markers, name of the dialogue, who speaks, turn.
_ID = re.compile(r"(Ses(\d\d)[FM]_\w+)_([FM])(\d\w*)")

UNREAD = "of evaluations not understood and left out"
BLANK = "of ratings with a value left blank"


class Name(NamedTuple):
  """Holds what the id of an utterance says.

  Attributes:
    dialogue: All but the last field: Ses01F_impro01.
    session: Its number: 1.
    speaker: Session and letter of the last field: Ses01_F.
  """

  dialogue: str
  session: int
  speaker: str


class Evaluation(NamedTuple):
  """Holds the evaluation of an utterance.

  Attributes:
    id: As Ses01F_impro01_F000.
    where: File and line, for messages.
    start: In seconds from the beginning of the dialogue.
    end: In seconds.
    label: One of `labels.CATEGORIES`.
    vad: Valence, activation and dominance.
    votes: Rater to the categories that he chose, in lower case.
    ratings: Rater to valence, activation and dominance; NaN where blank.
    self_reports: The actors' own categories.
  """

  id: str
  where: str
  start: float
  end: float
  label: str
  vad: tuple[float, float, float]
  votes: dict[str, tuple[str, ...]]
  ratings: dict[str, tuple[float, float, float]]
  self_reports: dict[str, tuple[str, ...]]

  @property
  def name(self) -> Name:
    """What the id says."""
    return parse_id(self.id, self.where)

  def agreement(self) -> tuple[int, int]:
    """Counts the raters who chose the label, and all raters who chose."""
    category = labels_lib.CATEGORIES[self.label]
    agree = sum(category in chosen for chosen in self.votes.values())
    return agree, len(self.votes)


def parse_id(text: str, where: str) -> Name:
  """Reads the id of an utterance.

  Raises:
    UserError: It is none of IEMOCAP's.
  """
  match = _ID.fullmatch(text)
  if match is None:
    raise UserError(
      f"{where}: {text!r} is no id of an utterance, expected one such as"
      " Ses01F_impro01_F000"
    )
  dialogue, session, letter, _ = match.groups()
  return Name(dialogue, int(session), f"Ses{session}_{letter}")


def read(path: pathlib.Path, tally: Counter[str]) -> list[Evaluation]:
  """Reads the evaluations of a dialogue, in the order of the file.

  Args:
    path: The file.
    tally: Counts lines that say nothing known, and blank ratings.

  Raises:
    UserError: A line that begins as an evaluation cannot be read, or is of
      another dialogue.
  """
  found: list[Evaluation] = []
  try:
    with text_files.open_text(path) as file:
      for number, line in enumerate(file, 1):
        _read_line(line.strip(), f"{path.name} line {number}", found, tally)
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  except text_files.READ_ERRORS as error:
    raise UserError(f"{path}: cannot be read: {error}") from error
  for each in found:
    if each.name.dialogue != path.stem:
      raise UserError(
        f"{each.where}: {each.id} is of another dialogue than the file; was it"
        " renamed?"
      )
  return found


def _read_line(
  line: str, where: str, found: list[Evaluation], tally: Counter[str]
) -> None:
  """Adds what a line says to the evaluations so far."""
  if not line or line.startswith("%"):
    return
  if line.startswith("["):
    found.append(_head(line, where))
    return
  match = _LINE.fullmatch(line)
  if match is None or not found:
    tally[UNREAD] += 1
    return
  kind, rater, rest = match.groups()
  is_rater = rater.startswith("E")
  if kind == "C":
    # A comment in brackets may hold anything.
    chosen = _categories(rest.partition("(")[0])
    by_rater = found[-1].votes if is_rater else found[-1].self_reports
    by_rater[rater] = chosen
  elif is_rater:
    rating = _RATING.search(rest)
    if rating is None:
      tally[UNREAD] += 1
      return
    values = tuple(_rating(text, where) for text in rating.groups())
    tally[BLANK] += bool(np.isnan(values).any())
    found[-1].ratings[rater] = values


def _categories(text: str) -> tuple[str, ...]:
  names = (part.strip().lower() for part in text.split(";"))
  return tuple(dict.fromkeys(labels_lib.SYNONYMS.get(n, n) for n in names if n))


def _rating(text: str, where: str) -> float:
  if not text:
    return np.nan
  try:
    return float(text)
  except ValueError:
    raise UserError(
      f"{where}: a rating of {text!r}, expected a number from 1 to 5"
    ) from None


def _head(line: str, where: str) -> Evaluation:
  """Reads the first line of a block."""
  match = _HEAD.fullmatch(line)
  if match is None:
    raise UserError(
      f"{where}: {line[:60]!r} cannot be read, expected [START - END], the id,"
      " the label and [V, A, D]"
    )
  start, end, name, label, *vad = match.groups()
  parse_id(name, where)
  if label not in labels_lib.CATEGORIES:
    raise UserError(
      f"{where}: label {label!r}, expected one of"
      f" {', '.join(labels_lib.CATEGORIES)}"
    )
  if not 0 <= float(start) < float(end):
    raise UserError(
      f"{where}: {name} goes from {start} to {end} s, expected an end behind"
      " the start"
    )
  values = tuple(float(value) for value in vad)
  return Evaluation(
    name, where, float(start), float(end), label, values, {}, {}, {}
  )
