"""Opens the tables of a spec and reads their rows, each knowing its file."""

import fnmatch
import pathlib
from collections.abc import Callable, Iterator, Sequence

from data_prep.sources import spec as spec_lib
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files

# What a row has beside the table's own columns: its file's key and its number.
FILE, ROW = "file", "row"


class Tables:
  """Reads the rows of one table, or of several that are one corpus.

  Attributes:
    path: The file, or the folder of the files.
    columns: Of the first table; of .jsonl, those of its first row.
    total: Rows; None where only reading can tell.
    layout: The tables in words, for the manifest.
  """

  def __init__(
    self,
    path: pathlib.Path,
    files: Sequence[tuple[str, str]] = (),
    open_table: Callable[
      [pathlib.Path], table_files.Table
    ] = table_files.open_table,
  ) -> None:
    """Opens the files below a folder, by their keys, or the one file.

    Args:
      path: The file, or the folder of the files.
      files: Pairs of a key and a file's name; none for one file.
      open_table: Opens one of them.

    Raises:
      UserError: A file is missing, or of no kind that is read.
    """
    self.path = path
    self._tables = _open(path, files, open_table)
    self._has_files = bool(files)
    first = next(iter(self._tables.values()))
    self.columns = first.columns or _first_columns(first)
    totals = [table.total for table in self._tables.values()]
    self.total = None if None in totals else sum(totals)
    kinds = {"".join(t.path.suffixes[-2:]) for t in self._tables.values()}
    self.layout = (
      f"{len(self._tables)} table(s) of utterances,"
      f" {', '.join(sorted(kind.lstrip('.') for kind in kinds))}"
    )

  def require(self, column: str, because: str) -> None:
    """Raises a `UserError` where a table is known to lack a column.

    Args:
      column: The column.
      because: What names it, as "spec.speaker is '{speaker}'".
    """
    if column in self._own():
      return
    for table in self._tables.values():
      if table.columns and column not in table.columns:
        raise UserError(
          f"{table.path}: no column {column!r}; it has"
          f" {', '.join(table.columns)}; {because}"
          f"{errors.did_you_mean(column, table.columns)}"
        )

  def _own(self) -> tuple[str, ...]:
    """Lists the columns that rows get here."""
    row = () if ROW in self.columns else (ROW,)
    return (*row, FILE) if self._has_files else row

  def rows(self, columns: Sequence[str]) -> Iterator[table_files.Row]:
    """Reads the rows of every table, with the cells of some columns at least.

    Raises:
      UserError: A row cannot be read, or lacks one of the columns.
    """
    own = self._own()
    wanted = [c for c in dict.fromkeys(columns) if c not in own]
    for key, table in self._tables.items():
      for index, row in enumerate(table.rows(wanted)):
        if ROW in own:
          row.cells[ROW] = f"{index:06d}"
        if FILE in own:
          row.cells[FILE] = key
        yield row


def _open(
  path: pathlib.Path,
  files: Sequence[tuple[str, str]],
  open_table: Callable[[pathlib.Path], table_files.Table],
) -> dict[str, table_files.Table]:
  """Opens the tables, by their keys; the one file by `""`."""
  if not files:
    if path.is_dir():
      raise UserError(
        f"--input={path} is a folder, expected one file; list those of a folder"
        " in spec.files"
      )
    return {"": open_table(path)}
  if not path.is_dir():
    raise UserError(
      f"--input={path} is a file; the spec reads"
      f" {', '.join(name for _, name in files)} from a folder"
    )
  tables = {key: open_table(path / name) for key, name in files}
  for table in tables.values():
    if FILE in table.columns:
      raise UserError(
        f"{table.path} has a column {FILE!r}, which spec.files needs for"
        " itself; rename the column"
      )
  return tables


def _first_columns(table: table_files.Table) -> tuple[str, ...]:
  first = next(table.rows(()), None)
  return tuple(first.cells) if first else ()


def columns_in(*templates: str) -> list[str]:
  """Lists the columns that templates name."""
  return [c for each in templates for c in spec_lib.FIELD.findall(each)]


def fill(template: str, row: table_files.Row) -> str:
  """Fills a row's values into a template."""
  return spec_lib.FIELD.sub(
    lambda match: table_files.as_text(row.cells[match[1]], row.where, match[1]),
    template,
  ).strip()


def is_chosen(
  row: table_files.Row, patterns: Sequence[tuple[str, str]]
) -> bool:
  """Tells whether a row matches every pattern of `spec.rows`."""
  return all(
    fnmatch.fnmatchcase(fill(template, row), pattern)
    for template, pattern in patterns
  )
