"""Finds the arrays of the utterances of a table."""

import pathlib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence

import numpy as np

from data_prep.corpus import corpus
from data_prep.sources import utterance_rows
from data_prep.sources.folder import arrays as arrays_lib
from data_prep.sources.folder import frame_files
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema

# Endings that ids have where they are names of files.
_ENDINGS = (
  *(".wav", ".mp3", ".mp4", ".avi", ".flac", ".npz", ".h5"),
  *frame_files.SUFFIXES,
)
# Names that a message shows.
_SHOWN = 5


class Matched:
  """Adds arrays to utterances.

  Attributes:
    modalities: Describes those of the arrays.
    notes: What has no counterpart, a sentence each.
  """

  def __init__(
    self,
    arrays: Mapping[str, arrays_lib.Arrays],
    rows: utterance_rows.Rows,
    zero_rows: Sequence[str],
  ) -> None:
    """Matches ids and arrays.

    Args:
      arrays: Modality to its arrays.
      rows: The table.
      zero_rows: Modalities in which all-zero frames are padding.

    Raises:
      UserError: No utterance has an array, or arrays of one modality differ
        in their features.
    """
    for name in zero_rows:
      if name not in arrays:
        raise UserError(
          f"--zero_rows has {name!r}, expected one of {', '.join(arrays)}"
          f"{errors.did_you_mean(name, arrays)}"
        )
    self._arrays = arrays
    ids = [example.id for example, _ in rows.examples({})]
    self._names: dict[str, dict[str, str]] = {}
    self._first: dict[str, arrays_lib.Frames] = {}
    self.modalities: dict[str, corpus.Modality] = {}
    notes = []
    for modality, each in arrays.items():
      self._names[modality], found = _match(modality, each, ids)
      notes += found
      first = self._first_frames(modality)
      self._first[modality] = first
      padded = first.padded or modality in zero_rows
      self.modalities[modality] = corpus.Modality(
        first.columns or corpus.numbered(modality, first.values.shape[1]),
        corpus.ZERO_ROWS if padded else corpus.NO_PADDING,
      )
    self.notes = tuple(notes)

  def _first_frames(self, modality: str) -> arrays_lib.Frames:
    """Reads the first array that is not empty; others must be alike."""
    each = self._arrays[modality]
    for name in self._names[modality].values():
      frames = each.read(name)
      if len(frames.values):
        return frames
    raise UserError(f"{each.path}: every array is empty, expected frames")

  def add(
    self,
    example: corpus.Example,
    tally: MutableMapping[str, int],
  ) -> None:
    """Adds the streams of an utterance that has arrays.

    Args:
      example: Gets them.
      tally: Counts frames without a face.
    """
    for modality, names in self._names.items():
      if example.id not in names:
        continue
      frames = self._arrays[modality].read(names[example.id])
      if not len(frames.values):
        continue
      values = _alike(modality, frames, self._first[modality])
      example.streams[modality] = values
      example.stream_where = {**example.stream_where, modality: frames.where}
      if frames.masked:
        what = f"of {modality} without a face (success 0) masked"
        tally[what] = tally.get(what, 0) + frames.masked
    example.streams = {
      name: example.streams[name]
      for name in schema.MODALITIES
      if name in example.streams
    }


def _alike(
  modality: str, frames: arrays_lib.Frames, first: arrays_lib.Frames
) -> np.ndarray:
  """Returns the values with the features of the first array, in its order."""
  dim, expected = frames.values.shape[1], first.values.shape[1]
  if dim != expected:
    raise UserError(
      f"{frames.where}: {dim} {modality} features, expected {expected} as in"
      f" {first.where}; arrays of one modality need the same features"
    )
  if frames.columns == first.columns:
    return frames.values
  if not frames.columns or not first.columns:
    named, unnamed = (frames, first) if frames.columns else (first, frames)
    raise UserError(
      f"{frames.where}: {dim} features as in {first.where}, but {unnamed.where}"
      f" has no names for them and {named.where} has; expected names in all"
    )
  missing = [c for c in first.columns if c not in frames.columns]
  if missing:
    raise UserError(
      f"{frames.where}: its columns are not those of {first.where}; they differ"
      f" in {missing[0]!r}, expected the same names"
    )
  return frames.values[:, [frames.columns.index(c) for c in first.columns]]


