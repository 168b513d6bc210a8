"""Reads IEMOCAP's transcripts of dialogues.

`dialog/transcriptions/DIALOGUE.txt` holds a line for each turn:

  Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.

Some lines have no id (`M: sorry.`), and some ids are of turns that nobody cut
out and rated (`Ses01F_impro01_MXX0`). Both are left out and counted.
"""

import pathlib
import re
from collections import Counter

from mmer_jax.base.errors import UserError
from mmer_jax.data import text_files

_LINE = re.compile(r"(Ses\w+)\s*(?:\[[\d.\s-]*\])?\s*:\s*(.*)")
_NOT_RATED = re.compile(r".*_[FM]XX\d*")

WITHOUT_ID = "of transcripts without an id left out"
NOT_RATED = "of transcripts of turns that nobody rated (_MXX0) left out"
REPEATED = "of transcripts that give an id a second text left out"


def read(path: pathlib.Path, tally: Counter[str]) -> dict[str, str]:
  """Reads the texts of a dialogue by the ids of their utterances.

  Args:
    path: The file.
    tally: Counts the lines that are left out.

  Raises:
    UserError: The file cannot be read.
  """
  texts: dict[str, str] = {}
  try:
    with text_files.open_text(path) as file:
      for line in file:
        _read_line(line.strip(), texts, tally)
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  except text_files.READ_ERRORS as error:
    raise UserError(f"{path}: cannot be read: {error}") from error
  return texts


def _read_line(line: str, texts: dict[str, str], tally: Counter[str]) -> None:
  if not line:
    return
  match = _LINE.fullmatch(line)
  if match is None:
    tally[WITHOUT_ID] += 1
    return
  name, text = match.groups()
  if _NOT_RATED.fullmatch(name):
    tally[NOT_RATED] += 1
  elif name in texts:
    tally[REPEATED] += 1
  else:
    texts[name] = text
