"""Describes .csd files: what each holds, and which recordings they share.

Of frames only the shapes are read; words and labels are read whole.
"""

import pathlib
from collections import Counter
from typing import Any

import numpy as np

from data_prep.sources.csd import labels as labels_lib
from data_prep.sources.csd import lexical, read, roles, unify

# Names of recordings that are listed.
_SHOWN = 20


def is_folder(folder: pathlib.Path) -> bool:
  """Tells whether a folder holds .csd files."""
  return bool(roles.paths_in(folder))


def describe_csd(path: pathlib.Path) -> dict[str, Any]:
  """Describes the sequence in a file, or the sequences in a folder.

  Args:
    path: A .csd file, or a folder with some.

  Returns:
    `kind`, `columns` (a row for each file and each column of labels) and, of a
    folder, `recordings`.

  Raises:
    UserError: A file cannot be read.
  """
  paths = roles.paths_in(path) if path.is_dir() else [path]
  sequences = [read.open_sequence(each) for each in paths]
  columns: dict[str, dict[str, Any]] = {}
  for sequence in sequences:
    columns.update(_columns(sequence))
  described: dict[str, Any] = {"kind": "csd", "columns": columns}
  if path.is_dir():
    described["recordings"] = _recordings(sequences)
    columns["recordings in all files"] = {
      "note": _sentence(described["recordings"])
    }
  return described


def _columns(sequence: read.Sequence) -> dict[str, dict[str, Any]]:
  """Describes a file, and what its words or labels are."""
  name, role = sequence.path.name, roles.role_of(sequence)
  tally: Counter[str] = Counter()
  entries = sum(map(len, sequence.recordings.values()))
  notes = [
    f"{role or 'unknown'}, first key {sequence.root!r}",
    f"{entries} entries of {len(sequence.recordings)} recordings",
  ]
  shape = read.shape(sequence)
  columns = {name: {"shape": shape, "dtype": _dtype(sequence)}}
  if sequence.text:
    pauses, words = _words(sequence, tally)
    notes.append(f"words: {words}; pauses (sp): {pauses}")
  elif role == roles.LABELS:
    columns.update(_labels(sequence, tally))
  notes += [f"{count} rows {what}" for what, count in tally.items()]
  columns[name]["note"] = "; ".join(notes)
  return columns


def _dtype(sequence: read.Sequence) -> str:
  return "text" if sequence.text else "numbers"


def _words(sequence: read.Sequence, tally: Counter[str]) -> tuple[int, int]:
  """Counts the pauses and the words of a file of words."""
  pauses, total = 0, 0
  with sequence.opened(tally) as entries_of:
    for recording in sequence.recordings:
      for rows in entries_of(recording).values():
        pauses += sum(map(lexical.is_pause, rows.features[:, 0].tolist()))
        total += len(rows.features)
  return pauses, total - pauses


def _labels(
  sequence: read.Sequence, tally: Counter[str]
) -> dict[str, dict[str, Any]]:
  """Describes each column of a file of labels."""
  with sequence.opened(tally) as entries_of:
    parts = [
      rows.features
      for recording in sequence.recordings
      for rows in entries_of(recording).values()
    ]
  values = np.concatenate(parts).astype(np.float64)
  names = labels_lib.COLUMNS.get(
    sequence.width, tuple(map(str, range(sequence.width)))
  )
  described = {}
  for name, column in zip(names, values.T, strict=True):
    finite = column[np.isfinite(column)]
    described[f"{sequence.path.name}: {name}"] = {
      "shape": [len(column)],
      "min": float(finite.min()) if finite.size else None,
      "max": float(finite.max()) if finite.size else None,
      "positive": int((finite > 0).sum()),
      "nonfinite": len(column) - finite.size,
    }
  return described


def _recordings(sequences: list[read.Sequence]) -> dict[str, Any]:
  """Compares the recordings of several files."""
  by_file = {each.path.name: each.recordings for each in sequences}
  return {
    "files": {name: len(recordings) for name, recordings in by_file.items()},
    "in_all": len(unify.common(by_file)),
    "dropped_by_prefix": unify.dropped_by_prefix(by_file),
  }


def _sentence(recordings: dict[str, Any]) -> str:
  prefixed = recordings["dropped_by_prefix"]
  text = f"{recordings['in_all']}"
  if prefixed:
    shown = ", ".join(prefixed[:_SHOWN])
    more = ", ..." if len(prefixed) > _SHOWN else ""
    text += (
      f"; --unify=reference drops {len(prefixed)} of them, whose names begin as"
      f" those that are not: {shown}{more}"
    )
  return text
