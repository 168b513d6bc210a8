"""Cuts AMI's meetings into utterances: segments as transcribed, or crops."""

import pathlib
from collections import Counter
from typing import NamedTuple

from data_prep.sources.ami import crops as crops_lib
from data_prep.sources.ami import nxt
from mmer_jax.base.errors import UserError

WITHOUT_WORDS = "of segments without a word left out"
WITHOUT_SEGMENTS = "of people whose words have no file of segments left out"


# Liang et al. 2020, section 4.2.
CROPS = 20000


class Crops(NamedTuple):
  """Says which crops are drawn.

  Attributes:
    width: Seconds of a crop.
    count: How many are drawn; 0 for all that there are.
    seed: Of the draw.
  """

  width: float
  count: int = CROPS
  seed: int = 0


class Cut(NamedTuple):
  """Locates an utterance.

  Attributes:
    id: Unique in the corpus.
    where: File and element, for messages.
    stream: The number of its file of words.
    start: In seconds from the beginning of the meeting.
    end: In seconds.
    places: Of its words and marks in the stream.
  """

  id: str
  where: str
  stream: int
  start: float
  end: float
  places: tuple[int, ...]


def find(folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the files of words of a folder in NXT's layout.

  Raises:
    UserError: There are none.
  """
  words = folder / "words"
  files = sorted(words.iterdir()) if words.is_dir() else []
  files = [path for path in files if nxt.WORDS.fullmatch(path.name)]
  if not files:
    raise UserError(
      f"{folder} has no words/MEETING.A.words.xml, expected the folder of AMI's"
      " manual annotations"
    )
  return files


def cut(
  folder: pathlib.Path,
  files: list[pathlib.Path],
  crops: Crops | None,
  tally: Counter[str],
) -> list[Cut]:
  """Lists the utterances, file by file.

  Args:
    folder: The corpus.
    files: Of words.
    crops: What is drawn; None for the segments of the transcripts.
    tally: Counts words and other elements, and what is left out.

  Raises:
    UserError: There are none, or a file cannot be read.
  """
  if crops is None:
    cuts = _segments(folder, files, tally)
  else:
    cuts = _crops(files, crops, tally)
  if not cuts:
    what = "segment with words"
    if crops is not None:
      what = f"three words in a row within {crops.width:g} s"
    raise UserError(f"{folder} has no {what}; are its files complete?")
  return cuts


def _segments(
  folder: pathlib.Path, files: list[pathlib.Path], tally: Counter[str]
) -> list[Cut]:
  """Lists the segments that hold a word."""
  cuts = []
  for number, path in enumerate(files):
    stream = nxt.read_words(path, tally)
    name = f"{stream.meeting}.{stream.agent}"
    file = folder / "segments" / f"{name}.segments.xml"
    if not file.is_file():
      tally[WITHOUT_SEGMENTS] += 1
      continue
    items = list(stream.items.values())
    for index, each in enumerate(nxt.read_segments(file, stream, tally)):
      places = tuple(
        p for p in range(each.first, each.last + 1) if items[p] is not None
      )
      if all(items[p].is_mark for p in places):
        tally[WITHOUT_WORDS] += 1
        continue
      cuts.append(
        Cut(
          f"{name}.{index:04d}",
          each.where,
          number,
          each.start,
          each.end,
          places,
        )
      )
  return cuts


def _crops(
  files: list[pathlib.Path], crops: Crops, tally: Counter[str]
) -> list[Cut]:
  """Draws crops around three words in a row."""
  totals = [
    len(crops_lib.possible(nxt.read_words(path, tally), crops.width))
    for path in files
  ]
  chosen = crops_lib.draw(sum(totals), crops.count, crops.seed)
  cuts: list[Cut] = []
  first = 0
  for number, (path, total) in enumerate(zip(files, totals, strict=True)):
    own = [each - first for each in chosen if first <= each < first + total]
    first += total
    if not own:
      continue
    stream = nxt.read_words(path)
    names = list(stream.items)
    found = crops_lib.possible(stream, crops.width)
    for index in own:
      crop = found[index]
      name = names[crop.middle]
      cuts.append(
        Cut(
          name,
          f"{path.name} {name}",
          number,
          crop.start,
          crop.end,
          crop.words,
        )
      )
  return cuts
