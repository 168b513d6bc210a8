"""Opens one array per utterance: a folder of files, or one file of many.

- A folder, with folders in it or not, of .npy files of (d,) or (t, d), or of
  tables of frames (.csv, .tsv, .arff; openSMILE's, OpenFace's or any with
  numbers), one for each utterance, named as it is;
- one .npz with an array per utterance;
- one .h5 with a data set per utterance, or with `UTTERANCE/NAME`. Where there
  are several names, `FILE.h5:NAME` says which; it may also be the group that
  all utterances are in;
- one table of frames of all utterances (openSMILE appends to one), with a
  column that names each row's; it is held in memory;
- one .npy of (n, d) or (n, t, d), in the order of the table's n rows.

Nothing is unpickled. Elsewhere only the array that is asked for is in memory.
"""

import pathlib
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import h5py
import numpy as np

from data_prep.corpus import corpus
from data_prep.readers import hdf5_arrays, other_formats
from data_prep.sources.folder import frame_files
from mmer_jax.base.errors import UserError
from mmer_jax.data import npz_files

HDF5 = (".h5", ".hdf5")
# What a data set of features is called, where an utterance has several.
_FEATURE_NAMES = ("feat", "feats", "feature", "features", "data")


class Frames(NamedTuple):
  """Holds the frames of an utterance.

  Attributes:
    values: (t, d) float32; t is 0 for an empty array.
    where: The file and the place in it, for messages.
    columns: The features' names; () where the file has none.
    padded: Whether frames of zeros are padding.
    masked: How many frames are without a face and became zeros.
  """

  values: np.ndarray
  where: str
  columns: tuple[str, ...] = ()
  padded: bool = False
  masked: int = 0


class Arrays:
  """Holds where the array of each utterance is.

  Attributes:
    path: The file or the folder.
    kind: What it is, in words.
    names: Those of the utterances, in the file's order.
    by_row: Whether names are numbers of the table's rows.
    unread: Files of the folder that are no arrays.
  """

  by_row = False
  unread: Sequence[str] = ()

  def __init__(
    self, path: pathlib.Path, kind: str, names: Sequence[str]
  ) -> None:
    """Takes what is known before any array is read."""
    self.path = path
    self.kind = kind
    self.names = tuple(names)

  def read(self, name: str) -> Frames:
    """Reads the frames of an utterance.

    Raises:
      UserError: They are not real numbers of shape (d,) or (t, d).
    """
    raise NotImplementedError


def open_arrays(text: str) -> Arrays:
  """Opens what a flag names: `PATH` or `FILE.h5:NAME`.

  Raises:
    UserError: There is nothing of the kinds above.
  """
  path, member = pathlib.Path(text), ""
  if not path.exists() and ":" in text:
    head, _, member = text.rpartition(":")
    path = pathlib.Path(head)
  if not path.exists():
    raise UserError(f"{path} does not exist, expected a folder or a file")
  other_formats.refuse(path)
  kind = path.suffix.lower()
  if member and kind not in HDF5:
    raise UserError(
      f"{text}: only in .h5 files a name after a colon says which arrays"
    )
  if path.is_dir():
    return _Files(path)
  if kind == ".npz":
    return _Npz(path)
  if kind in HDF5:
    return _Hdf5(path, member)
  if kind == ".npy":
    return _Matrix(path)
  if path.name.lower().endswith(frame_files.TABLES):
    return _Rows(path)
  raise UserError(
    f"{path}: expected a folder of .npy or .csv files, one for each utterance,"
    " or one .npz, .h5, .csv or .npy file"
  )


class _Opened:
  """Keeps a file open from its first use until nobody needs it."""

  def __init__(self, opener: Callable[[], Any]) -> None:
    self._opener = opener
    self._file = None

  def get(self) -> Any:
    if self._file is None:
      self._file = self._opener()
      weakref.finalize(self, self._file.close)
    return self._file


class _Files(Arrays):
  def __init__(self, path: pathlib.Path) -> None:
    files, self.unread = frame_files.find(path)
    kinds = sorted({file.suffix.lower() for file in files.values()})
    super().__init__(path, f"folder of {', '.join(kinds)}", tuple(files))
    self._files = files

  def read(self, name: str) -> Frames:
    path = self._files[name]
    if path.suffix.lower() == ".npy":
      return Frames(frames_of(frame_files.load(path), str(path)), str(path))
    table = frame_files.read_table(path)
    values = np.where(table.real[:, None], table.values, 0.0)
    return Frames(
      corpus.as_float32(values),
      str(path),
      table.columns,
      table.is_openface,
      int((~table.real).sum()),
    )


