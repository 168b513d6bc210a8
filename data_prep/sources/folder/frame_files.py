"""Finds and reads the files of a folder that hold an utterance each."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_prep.corpus import corpus
from data_prep.readers import other_formats, vendor_tables
from data_prep.sources import column_names
from mmer_jax.base.errors import UserError
from mmer_jax.data import npz_files, table_files, text_files

TABLES = tuple(
  suffix for suffix in table_files.SUFFIXES if suffix not in (".npz", ".jsonl")
)
SUFFIXES = (".npy", *TABLES)


class Table(NamedTuple):
  """Holds the frames of a table.

  Attributes:
    columns: The features' names; () where the first line holds numbers.
    values: (t, d) float64.
    real: (t,) False where OpenFace has found no face.
    is_openface: Whether the table tells.
  """

  columns: tuple[str, ...]
  values: np.ndarray
  real: np.ndarray
  is_openface: bool


def find(folder: pathlib.Path) -> tuple[dict[str, pathlib.Path], list[str]]:
  """Finds the arrays below a folder; what begins with a point is not looked at.

  Returns:
    The path below the folder, without its ending, to the file; and the files
    that are no arrays.

  Raises:
    UserError: There is none, or two files have one name.
  """
  found: dict[str, pathlib.Path] = {}
  unread = []
  for path in sorted(folder.rglob("*")):
    below = path.relative_to(folder)
    if path.is_dir() or any(part.startswith(".") for part in below.parts):
      continue
    name = below.as_posix()
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), None)
    if suffix is None:
      unread.append(name)
      continue
    key = name[: -len(suffix)]
    if key in found:
      raise UserError(
        f"{folder}: {found[key].name} and {path.name} are both of utterance"
        f" {key!r}; keep one"
      )
    found[key] = path
  if not found:
    for name in unread:
      other_formats.refuse(folder / name)
    raise UserError(
      f"{folder} holds no array, expected files that end in"
      f" {', '.join(SUFFIXES)}, one for each utterance"
    )
  return found, unread


def load(path: pathlib.Path, mmap_mode: str | None = None) -> np.ndarray:
  """Reads a .npy file, and unpickles nothing."""
  try:
    with path.open("rb") as file:
      version = np.lib.format.read_magic(file)
      header = (
        np.lib.format.read_array_header_1_0(file)
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0(file)
      )
    _refuse_objects(path, npz_files.Header(*header))
    return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
  except npz_files.DAMAGE as error:
    if isinstance(error, UserError):
      raise
    raise unreadable(str(path), error) from error


def _refuse_objects(path: pathlib.Path, header: npz_files.Header) -> None:
  """Refuses arrays of objects, mostly of arrays of several lengths."""
  if header.dtype.hasobject:
    raise UserError(
      f"{path} holds pickled Python objects, which may run code and are never"
      " loaded; if you trust it, `import numpy;"
      f" numpy.savez({path.stem + '.npz'!r}, **{{str(i): each for i, each in"
      f" enumerate(numpy.load({path.name!r}, allow_pickle=True))}})` writes an"
      " array for each, named by its number, as the table's ids have to be then"
    )
  npz_files.check_kind(path, path.stem, header)


def unreadable(where: str, error: BaseException) -> UserError:
  """Makes the error of what cannot be read."""
  reason = " ".join(str(error).split())[:200] or type(error).__name__
  return UserError(f"{where} cannot be read: {reason}; is it damaged?")


def read_table(path: pathlib.Path) -> Table:
  """Reads a table of frames, by its first line or by openSMILE's, OpenFace's.

  Raises:
    UserError: A cell is no number, or there are no rows.
  """
  if not path.name.lower().endswith((".arff", ".arff.gz")):
    first = _first_line(path)
    if first and all(map(_is_number, first)):
      return _read_numbers(path, first)
  frames = vendor_tables.read_frames(path)
  columns = table_files.open_table(path).columns
  # pandas writes the numbers of the rows in front, without a name.
  kept = [i for i, column in enumerate(frames.columns) if column]
  return Table(
    tuple(frames.columns[i] for i in kept),
    frames.values[:, kept],
    frames.real,
    vendor_tables.vendor(columns) == vendor_tables.OPENFACE,
  )


def read_named(
  path: pathlib.Path,
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
  """Reads a table of many utterances, as openSMILE appends them to one file.

  Returns:
    The features' names, and name of utterance to its frames (t, d) float32, in
    the order of the file. All are in memory.

  Raises:
    UserError: No column names the utterances, or a cell is no number.
  """
  table = table_files.open_table(path)
  name = column_names.find("id", table.columns)
  features = [c for c in vendor_tables.feature_columns(table.columns) if c]
  columns = tuple(column for column in features if column != name)
  if name is None or not columns:
    raise UserError(
      f"{path}: no column {'of features' if name else 'names the utterances'};"
      f" it has {', '.join(table.columns)}; expected one such as name, or a"
      " folder with a table for each utterance"
    )
  frames: dict[str, list[np.ndarray]] = {}
  for row in table.rows((name, *columns)):
    cells = [
      table_files.as_vector(row.cells[column], row.where, column)
      for column in columns
    ]
    values = [np.nan if cell is None else cell.item() for cell in cells]
    own = table_files.as_text(row.cells[name], row.where, name).strip()
    frames.setdefault(own, []).append(corpus.as_float32(np.array(values)))
  return columns, {own: np.stack(rows) for own, rows in frames.items()}


def _first_line(path: pathlib.Path) -> list[str]:
  """Splits the first line that is not blank."""
  try:
    with text_files.open_text(path) as file:
      line = next((line for line in file if line.strip()), "")
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  except text_files.READ_ERRORS as error:
    raise unreadable(str(path), error) from error
  return line.strip().split(_separator(line))


def _separator(line: str) -> str:
  return max(table_files.SEPARATORS, key=line.count)


def _is_number(text: str) -> bool:
  try:
    float(text)
  except ValueError:
    return False
  return True


def _read_numbers(path: pathlib.Path, first: Sequence[str]) -> Table:
  """Reads a table without a line of names."""
  rows = []
  separator = None
  with text_files.open_text(path) as file:
    for number, line in enumerate(file, 1):
      if not line.strip():
        continue
      separator = separator or _separator(line)
      cells = line.strip().split(separator)
      if len(cells) != len(first) or not all(map(_is_number, cells)):
        raise UserError(
          f"{path} line {number}: {line.strip()[:40]!r}, expected"
          f" {len(first)} numbers as in the first line"
        )
      rows.append([float(cell) for cell in cells])
  return Table((), np.array(rows), np.ones(len(rows), bool), False)
