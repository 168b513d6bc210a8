"""Describes arrays of an utterance each: one line for those that are alike."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_prep.sources.folder import arrays as arrays_lib
from data_prep.sources.folder import frame_files

# Fewer arrays of one length are columns of a table.
_MANY = 20


def is_folder(path: pathlib.Path) -> bool:
  """Tells whether a folder holds files of arrays, in folders or not."""
  return any(
    each.name.lower().endswith(frame_files.SUFFIXES)
    and not each.name.startswith(".")
    for each in path.rglob("*")
  )


def describe_folder(path: pathlib.Path) -> dict[str, Any]:
  """Describes the arrays below a folder, an utterance a file."""
  arrays = arrays_lib.open_arrays(str(path))
  columns = {}
  for name in arrays.names:
    frames = arrays.read(name)
    columns[name] = _entry(frames.values)
    if frames.columns:
      columns[name]["note"] = f"{frames.columns[0]} to {frames.columns[-1]}"
    if frames.masked:
      columns[name]["masked"] = frames.masked
  described = {"kind": "arrays", "columns": merge(columns, always=True)}
  described["layout"] = f"{arrays.kind}, {len(arrays.names)} utterances"
  if arrays.unread:
    described["layout"] += f", {len(arrays.unread)} other files"
  return described


def describe_npy(path: pathlib.Path) -> dict[str, Any]:
  """Describes the array of a .npy file."""
  array = frame_files.load(path, mmap_mode="r")
  entry: dict[str, Any] = {
    "shape": list(array.shape),
    "dtype": str(array.dtype),
  }
  if array.dtype.kind in "fiub" and array.size:
    entry = {**entry, **_range(np.asarray(array, np.float64))}
  return {"kind": "npy", "columns": {path.stem: entry}}


def _entry(values: np.ndarray) -> dict[str, Any]:
  entry = {"shape": list(values.shape), "dtype": str(values.dtype)}
  return {**entry, **_range(values)} if values.size else entry


def _range(values: np.ndarray) -> dict[str, Any]:
  finite = np.isfinite(values)
  some = bool(finite.any())
  return {
    "min": float(np.min(values, where=finite, initial=np.inf))
    if some
    else None,
    "max": float(np.max(values, where=finite, initial=-np.inf))
    if some
    else None,
    "nonfinite": int((~finite).sum()),
  }


def merge(
  columns: Mapping[str, dict[str, Any]], *, always: bool = False
) -> dict[str, dict[str, Any]]:
  """Makes one entry of the arrays that differ in their lengths only.

  Args:
    columns: Name to what is known of an array.
    always: Whether they are known to be an utterance each; elsewhere arrays of
      one length, of text or of other kinds are columns of a table.

  Returns:
    The entries, those of several arrays with `arrays` and `lengths` and None
    for the length in `shape`; the same where they are columns.
  """
  shapes = [entry.get("shape", ()) for entry in columns.values()]
  alike = {(len(shape), *shape[1:]) for shape in shapes}
  lengths = {shape[0] for shape in shapes if shape}
  numbers = all("nonfinite" in entry for entry in columns.values())
  per_utterance = len(alike) == 1 and numbers and min(map(len, shapes)) == 2
  several = len(columns) > 2 and len(lengths) > 1 or len(columns) > _MANY
  if not always and not (per_utterance and several):
    return dict(columns)
  groups: dict[tuple, dict[str, dict[str, Any]]] = {}
  for name, entry in columns.items():
    key = (*entry["shape"][1:], entry["dtype"], entry.get("note"))
    groups.setdefault(key, {})[name] = entry
  merged = {}
  for group in groups.values():
    first = next(iter(group))
    merged[f"{first}, ..." if len(group) > 1 else first] = _merged(group)
  return merged


def _merged(group: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
  entries = list(group.values())
  if len(entries) == 1:
    return entries[0]
  lengths = [entry["shape"][0] for entry in entries]
  ranges = [entry for entry in entries if entry.get("min") is not None]
  merged = {
    **entries[0],
    "arrays": len(entries),
    "shape": [None, *entries[0]["shape"][1:]],
    "lengths": [min(lengths), max(lengths)],
    "min": min((entry["min"] for entry in ranges), default=None),
    "max": max((entry["max"] for entry in ranges), default=None),
    "nonfinite": sum(entry.get("nonfinite", 0) for entry in entries),
  }
  if any("masked" in entry for entry in entries):
    merged["masked"] = sum(entry.get("masked", 0) for entry in entries)
  return merged