class _Npz(Arrays):
  def __init__(self, path: pathlib.Path) -> None:
    self._headers = npz_files.headers(path)
    super().__init__(path, "npz", tuple(self._headers))
    self._opened = _Opened(lambda: np.load(path, allow_pickle=False))

  def read(self, name: str) -> Frames:
    npz_files.check_kind(self.path, name, self._headers[name])
    where = f"{self.path} array {name!r}"
    try:
      # Its directory is read once, not once an utterance.
      array = self._opened.get()[name]
    except npz_files.DAMAGE as error:
      raise frame_files.unreadable(where, error) from error
    return Frames(frames_of(array, where), where)


class _Hdf5(Arrays):
  def __init__(self, path: pathlib.Path, member: str) -> None:
    try:
      with h5py.File(path, "r") as file:
        self._places = _places(file, path, member)
    except hdf5_arrays.DAMAGE as error:
      if isinstance(error, UserError):
        raise
      raise frame_files.unreadable(str(path), error) from error
    self._opened = _Opened(lambda: h5py.File(path, "r"))
    super().__init__(path, "h5", tuple(self._places))

  def read(self, name: str) -> Frames:
    where = f"{self.path} data set {self._places[name]!r}"
    try:
      array = self._opened.get()[self._places[name]][()]
    except hdf5_arrays.DAMAGE as error:
      raise frame_files.unreadable(where, error) from error
    return Frames(frames_of(np.asarray(array), where), where)


def _places(file: h5py.File, path: pathlib.Path, member: str) -> dict[str, str]:
  """Finds the data set of each utterance."""
  groups = [key for key in file if isinstance(file[key], h5py.Group)]
  inside: h5py.Group = file
  if isinstance(file.get(member) if member else None, h5py.Group):
    inside, member = file[member], ""
  elif not member and len(file) == 1 and groups and len(file[groups[0]]) > 1:
    # One group around all of them.
    inside = file[groups[0]]
  places = {}
  for key, item in inside.items():
    if isinstance(item, h5py.Dataset):
      places[key] = item.name
      continue
    names = [n for n in item if isinstance(item[n], h5py.Dataset)]
    chosen = [n for n in names if n == member] if member else names
    if len(chosen) > 1:
      chosen = [n for n in _FEATURE_NAMES if n in names][:1] or chosen
    if len(chosen) != 1:
      raise UserError(
        f"{path}: {item.name} holds {', '.join(item) or 'nothing'}, expected"
        f" {repr(member) if member else 'one data set'}; give FILE.h5:NAME to"
        " say which"
      )
    places[key] = item[chosen[0]].name
  return places


class _Rows(Arrays):
  def __init__(self, path: pathlib.Path) -> None:
    self._columns, self._frames = frame_files.read_named(path)
    super().__init__(path, "one table", tuple(self._frames))

  def read(self, name: str) -> Frames:
    where = f"{self.path} rows of {name!r}"
    return Frames(self._frames[name], where, self._columns)


class _Matrix(Arrays):
  by_row = True

  def __init__(self, path: pathlib.Path) -> None:
    self._array = frame_files.load(path, mmap_mode="r")
    rows = len(self._array) if self._array.ndim else 0
    super().__init__(path, "npy in the table's order", map(str, range(rows)))
    if self._array.ndim not in (2, 3):
      raise UserError(
        f"{path}: shape {self._array.shape}, expected (n, d) or (n, t, d) with"
        " a row for each of the table's; for one array per utterance give"
        " their folder"
      )

  def read(self, name: str) -> Frames:
    where = f"{self.path} row {name}"
    return Frames(frames_of(self._array[int(name)], where), where)


def frames_of(array: np.ndarray, where: str) -> np.ndarray:
  """Makes frames (t, d) of an array; an empty one has none.

  Raises:
    UserError: It holds no real numbers, or has another shape.
  """
  if array.dtype.kind not in "fiub":
    raise UserError(
      f"{where}: holds {array.dtype}, expected real numbers; save it as float32"
    )
  if array.ndim == 1:
    array = array[None] if array.size else np.zeros((0, 0))
  if array.ndim != 2:
    raise UserError(
      f"{where}: shape {array.shape}, expected (d,) or (t, d), time first"
    )
  if not array.size:
    return np.zeros((0, array.shape[1]), np.float32)
  return corpus.as_float32(array)
