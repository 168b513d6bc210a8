"""Reads IEMOCAP's word alignments and matches them with transcripts.

`sentences/ForcedAlignment/DIALOGUE/ID.wdseg`, as Sphinx-3 writes it:

         SFrm  EFrm    SegAScr Word
           45    79    -183467 EXCUSE(8)

Frames are of 10 ms from the beginning of the recording, the last one included.
`(8)` is one of several pronunciations. `<s>`, `</s>`, `<sil>` and what begins
with `++` (laughter, breath) are no words.

Transcripts and alignments write words differently: capitals, punctuation,
`[LAUGHTER]`, `D.M.V.`, `six-pack`. Both are cut into parts, runs of letters and
digits in lower case without apostrophes; marks and tags in brackets have none.
Then

1. runs of equal parts are matched (the longest ones first, as `difflib` does);
2. between two such runs, parts whose letters are the same in a row (`mmhmm` and
   `mm hmm`) share the frames by letters;
3. between two such runs, as many parts on both sides are matched one by one, by
   place alone (`okay` and `ok`);
4. all other parts match nothing.

A word of the transcript has the frames of its parts. What was matched by place,
and what was not, is counted.
"""

import difflib
import pathlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mmer_jax.base.errors import UserError
from mmer_jax.data import text_files

# Frames in a second.
RATE_HZ = 100
_PRONUNCIATION = re.compile(r"\(\d+\)$")
_FRAME = re.compile(r"[0-9]{1,9}")
_PART = re.compile(r"[^\W_]+")

# What became of words.
MATCHED = "matched by their letters"
BY_PLACE = "matched by their place alone"
WITHOUT_FRAMES = "of transcripts that no alignment has"
UNREAD = "of alignments in lines that are not understood"
WITHOUT_WORD = "of alignments that no transcript has"


class Segment(NamedTuple):
  """Holds an aligned word.

  Attributes:
    word: As the aligner writes it, without the pronunciation.
    start: In seconds from the beginning of the recording.
    end: In seconds.
  """

  word: str
  start: float
  end: float


class Span(NamedTuple):
  """Locates a word of a transcript, or a part of it, in the recording.

  Attributes:
    token: The number of the word in the transcript.
    start: In seconds.
    end: In seconds.
  """

  token: int
  start: float
  end: float


def read(path: pathlib.Path, tally: Counter[str]) -> list[Segment]:
  """Reads the words of a recording; silence and noises are left out.

  Args:
    path: The file.
    tally: Counts lines that cannot be understood.

  Raises:
    UserError: The file cannot be read, or a word ends before it begins.
  """
  segments = []
  try:
    with text_files.open_text(path) as file:
      for number, line in enumerate(file, 1):
        fields = line.split()
        # The heading, and the line of the total score.
        if not fields or fields[0] in ("SFrm", "Total"):
          continue
        if len(fields) != 4:
          tally[UNREAD] += 1
          continue
        segment = _segment(fields, f"{path.name} line {number}")
        if segment is not None:
          segments.append(segment)
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  except text_files.READ_ERRORS as error:
    raise UserError(f"{path}: cannot be read: {error}") from error
  return segments


def _segment(fields: Sequence[str], where: str) -> Segment | None:
  """Reads a line; None for what is no word."""
  if not all(_FRAME.fullmatch(field) for field in fields[:2]):
    raise UserError(
      f"{where}: {' '.join(fields)[:60]!r}, expected first frame, last frame,"
      " score and word"
    )
  first, last = int(fields[0]), int(fields[1])
  if last < first:
    raise UserError(
      f"{where}: a word from frame {first} to {last}, expected the last one to"
      " be no earlier than the first"
    )
  word = _PRONUNCIATION.sub("", fields[3])
  if word.startswith(("<", "++")):
    return None
  return Segment(word, first / RATE_HZ, (last + 1) / RATE_HZ)


class _Part(NamedTuple):
  """Holds a run of letters of a word: its owner, and its share of him."""

  letters: str
  owner: int
  begin: float
  end: float


