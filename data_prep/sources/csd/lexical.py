"""Makes the words of a recording into rows that frames are aligned to."""

from collections.abc import MutableMapping
from typing import NamedTuple

import numpy as np

from data_prep.sources.csd import align

DROP, KEEP = "drop", "keep"
SP = (DROP, KEEP)
WITHOUT_SP = "of pauses (sp) dropped with their frames"
# How forced alignments write a pause.
_PAUSES = ("sp", "")


class Lexical(NamedTuple):
  """Holds the lexical rows of a recording.

  Attributes:
    entries: Words, as text, or vectors; tags are places in `words`.
    words: The word of each row, of all entries; None where nothing says it.
  """

  entries: dict[str, align.Rows]
  words: list[str] | None


def is_pause(word: str) -> bool:
  """Tells whether an entry of a file of words is a pause."""
  return word.strip().lower() in _PAUSES


def from_words(
  words: align.Entries, sp: str, tally: MutableMapping[str, int]
) -> Lexical:
  """Makes rows of words.

  Args:
    words: The entries of a file of words.
    sp: One of `SP`, whether pauses are rows.
    tally: Counts the pauses that are dropped.
  """
  found: list[str] = []
  entries = {}
  for name, rows in words.items():
    texts = [word.strip() for word in rows.features[:, 0].tolist()]
    kept = np.array([sp == KEEP or not is_pause(word) for word in texts], bool)
    tally[WITHOUT_SP] += int((~kept).sum())
    first = len(found)
    found += [word for word, keep in zip(texts, kept, strict=True) if keep]
    entries[name] = align.Rows(
      rows.features[kept], rows.intervals[kept], np.arange(first, len(found))
    )
  return Lexical(entries, found)


def from_vectors(
  vectors: align.Entries, words: align.Entries | None
) -> Lexical:
  """Makes rows of vectors; their words are those that share most time.

  Args:
    vectors: The entries of a file of word vectors.
    words: The entries of a file of words; None where there is none.
  """
  entries, total = {}, 0
  for name, rows in vectors.items():
    count = len(rows.features)
    entries[name] = rows._replace(tags=np.arange(total, total + count))
    total += count
  if words is None:
    return Lexical(entries, None)
  named = [""] * total
  aligned = align.align({"vectors": entries, "words": words}, "vectors", "none")
  for key, rows in aligned["words"].items():
    lengths = rows.intervals[:, 1] - rows.intervals[:, 0]
    spoken = [
      (length, word)
      for length, word in zip(
        lengths.tolist(), rows.features[:, 0].tolist(), strict=True
      )
      if not is_pause(word)
    ]
    if spoken:
      (tag,) = aligned["vectors"][key].tags
      named[tag] = max(spoken, key=lambda pair: pair[0])[1].strip()
  return Lexical(entries, named)


def texts_of(words: align.Entries, labels: align.Entries) -> list[str]:
  """Lists the texts of the segments of a recording, without pauses."""
  aligned = align.align({"words": words, "labels": labels}, "labels", "none")
  return [
    text_of(rows.features[:, 0].tolist()) for rows in aligned["words"].values()
  ]


def text_of(words: list[str]) -> str:
  """Writes words as a text, without pauses."""
  return " ".join(word.strip() for word in words if not is_pause(word))


def says(words: align.Entries, wanted: set[str]) -> bool:
  """Tells whether any of some words is said in a recording."""
  return any(
    word.strip().lower() in wanted
    for rows in words.values()
    for word in rows.features[:, 0].tolist()
  )


def vectors_of(
  wanted: set[str], words: align.Entries, vectors: align.Entries
) -> dict[str, np.ndarray]:
  """Finds the vectors of some words where a recording says them."""
  named = from_vectors(vectors, words)
  rows = align.joined(named.entries.values())
  found = {}
  for tag, vector in zip(rows.tags, rows.features, strict=True):
    word = named.words[tag].lower()
    if word in wanted and np.isfinite(vector).all() and vector.any():
      found.setdefault(word, vector.astype(np.float32))
  return found
