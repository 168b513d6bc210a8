"""Reads .csd files, HDF5 of time-stamped features, recording by recording.

`/ROOT/data/ENTRY` holds `features` (n, d) and `intervals` (n, 2) in seconds.
The root is the first key whatever its name, and the metadata is not read: the
files of some corpora hold in it what belongs to others. An entry is one
recording, or with `[k]` behind its name a part of one.
"""

import contextlib
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from typing import NamedTuple

import h5py
import numpy as np

from data_prep.readers import hdf5_arrays
from data_prep.sources.csd import align
from mmer_jax.base.errors import UserError
from mmer_jax.data import text_files

BACKWARDS = "whose interval ends before it begins, or is no number, left out"
NOT_UTF8 = "with a word that is not UTF-8, its bytes replaced"
_DAMAGE = (*hdf5_arrays.DAMAGE, IndexError, AttributeError)
# Packed data is at most about a thousand times as long as its packing.
_MOST_PACKED = 1100


class Sequence(NamedTuple):
  """Describes the sequence in a .csd file.

  Attributes:
    path: The file.
    root: The name of its first key.
    recordings: Name to the names of its entries.
    text: Whether rows are words.
    width: Values of a row.
  """

  path: pathlib.Path
  root: str
  recordings: dict[str, tuple[str, ...]]
  text: bool
  width: int

  @contextlib.contextmanager
  def opened(
    self, tally: MutableMapping[str, int] | None = None
  ) -> Iterator[Callable[[str], dict[str, align.Rows]]]:
    """Opens the file; gives a function that reads the entries of a recording.

    Args:
      tally: Counts the rows that are left out or changed, in words.
    """
    counts = Counter() if tally is None else tally
    with _file(self.path) as file:
      data = _member(file, self.root, self.path)

      def read(recording: str) -> dict[str, align.Rows]:
        return {
          name: _entry(self, data, name, counts)
          for name in self.recordings[recording]
        }

      yield read


def open_sequence(path: pathlib.Path) -> Sequence:
  """Reads what a .csd file holds, and none of its rows but their widths.

  Raises:
    UserError: It is no such file, or holds no entry.
  """
  with _file(path) as file, _damage(path, "its entries"):
    root = next(iter(file), None)
    if root is None:
      raise UserError(f"{path} is empty, expected the key of a sequence")
    text_files.check_surrogates(root, f"{path}: its first key")
    data = _member(file, root, path)
    recordings: dict[str, list[str]] = {}
    for name in data:
      text_files.check_surrogates(name, f"{path}: the name of an entry")
      recordings.setdefault(align.recording(name), []).append(name)
    if not recordings:
      raise UserError(f"{path}: {root!r} has no entry; nothing to align")
    text, width = _kind(path, data)
  return Sequence(
    path,
    root,
    {key: tuple(names) for key, names in recordings.items()},
    text,
    width,
  )


@contextlib.contextmanager
def _file(path: pathlib.Path) -> Iterator[h5py.File]:
  try:
    file = h5py.File(path, "r")
  except _DAMAGE as error:
    raise UserError(
      f"{path} is not a readable HDF5 file: {_one_line(error)}; is it"
      " truncated?"
    ) from error
  try:
    yield file
  finally:
    # What was read stays read; a damaged file may not close.
    with contextlib.suppress(*_DAMAGE):
      file.close()


@contextlib.contextmanager
def _damage(path: pathlib.Path, what: str) -> Iterator[None]:
  """Makes a line of what a damaged file makes of its reader."""
  try:
    yield
  except UserError:
    raise
  except _DAMAGE as error:
    raise UserError(
      f"{path}: {what} cannot be read: {_one_line(error)}; is the file damaged?"
    ) from error


def _one_line(error: BaseException) -> str:
  return " ".join(str(error).split())[:200] or type(error).__name__


def _member(file: h5py.File, root: str, path: pathlib.Path) -> h5py.Group:
  with _damage(path, f"{root!r}"):
    group = file[root]
    data = group.get("data") if isinstance(group, h5py.Group) else None
    if not isinstance(data, h5py.Group):
      raise UserError(
        f"{path}: no group {root!r}/data, expected a computational sequence"
        " with the entries in it"
      )
    return data


