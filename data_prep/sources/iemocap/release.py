"""Finds what IEMOCAP's release folder holds of each utterance.

The folder has Session1 to Session5, each with `dialog/EmoEvaluation`,
`dialog/transcriptions`, `sentences/wav` and `sentences/ForcedAlignment`. Only
the files of dialogues directly in EmoEvaluation are read: those of its folders
Attribute, Categorical and Self-evaluation are of single raters, or of actors.
Files that macOS adds (`._Ses01F_impro01.txt`) are left out.
"""

import pathlib
import re
from collections import Counter
from typing import NamedTuple

from data_prep.sources.iemocap import evaluation as evaluation_lib
from data_prep.sources.iemocap import transcripts
from mmer_jax.base.errors import UserError

_SESSION = re.compile(r"Session(\d)")
_EVALUATIONS = "dialog/EmoEvaluation"

WITHOUT_TEXT = "without a line in the transcripts"
WITHOUT_EVALUATION = "of transcripts whose id nobody rated left out"


class Utterance(NamedTuple):
  """Holds what the release has of an utterance.

  Attributes:
    evaluation: Label, times and votes.
    text: `""` where the transcripts lack it.
    wav: None where there is no such file.
    alignment: Its `.wdseg` file; None where there is none.
  """

  evaluation: evaluation_lib.Evaluation
  text: str
  wav: pathlib.Path | None
  alignment: pathlib.Path | None


class Release(NamedTuple):
  """Holds what was found.

  Attributes:
    utterances: By session and dialogue, in the order of their evaluations.
    tally: What was left out, in words, to how many.
    dialogues: How many there are.
  """

  utterances: list[Utterance]
  tally: Counter[str]
  dialogues: int


def sessions(folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the folders of sessions, in their order; none elsewhere."""
  return sorted(
    path
    for path in folder.iterdir()
    if _SESSION.fullmatch(path.name) and (path / _EVALUATIONS).is_dir()
  )


def read(folder: pathlib.Path) -> Release:
  """Reads evaluations and transcripts, and finds recordings and alignments.

  Raises:
    UserError: The folder is no release of IEMOCAP, or a file cannot be read.
  """
  if not folder.is_dir():
    raise UserError(
      f"{folder} is a file, expected the folder IEMOCAP_full_release"
    )
  found = sessions(folder)
  if not found:
    raise UserError(
      f"{folder} has no folder Session1/{_EVALUATIONS}, expected the release's"
      " folder, IEMOCAP_full_release"
    )
  tally: Counter[str] = Counter()
  utterances: list[Utterance] = []
  dialogues = 0
  for session in found:
    files = _dialogue_files(session / _EVALUATIONS)
    dialogues += len(files)
    for path in files:
      utterances += _dialogue(session, path, tally)
  if not utterances:
    raise UserError(
      f"{folder} holds no evaluation of an utterance; is it unpacked whole?"
    )
  return Release(utterances, tally, dialogues)


def _dialogue_files(folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the files of dialogues, not those of single raters."""
  return sorted(
    path
    for path in folder.glob("Ses*.txt")
    if path.is_file() and not path.name.startswith(".")
  )


def _dialogue(
  session: pathlib.Path, path: pathlib.Path, tally: Counter[str]
) -> list[Utterance]:
  """Reads a dialogue."""
  evaluations = evaluation_lib.read(path, tally)
  transcript = session / "dialog" / "transcriptions" / path.name
  texts = transcripts.read(transcript, tally) if transcript.is_file() else {}
  sentences = session / "sentences"
  number = _SESSION.fullmatch(session.name)[1]
  utterances = []
  for each in evaluations:
    name = each.name
    if name.session != int(number):
      raise UserError(
        f"{each.where}: {each.id} is of session {name.session} and lies in"
        f" {session.name}; was a file moved?"
      )
    wav = sentences / "wav" / name.dialogue / f"{each.id}.wav"
    alignment = (
      sentences / "ForcedAlignment" / name.dialogue / f"{each.id}.wdseg"
    )
    tally[WITHOUT_TEXT] += each.id not in texts
    utterances.append(
      Utterance(
        each,
        texts.pop(each.id, ""),
        wav if wav.is_file() else None,
        alignment if alignment.is_file() else None,
      )
    )
  tally[WITHOUT_EVALUATION] += len(texts)
  return utterances
