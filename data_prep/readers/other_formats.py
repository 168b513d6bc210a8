"""Refuses formats that are not read, each with the way out.

What one line of Python writes as arrays, or as a table, `convert
--source=folder` reads. The line runs where the format's own package is.
"""

import pathlib
from typing import NamedTuple

from data_prep.readers import unpickle
from mmer_jax.base.errors import UserError

# Enough of a file to tell what it is.
_HEAD = 2048
_PICKLES = (".pkl", ".pickle", ".p")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


class _Way(NamedTuple):
  """Says how to get out of a format.

  Attributes:
    what: The format, with its article.
    line: The line of Python, with {0!r} for the file, {1!r} for its new name.
    suffix: The ending of the new name.
    then: What to do with the new file.
  """

  what: str
  line: str
  suffix: str
  then: str


_ARRAYS = (
  "give the folder of them to --source=folder --acoustic_features=DIR"
  " (or --visual_features, --lexical_features)"
)
_FILE_OF_ARRAYS = (
  "give it to --source=folder --acoustic_features={1} (or --visual_features,"
  " --lexical_features)"
)
_TABLE = (
  "give it to --source=folder --input={1} beside arrays; a table with its"
  " features in columns to --source=utterances"
)
_VECTORS = (
  "give it to --word_vectors={1}, with --source=folder or any that reads text"
)
_TEXT = "in the column text of the table of --source=folder --input=TABLE"
_MAT = _Way(
  "a MATLAB file",
  "import numpy, scipy.io; numpy.save({1!r},"
  " scipy.io.loadmat({0!r})['features'])",
  ".npy",
  _ARRAYS,
)
# MATLAB writes columns where NumPy writes rows.
_MAT_73 = _Way(
  "a MATLAB file of version 7.3",
  "import h5py, numpy; numpy.save({1!r}, h5py.File({0!r})['features'][()].T)",
  ".npy",
  _ARRAYS,
)
_TORCH = _Way(
  "a PyTorch file",
  "import numpy, torch; numpy.savez({1!r}, **{{k: v.numpy() for k, v in"
  " torch.load({0!r}, weights_only=True).items()}})",
  ".npz",
  _FILE_OF_ARRAYS,
)


def _table(what: str, reader: str) -> _Way:
  line = f"import pandas; pandas.{reader}({{0!r}}).to_csv({{1!r}}, index=False)"
  return _Way(what, line, ".csv", _TABLE)


_BY_SUFFIX = {
  ".textgrid": _Way(
    "a TextGrid of Praat",
    "import textgrid; print(*(i.mark for i in textgrid.TextGrid.fromFile({0!r})"
    ".getFirst('words') if i.mark))",
    "",
    f"write what it prints {_TEXT}",
  ),
  ".mat": _MAT,
  **dict.fromkeys((".pt", ".pth"), _TORCH),
  ".parquet": _table("a Parquet table", "read_parquet"),
  ".feather": _table("a Feather table", "read_feather"),
  **dict.fromkeys((".xlsx", ".xls"), _table("a spreadsheet", "read_excel")),
  ".bin": _Way(
    "word2vec's binary file",
    "from gensim.models import KeyedVectors;"
    " KeyedVectors.load_word2vec_format({0!r}, binary=True)"
    ".save_word2vec_format({1!r})",
    ".txt",
    _VECTORS,
  ),
}


def refuse(path: pathlib.Path) -> None:
  """Raises a `UserError` with the way out for a file that is not read."""
  way = _way(path) if path.is_file() else None
  if way is None:
    return
  new = path.stem + way.suffix
  line = way.line.format(path.name, new)
  raise UserError(
    f"{path} is {way.what}, which is not read; `{line}` gets there;"
    f" {way.then.format(path.name, new)}"
  )


def refuse_pickle(path: pathlib.Path) -> None:
  """Raises a `UserError` for a pickle where none is read, with the way out."""
  if not path.is_file() or path.suffix.lower() not in _PICKLES:
    return
  # Objects of pandas and PyTorch are refused here, with a way of their own.
  unpickle.load(path)
  raise UserError(
    f"{path} is a pickle, expected a file that this --source reads;"
    " --source=pickle reads those of known layouts, `inspect` says what is in"
    " it, and --source=folder reads arrays that are saved from it, one for each"
    " utterance"
  )


def _way(path: pathlib.Path) -> _Way | None:
  """Finds the way out of a file's format; None where it may be read."""
  suffix = path.suffix.lower()
  if suffix == ".mat" and _HDF5_MAGIC in _head(path, _HEAD):
    return _MAT_73
  return _BY_SUFFIX.get(suffix)


def _head(path: pathlib.Path, size: int) -> bytes:
  with path.open("rb") as file:
    return file.read(size)