def _datasets(
  path: pathlib.Path, data: h5py.Group, name: str
) -> tuple[h5py.Dataset, h5py.Dataset]:
  """Finds the features and the intervals of an entry."""
  entry = data.get(name)
  found = []
  for member in ("features", "intervals"):
    item = entry.get(member) if isinstance(entry, h5py.Group) else None
    if not isinstance(item, h5py.Dataset) or item.shape is None:
      raise UserError(f"{path}: entry {name!r} has no data set {member!r}")
    size = item.size * item.dtype.itemsize
    if size > _MOST_PACKED * path.stat().st_size:
      raise UserError(
        f"{path}: {member} of {name!r} say that they have {size} bytes, more"
        " than the file can hold; is it damaged?"
      )
    found.append(item)
  return found[0], found[1]


def _is_text(features: h5py.Dataset) -> bool:
  # Text of any length is of the kind O; so are references, which are no text.
  kind = h5py.check_string_dtype(features.dtype)
  return kind is not None or features.dtype.kind == "S"


def _kind(path: pathlib.Path, data: h5py.Group) -> tuple[bool, int]:
  """Tells whether entries are text, and their width, by the first with rows."""
  for name in data:
    features, intervals = _datasets(path, data, name)
    if features.size:
      flat = len(intervals.shape) == 1
      shape = features.shape if flat else features.shape[1:]
      return _is_text(features), int(np.prod(shape, dtype=np.int64))
  raise UserError(f"{path}: no entry has a row; nothing to align")


def _entry(
  sequence: Sequence,
  data: h5py.Group,
  name: str,
  tally: MutableMapping[str, int],
) -> align.Rows:
  """Reads the rows of an entry."""
  path = sequence.path
  with _damage(path, f"entry {name!r}"):
    features, intervals = _datasets(path, data, name)
    if _is_text(features) != sequence.text or not (
      sequence.text or features.dtype.kind in "fiub"
    ):
      raise UserError(
        f"{path}: features of {name!r} are {features.dtype}, expected"
        f" {'text' if sequence.text else 'numbers'} as in the first entry"
      )
    if intervals.dtype.kind not in "fiu":
      raise UserError(
        f"{path}: intervals of {name!r} are {intervals.dtype}, expected seconds"
      )
    values, times = features[()], np.asarray(intervals[()], np.float64)
  if times.ndim == 1 and times.size == 2:
    # One row, without the axis of rows.
    values, times = np.asarray(values)[None], times[None]
  return _checked(sequence, name, np.asarray(values), times, tally)


def _checked(
  sequence: Sequence,
  name: str,
  values: np.ndarray,
  times: np.ndarray,
  tally: MutableMapping[str, int],
) -> align.Rows:
  """Checks the shapes of an entry; rows without a time have no length."""
  count = len(values) if values.ndim else 0
  if times.shape != (count, 2) and times.size + count:
    raise UserError(
      f"{sequence.path}: entry {name!r} has features of shape {values.shape}"
      f" and intervals of shape {times.shape}, expected (n, ...) and (n, 2)"
    )
  if not count:
    values = np.zeros((0, sequence.width), "U1" if sequence.text else float)
    return align.make_rows(values, np.zeros((0, 2)))
  values = values.reshape(count, -1)
  if values.shape[1] != sequence.width:
    raise UserError(
      f"{sequence.path}: entry {name!r} has rows of {values.shape[1]} values,"
      f" expected {sequence.width} as in the first entry"
    )
  if sequence.text:
    values = _decoded(values, tally)
  with np.errstate(invalid="ignore"):
    sound = np.isfinite(times).all(axis=1) & (times[:, 1] >= times[:, 0])
  _count(tally, BACKWARDS, int((~sound).sum()))
  # A row of no length belongs to nothing, and keeps its place.
  return align.make_rows(values, np.where(sound[:, None], times, 0.0))


def _decoded(values: np.ndarray, tally: MutableMapping[str, int]) -> np.ndarray:
  texts = []
  for value in values.ravel().tolist():
    text = (
      value.decode("utf-8", errors="replace")
      if isinstance(value, bytes)
      else str(value)
    )
    _count(tally, NOT_UTF8, int("\ufffd" in text))
    texts.append(text)
  return np.array(texts, np.str_).reshape(values.shape)


def _count(tally: MutableMapping[str, int], what: str, count: int) -> None:
  if count:
    tally[what] = tally.get(what, 0) + count


def shape(sequence: Sequence) -> list[int]:
  """Returns the number of rows of all entries, and their width."""
  total = 0
  with _file(sequence.path) as file:
    data = _member(file, sequence.root, sequence.path)
    for names in sequence.recordings.values():
      for name in names:
        with _damage(sequence.path, f"entry {name!r}"):
          _, intervals = _datasets(sequence.path, data, name)
          total += intervals.size // 2
  return [total, sequence.width]
