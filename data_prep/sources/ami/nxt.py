"""Reads files of the NITE XML Toolkit (NXT): words, and segments of them.

`words/MEETING.AGENT.words.xml` holds what a person says, in order, the agent
being a letter from A to E:

  <w nite:id="ES2002a.A.words1" starttime="77.44" endtime="77.74">Hmm</w>

`punc="true"` is a mark, `trunc="true"` a word that was broken off; vocalsound,
disfmarker and gap are no words. Abbreviations are spelt `L_C_D_`, and read as
`LCD`. `segments/MEETING.AGENT.segments.xml` cuts them into stretches of speech:

  <segment transcriber_start="77.44" transcriber_end="79.49">
    <nite:child href="ES2002a.A.words.xml#id(ES2002a.A.words1)..id(...)"/>

Files with a document type or entities are refused: they may refer to anything.
"""

import pathlib
import re
from collections import Counter
from typing import NamedTuple
from xml.etree import ElementTree

from mmer_jax.base.errors import UserError
from mmer_jax.data import text_files

_NITE = "{http://nite.sourceforge.net/}"
_ENCODING = re.compile(rb"""^<\?xml[^>]*encoding=["']([\w.-]+)["']""")
_HREF = re.compile(r"([^#]+)#id\(([^()]+)\)(?:\.\.id\(([^()]+)\))?")
_SPELT = re.compile(r"(?<![^\W_])(?:[^\W\d_]_)+")
WORDS = re.compile(r"(\w+)\.([A-Z])\.words\.xml")

WITHOUT_TIMES = "of segments without times, or that end before they begin"
WITHOUT_LINK = "of segments that name no words left out"


class Word(NamedTuple):
  """Holds a word or a mark.

  Attributes:
    text: As it is read.
    start: In seconds from the beginning of the meeting; None where the file
      does not say.
    end: In seconds, or None.
    is_mark: Whether it is punctuation.
  """

  text: str
  start: float | None
  end: float | None
  is_mark: bool

  @property
  def is_timed(self) -> bool:
    """Whether it is a word with both times."""
    return not self.is_mark and self.start is not None and self.end is not None


class Stream(NamedTuple):
  """Holds what a person says in a meeting.

  Attributes:
    meeting: As ES2002a.
    agent: A letter.
    path: The file of words.
    items: The words by the ids of their elements, in order; None for what is no
      word.
  """

  meeting: str
  agent: str
  path: pathlib.Path
  items: dict[str, Word | None]


class Segment(NamedTuple):
  """Holds a stretch of speech.

  Attributes:
    where: File and segment, for messages.
    start: In seconds from the beginning of the meeting.
    end: In seconds.
    first: The place of its first item in the stream.
    last: The place of its last item.
  """

  where: str
  start: float
  end: float
  first: int
  last: int


def parse(path: pathlib.Path) -> ElementTree.Element:
  """Parses a file of XML without document type and entities.

  Raises:
    UserError: It has them, or it is no XML in UTF-8 or ISO-8859-1.
  """
  try:
    content = path.read_bytes()
  except OSError as error:
    raise UserError(f"{path}: cannot be read: {error}") from error
  text_files.check_start(path, content[:64])
  declared = _ENCODING.match(content)
  encoding = declared[1].decode().lower() if declared else "utf-8"
  if encoding not in ("utf-8", "iso-8859-1", "us-ascii"):
    raise UserError(
      f"{path} is XML in {encoding}, expected UTF-8 or ISO-8859-1; save it so"
    )
  try:
    text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  for refused in ("<!DOCTYPE", "<!ENTITY"):
    if refused in text:
      raise UserError(
        f"{path} holds {refused}, which the corpus's files do not and which may"
        " refer to anything; remove it"
      )
  try:
    return ElementTree.fromstring(text)
  except ElementTree.ParseError as error:
    raise UserError(f"{path} is not XML: {error}; is it damaged?") from None


def read_words(path: pathlib.Path, tally: Counter[str] | None = None) -> Stream:
  """Reads what a person says.

  Args:
    path: `MEETING.AGENT.words.xml`.
    tally: Counts words, marks, and what is no word by the name of its element.

  Raises:
    UserError: The file cannot be read, or a time in it.
  """
  meeting, agent = WORDS.fullmatch(path.name).groups()
  items: dict[str, Word | None] = {}
  counts: Counter[str] = Counter()
  for number, element in enumerate(parse(path), 1):
    name = element.get(f"{_NITE}id") or f"element {number}"
    where = f"{path.name} {name}"
    if name in items:
      raise UserError(f"{where} stands there twice; ids must be unique")
    items[name] = _word(element, where, counts)
  if tally is not None:
    tally.update(counts)
  return Stream(meeting, agent, path, items)


def _word(
  element: ElementTree.Element, where: str, counts: Counter[str]
) -> Word | None:
  """Reads an element; None for what is no word."""
  text = " ".join((element.text or "").split())
  if element.tag != "w" or not text:
    kind = element.tag.rpartition("}")[2] if element.tag != "w" else "empty w"
    counts[kind] += 1
    return None
  start, end = (_time(element, key, where) for key in ("starttime", "endtime"))
  if start is not None and end is not None and end < start:
    counts["words that end before they begin, their times not used"] += 1
    start = end = None
  is_mark = element.get("punc") == "true"
  counts["marks" if is_mark else "words"] += 1
  if not is_mark:
    counts["words broken off"] += element.get("trunc") == "true"
    counts["words without times"] += start is None or end is None
  return Word(_SPELT.sub(_joined, text), start, end, is_mark)


def _joined(match: re.Match[str]) -> str:
  return match[0].replace("_", "")


def _time(element: ElementTree.Element, key: str, where: str) -> float | None:
  """Reads a time in seconds; None where the element has none."""
  text = element.get(key)
  if not text:
    return None
  # Neither blanks nor "nan" are times, nor what is beyond all numbers.
  if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?([eE]-?[0-9])?", text):
    raise UserError(f"{where}: {key} {text!r}, expected seconds")
  return float(text)


def read_segments(
  path: pathlib.Path, stream: Stream, tally: Counter[str]
) -> list[Segment]:
  """Reads the segments of a person's words, in the order of the file.

  Args:
    path: `MEETING.AGENT.segments.xml`.
    stream: The words.
    tally: Counts segments that are left out.

  Raises:
    UserError: The file cannot be read, or names words that the stream does not
      have.
  """
  places = {name: place for place, name in enumerate(stream.items)}
  segments = []
  for number, element in enumerate(parse(path), 1):
    if element.tag != "segment":
      continue
    where = f"{path.name} segment {number}"
    start, end = (
      _time(element, f"transcriber_{key}", where) for key in ("start", "end")
    )
    if start is None or end is None or end < start:
      tally[WITHOUT_TIMES] += 1
      continue
    found: list[int] = []
    for child in element.iter(f"{_NITE}child"):
      found += _range(child.get("href", ""), stream, places, where)
    if not found:
      tally[WITHOUT_LINK] += 1
      continue
    segments.append(Segment(where, start, end, min(found), max(found)))
  return segments


def _range(
  href: str, stream: Stream, places: dict[str, int], where: str
) -> list[int]:
  """Finds the first and the last item that a link names."""
  match = _HREF.fullmatch(href)
  if match is None or match[1] != stream.path.name:
    raise UserError(
      f"{where}: {href!r} names no words of {stream.path.name}, expected"
      " FILE#id(A)..id(B)"
    )
  found = []
  for name in (match[2], match[3] or match[2]):
    if name not in places:
      raise UserError(f"{where}: {stream.path.name} has no {name!r}")
    found.append(places[name])
  return found