def _match(
  modality: str, arrays: arrays_lib.Arrays, ids: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
  """Maps ids to names of arrays; tells what has no counterpart."""
  if arrays.by_row:
    return _by_row(modality, arrays, ids)
  known = set(arrays.names)
  found = {each: each for each in ids if each in known}
  notes = []
  if not found:
    found = _by_stem(arrays, ids)
    if found:
      notes.append(
        f"{modality}: ids and arrays are matched without folders and endings,"
        f" {next(iter(found))!r} is {next(iter(found.values()))!r}"
      )
  if not found:
    example = arrays.names[0] if arrays.names else "nothing"
    raise UserError(
      f"{arrays.path}: no {modality} array is of an utterance of the table;"
      f" the table has {_some(ids)}, the arrays are {_some(arrays.names)};"
      f" --id_column names another column{errors.did_you_mean(example, ids)}"
    )
  without = [each for each in ids if each not in found]
  if without:
    notes.append(
      f"{modality}: {len(without)} of {len(ids)} utterances have no array in"
      f" {arrays.path.name} ({_some(without)})"
    )
  used = set(found.values())
  extra = [name for name in arrays.names if name not in used]
  if extra:
    notes.append(
      f"{modality}: {len(extra)} of {len(arrays.names)} arrays of"
      f" {arrays.path.name} have no row in the table and are left out"
      f" ({_some(extra)})"
    )
  if arrays.unread:
    notes.append(
      f"{modality}: {len(arrays.unread)} files of {arrays.path.name} are no"
      f" arrays and are not read ({_some(arrays.unread)})"
    )
  return found, notes


def _by_row(
  modality: str, arrays: arrays_lib.Arrays, ids: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
  """Takes row i of an array for row i of the table."""
  if len(arrays.names) != len(ids):
    raise UserError(
      f"{arrays.path} has {len(arrays.names)} rows and the table {len(ids)};"
      " expected one for each in the same order, or a folder with an array for"
      " each utterance"
    )
  note = (
    f"{modality}: row i of {arrays.path.name} is taken for row i of the table;"
    " the file has no ids to compare"
  )
  return dict(zip(ids, arrays.names, strict=True)), [note]


def _by_stem(arrays: arrays_lib.Arrays, ids: Sequence[str]) -> dict[str, str]:
  """Maps ids to arrays by the last part of both, without an ending."""
  names: dict[str, str] = {}
  for name in arrays.names:
    stem = _stem(name)
    if stem in names:
      raise UserError(
        f"{arrays.path}: {names[stem]!r} and {name!r} would both be utterance"
        f" {stem!r}; expected ids with their folders in the table, or one array"
      )
    names[stem] = name
  found: dict[str, str] = {}
  taken: set[str] = set()
  for each in ids:
    name = names.get(_stem(each))
    if name in taken:
      raise UserError(
        f"{arrays.path}: {name!r} would be the array of {each!r} and of another"
        " utterance; expected ids that differ without folders and endings"
      )
    if name is not None:
      found[each] = name
      taken.add(name)
  return found


def _stem(name: str) -> str:
  last = pathlib.PurePosixPath(name.replace("\\", "/")).name
  ending = next((e for e in _ENDINGS if last.lower().endswith(e)), "")
  return last[: len(last) - len(ending)]


def _some(names: Iterable[str]) -> str:
  names = list(names)
  more = ", ..." if len(names) > _SHOWN else ""
  return ", ".join(map(repr, names[:_SHOWN])) + more
