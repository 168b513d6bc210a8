"""Aligns sequences of time-stamped rows to the rows of one of them.

The rules are those of the SDK that .csd files come from
(CMU-MultiComp-Lab/CMU-MultimodalSDK, mmsdk/mmdatasdk):

- What stands before `[` in the name of an entry is the name of a recording.
  The entries of one recording are joined and sorted by their begin; those of
  the reference stay as they are.
- A row of the reference becomes an entry `NAME[k]`, k its place in its entry. A
  row shorter than 1e-5 s makes none, and its k is not given to another.
- Rows that share more than 1e-5 s with the row of the reference belong to it,
  cut to its interval. Where none does, there is no entry.
- The rows of an entry may be collapsed into one.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

EPSILON = 1e-5
MEAN, OVERLAP, NONE = "mean", "overlap", "none"
COLLAPSE = (MEAN, OVERLAP, NONE)


class Rows(NamedTuple):
  """Holds time-stamped rows.

  Attributes:
    features: (n, d), numbers or text.
    intervals: (n, 2), begin and end in seconds.
    tags: (n,), what each row stems from; carried along. A collapsed row has
      that of its first.
  """

  features: np.ndarray
  intervals: np.ndarray
  tags: np.ndarray


# The name of an entry to its rows.
Entries = Mapping[str, Rows]


def make_rows(
  features: np.ndarray, intervals: np.ndarray, tags: np.ndarray | None = None
) -> Rows:
  """Makes rows; they are tagged by their numbers where nothing else is said."""
  return Rows(
    features, intervals, np.arange(len(features)) if tags is None else tags
  )


def recording(name: str) -> str:
  """Returns the name of the recording that an entry is of."""
  return name.partition("[")[0]


class _Sorted:
  """Finds the rows of a recording that share time with an interval."""

  def __init__(self, rows: Rows) -> None:
    order = np.argsort(rows.intervals[:, 0], kind="stable")
    self._features = rows.features[order]
    self._begins, self._ends = rows.intervals[order].T
    self._tags = rows.tags[order]
    # Whoever begins before a row may still end behind it.
    self._latest = np.maximum.accumulate(self._ends)

  def cut(self, begin: float, end: float) -> Rows:
    """Returns the rows that share time with an interval, cut to it."""
    first = np.searchsorted(self._latest, begin, side="right")
    last = np.searchsorted(self._begins, end, side="left")
    begins = np.maximum(self._begins[first:last], begin)
    ends = np.minimum(self._ends[first:last], end)
    shared = ends - begins > EPSILON
    return Rows(
      self._features[first:last][shared],
      np.stack([begins[shared], ends[shared]], axis=1),
      self._tags[first:last][shared],
    )


def joined(entries: Iterable[Rows]) -> Rows:
  """Joins the rows of several entries, in their order."""
  parts = list(entries)
  if len(parts) == 1:
    return parts[0]
  return Rows(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def align(
  sequences: Mapping[str, Entries], reference: str, collapse: str
) -> dict[str, dict[str, Rows]]:
  """Aligns sequences to the rows of one of them.

  Args:
    sequences: Name to entries.
    reference: The name of the one whose rows the others are cut to.
    collapse: One of `COLLAPSE`, for numbers. Text is never collapsed.

  Returns:
    For each sequence the entries that any of its rows belongs to.
  """
  aligned: dict[str, dict[str, Rows]] = {name: {} for name in sequences}
  others = {
    name: _by_recording(entries)
    for name, entries in sequences.items()
    if name != reference
  }
  for name, rows in sequences[reference].items():
    for number, (begin, end) in enumerate(rows.intervals):
      if end - begin < EPSILON:
        continue
      key = f"{name}[{number}]"
      aligned[reference][key] = Rows(
        *(part[number : number + 1] for part in rows)
      )
      for other, recordings in others.items():
        if recording(name) not in recordings:
          continue
        cut = recordings[recording(name)].cut(begin, end)
        if len(cut.features):
          aligned[other][key] = collapse_rows(cut, collapse)
  return aligned


def _by_recording(entries: Entries) -> dict[str, _Sorted]:
  parts: dict[str, list[Rows]] = {}
  for name, rows in entries.items():
    parts.setdefault(recording(name), []).append(rows)
  return {name: _Sorted(joined(rows)) for name, rows in parts.items()}


def collapse_rows(rows: Rows, collapse: str) -> Rows:
  """Makes one row of some, from their first begin to their last end."""
  if collapse == NONE or rows.features.dtype.kind == "U":
    return rows
  begins, ends = rows.intervals.T
  # Infinite values stay, and those of both signs are no number.
  with np.errstate(invalid="ignore", over="ignore"):
    if collapse == MEAN:
      features = rows.features.mean(axis=0, dtype=np.float64, keepdims=True)
    else:
      weights = (ends - begins)[None, :]
      features = weights @ rows.features / weights.sum()
  interval = np.array([[begins.min(), ends.max()]])
  return Rows(features, interval, rows.tags[:1])


def impute(
  aligned: Mapping[str, Entries], reference: str, widths: Mapping[str, int]
) -> dict[str, dict[str, Rows]]:
  """Gives rows of zeros, of the reference's intervals, to absent entries.

  Args:
    aligned: What `align` returned.
    reference: The name that it was given.
    widths: The numbers of a row of each sequence that is to be completed.
  """
  imputed = dict(aligned)
  for name, width in widths.items():
    imputed[name] = {
      key: aligned[name].get(key)
      or rows._replace(features=np.zeros((len(rows.intervals), width)))
      for key, rows in aligned[reference].items()
    }
  return imputed


def hard_unify(aligned: Mapping[str, Entries]) -> dict[str, dict[str, Rows]]:
  """Keeps the entries that every sequence has."""
  kept = set.intersection(*(set(entries) for entries in aligned.values()))
  return {
    name: {key: rows for key, rows in entries.items() if key in kept}
    for name, entries in aligned.items()
  }