def _parts(words: Sequence[str]) -> list[_Part]:
  """Cuts words into runs of letters; marks and tags have none."""
  parts = []
  for owner, word in enumerate(words):
    if word.startswith(("[", "{")):
      continue
    runs = _PART.findall(word.lower().replace("'", ""))
    total = sum(map(len, runs))
    at = 0
    for run in runs:
      parts.append(_Part(run, owner, at / total, (at + len(run)) / total))
      at += len(run)
  return parts


def match(
  tokens: Sequence[str], segments: Sequence[Segment], tally: Counter[str]
) -> list[Span]:
  """Finds where the words of a transcript are in the recording.

  Args:
    tokens: The words of the transcript, marks and tags among them.
    segments: The aligned words.
    tally: Counts words that are matched, and those that are not.

  Returns:
    The spans of the words, in the order of the transcript. A word in several
    parts may have several.
  """
  written = _parts(tokens)
  spoken = _parts([segment.word for segment in segments])
  matcher = difflib.SequenceMatcher(
    None,
    [part.letters for part in written],
    [part.letters for part in spoken],
    autojunk=False,
  )
  spans: list[Span] = []
  by_place: set[int] = set()
  heard: set[int] = set()
  for kind, *borders in matcher.get_opcodes():
    if kind in ("insert", "delete"):
      continue
    left = written[borders[0] : borders[1]]
    right = spoken[borders[2] : borders[3]]
    same = _joined(left) == _joined(right)
    if same and kind == "replace":
      spans += _shared(left, right, segments)
    elif same or len(left) == len(right):
      for a, b in zip(left, right, strict=True):
        spans.append(_span(a.owner, b, segments))
      if not same:
        by_place.update(part.owner for part in left)
    else:
      continue
    heard.update(part.owner for part in right)
  _count(written, spoken, spans, by_place, heard, tally)
  return spans


def _joined(parts: Sequence[_Part]) -> str:
  return "".join(part.letters for part in parts)


def _time(part: _Part, share: float, segments: Sequence[Segment]) -> float:
  """Finds the time at a share of a part, as if letters were equally long."""
  _, start, end = segments[part.owner]
  # The borders exactly: a frame's own numbers.
  at = part.begin + share * (part.end - part.begin)
  return start if at == 0 else end if at == 1 else start + at * (end - start)


def _span(token: int, part: _Part, segments: Sequence[Segment]) -> Span:
  return Span(token, _time(part, 0, segments), _time(part, 1, segments))


def _shared(
  left: Sequence[_Part], right: Sequence[_Part], segments: Sequence[Segment]
) -> list[Span]:
  """Shares the frames of the same letters, cut into words differently."""
  spans = []
  for part, (a, b) in zip(left, _borders(left), strict=True):
    for other, (c, d) in zip(right, _borders(right), strict=True):
      low, high = max(a, c), min(b, d)
      if low < high:
        start, end = (
          _time(other, (at - c) / (d - c), segments) for at in (low, high)
        )
        spans.append(Span(part.owner, start, end))
  return spans


def _borders(parts: Sequence[_Part]) -> list[tuple[int, int]]:
  """Lists the first and the last letter of each part in a row of them."""
  borders, at = [], 0
  for part in parts:
    borders.append((at, at + len(part.letters)))
    at += len(part.letters)
  return borders


def _count(
  written: Sequence[_Part],
  spoken: Sequence[_Part],
  spans: Sequence[Span],
  by_place: set[int],
  heard: set[int],
  tally: Counter[str],
) -> None:
  """Counts words by how they were matched."""
  words = {part.owner for part in written}
  found = {span.token for span in spans}
  tally[MATCHED] += len(found - by_place)
  tally[BY_PLACE] += len(found & by_place)
  tally[WITHOUT_FRAMES] += len(words - found)
  tally[WITHOUT_WORD] += len({part.owner for part in spoken} - heard)
