"""Reads MSP-IMPROV's text file of ratings.

A line for each recording, with the label that most raters chose and the means
of their ratings of activation (A), valence (V), dominance (D) and naturalness
(N, not read), and lines of single raters, which are not read:

  UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.6; V:3.0; D:2.4; N:3.4;
  WORKER00000001; Neutral; A:3; V:3; D:2; N:4;

Names begin with UTD or MSP, with or without an ending.
"""

import pathlib
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from data_prep.corpus import corpus, scales
from mmer_jax.base.errors import UserError
from mmer_jax.data import text_files

# The release spells it Evalution.txt.
_NAME = re.compile(r"(?i)eval|rating")
_LINE = re.compile(
  r"\W*(?:UTD|MSP)-(?P<name>IMPROV-[^\s;,.]+)(?:\.\w+)?\s*[;,\t]\s*"
  r"(?P<label>[^\s;,]+)(?P<rest>.*)"
)
# Busso et al. 2017, "MSP-IMPROV", section 4: scales of five points.
SCALES = tuple(
  corpus.Rating(name, 1.0, 5.0)
  for name in ("valence", "activation", "dominance")
)
_CODES = ("V", "A", "D")
_VALUE = re.compile(r"[;,\t]\s*([AVDN])\s*:\s*([^;,\s]+)")


class Rated(NamedTuple):
  """Holds what the raters of a recording said.

  Attributes:
    label: The code that most chose.
    ratings: The means, in the order of `SCALES`; None where there are none.
  """

  label: str
  ratings: np.ndarray | None


def read(
  folder: pathlib.Path, path: pathlib.Path | None, labels: Collection[str]
) -> dict[str, Rated]:
  """Reads what was said of every recording that was rated.

  Args:
    folder: Where to look for the file.
    path: The file; None to look for it: the one Eval*.txt or rating*.txt.
    labels: The codes that there are.

  Returns:
    The name of a recording, MSP in front and no ending, to what was said.

  Raises:
    UserError: There is no such file or more than one, a code is unknown, a
      rating is none, or a recording has two.
  """
  if path is None:
    path = _find(folder)
  elif not path.is_file():
    raise UserError(f"--ratings={path} is not a file")
  found: dict[str, Rated] = {}
  for number, match in _matches(path):
    name, label = f"MSP-{match['name']}", match["label"]
    if label not in labels:
      raise UserError(
        f"{path} line {number}: {label!r} is no label of MSP-IMPROV, expected"
        f" one of {', '.join(labels)}"
      )
    if name in found and found[name].label != label:
      raise UserError(
        f"{path} line {number}: {name} is rated {label} and, further up,"
        f" {found[name].label}; expected one rating"
      )
    found[name] = Rated(label, _ratings(match["rest"], f"{path} line {number}"))
  if not found:
    raise UserError(
      f"{path} rates no recording, expected lines such as"
      " 'UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.6; ...'"
    )
  return found


def _ratings(text: str, where: str) -> np.ndarray | None:
  """Reads the means behind a label; NaN for one that is not there."""
  values = dict.fromkeys(_CODES, np.nan)
  for code, value in _VALUE.findall(text):
    try:
      values[code] = float(value)
    except ValueError:
      raise UserError(
        f"{where}: rating {code} is {value!r}, expected a number from 1 to 5"
      ) from None
  numbers = [values[code] for code in _CODES]
  return scales.read(numbers, SCALES, scales.ERROR, where, {})


def _matches(path: pathlib.Path) -> Iterator[tuple[int, re.Match[str]]]:
  """Finds the lines of recordings, with their numbers."""
  try:
    with text_files.open_text(path) as file:
      for number, line in enumerate(file, 1):
        match = _LINE.match(line)
        if match:
          yield number, match
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  except text_files.READ_ERRORS as error:
    raise UserError(f"{path}: cannot be read: {error}") from error


def _find(folder: pathlib.Path) -> pathlib.Path:
  """Finds the one file of ratings below a folder, by its name."""
  files = [
    path
    for path in sorted(folder.rglob("*.txt"))
    if _NAME.match(path.name) and path.is_file()
  ]
  if len(files) != 1:
    raise UserError(
      f"--input={folder} has {len(files) or 'no'} file of ratings, expected one"
      " Evaluation.txt; --ratings=FILE names it (the emotion in a file's name"
      " is the one that was meant, and no label)"
    )
  return files[0]
