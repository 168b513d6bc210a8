"""Reads which utterance is on which side of a split, from a table of ids."""

import hashlib
import pathlib
from typing import NamedTuple

import numpy as np

from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files

COLUMNS = ("split", "fold")


class Assignment(NamedTuple):
  """Holds what a split file says of the rows of a corpus.

  Attributes:
    kind: `split` or `fold`, the column that it has.
    values: (n,) text, the cell of each utterance; "" for in none.
  """

  kind: str
  values: np.ndarray


def digest(path: pathlib.Path) -> str:
  """Computes the SHA-256 of a split file.

  Raises:
    UserError: It cannot be read.
  """
  try:
    return hashlib.sha256(path.read_bytes()).hexdigest()
  except OSError as error:
    raise UserError(
      f"config.protocol.split_file={path} cannot be read ({error.strerror});"
      " expected a .csv with the columns id and split, or id and fold"
    ) from None


def read(
  path: pathlib.Path, ids: np.ndarray, labelled: np.ndarray
) -> Assignment:
  """Reads a split file, a table with the columns `id` and `split` or `fold`.

  Every labelled utterance is there once; unlabelled ones may be. An empty cell
  leaves an utterance out of every side.

  Args:
    path: The file: .csv, .tsv, .jsonl or .npz.
    ids: The utterances of the corpus.
    labelled: Which of them are labelled.

  Raises:
    UserError: It cannot be read, or an id is unknown, missing or there twice.
  """
  table = table_files.open_table(path)
  # Rows of .jsonl name their own columns: the first one's count for all.
  columns = table.columns or tuple(next(table.rows(("id",))).cells)
  kinds = [name for name in COLUMNS if name in columns]
  if "id" not in columns or len(kinds) != 1:
    raise UserError(
      f"{path} has the columns {', '.join(columns)}, expected id and one of"
      " split (names as config.protocol.train) and fold (a name or number);"
      " rename them, or leave one out"
    )
  (kind,) = kinds
  cells: dict[str, str] = {}
  for row in table.rows(("id", kind)):
    name, value = (
      table_files.as_text(row.cells[column], row.where, column).strip()
      for column in ("id", kind)
    )
    if name in cells:
      raise UserError(
        f"{row.where}: id {name!r} is there twice; name every utterance once"
      )
    cells[name] = value
  known = set(ids.tolist())
  _refuse(
    path, "not in the shards", [name for name in cells if name not in known]
  )
  missing = [name for name in ids[labelled].tolist() if name not in cells]
  _refuse(path, "labelled in the shards and not in the file", missing)
  values = [cells.get(name, "") for name in ids.tolist()]
  return Assignment(kind, np.asarray(values, dtype=np.str_))


def _refuse(path: pathlib.Path, what: str, names: list[str]) -> None:
  """Refuses ids that only one of file and shards has."""
  if names:
    raise UserError(
      f"{path}: ids {what}: {len(names)}, such as {names[0]!r}; expected"
      " every labelled utterance once, by its id in the shards (an empty cell"
      " leaves it out)"
    )
