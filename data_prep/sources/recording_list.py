"""Reads a list of recordings: a table with a row for each.

Its columns are `wav` (a file of sound, or of video where ffmpeg is installed,
by its path below the folder of the list) and `text` (not needed where nothing
reads it), and optionally `id` (otherwise the path), `speaker`, `session`,
`dialogue`, `split` (`train`, `validation` or `dev`, `test`; empty for none) and
`label` (empty where there is none). Where a column is not called so, one with a
usual name is taken, and said when the conversion ends; so is which columns are
not read.
"""

import pathlib
from collections.abc import Collection, Mapping

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import scales
from data_prep.sources import (
  column_names,
  recipes,
  spoken,
  utterance_ratings,
)
from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files

_ROLES = ("wav", *column_names.ROLES)
# Role to the flag that names its column.
COLUMNS = {role: f"{role}_column" for role in _ROLES}
_WAV = (
  *("path", "file", "filename", "wav_file", "wav_path", "file_path"),
  *("audio", "audio_file", "audio_path", "recording", "video", "video_path"),
)
# What lists call the splits.
_SPLITS = {
  "": "",
  **{split: split for split in corpus_lib.SPLITS},
  **dict.fromkeys(("dev", "val", "valid"), "validation"),
}


def read(
  path: pathlib.Path,
  named: Mapping[str, str | None],
  *,
  needs: Collection[str] = ("wav",),
  ratings: scales.Wanted = scales.OF_LAYOUT,
) -> recipes.Reading:
  """Reads a list.

  Args:
    path: The list.
    named: Role to the column that the user named; None to look for one, `""`
      for none.
    needs: Roles whose column must be there. Every row needs a recording where
      `wav` is among them.
    ratings: The columns of ratings.

  Raises:
    UserError: It is no list, lacks a column, or names a file that is not there.
  """
  if path.is_dir() or path.name.lower().endswith(".npz"):
    raise UserError(
      f"--input={path} is no list of recordings, expected a .csv or .jsonl file"
      " with the columns wav and text, or --recipe="
      f"{'|'.join(recipes.RECIPES)} for a folder"
    )
  table = table_files.open_table(path)
  rated = utterance_ratings.Ratings(
    ratings.columns or (), ratings.off_scale, table.columns
  )
  of_ratings = [column for column, _ in rated.columns]
  for column in of_ratings:
    table.require(column)
  columns, notes = _columns(table, named, needs, of_ratings)
  unread = dict.fromkeys(table.columns)
  utterances, tally = [], {}
  # The columns of .jsonl are known by its rows alone.
  wanted = [c for c in columns.values() if c in table.columns]
  wanted = wanted or [columns[role] for role in needs]
  for row in table.rows([*wanted, *of_ratings]):
    unread.update(dict.fromkeys(row.cells))
    each = _utterance(row, columns, path.parent, "wav" in needs)
    utterances.append(each._replace(ratings=rated(row, tally)))
  if not utterances:
    raise UserError(f"{path} lists no recording, expected one at least")
  notes += [
    f"column {column!r} is not read"
    for column in unread
    if column not in (*columns.values(), *of_ratings)
  ]
  layout = f"a list of {len(utterances)} recordings, {path.suffix.lstrip('.')}"
  return recipes.Reading(
    utterances, (), layout, tally, notes, columns, rated.ratings
  )


def _columns(
  table: table_files.Table,
  named: Mapping[str, str | None],
  needs: Collection[str],
  ratings: Collection[str],
) -> tuple[dict[str, str], list[str]]:
  """Finds the column of every role, and says which were guessed."""
  found: dict[str, str] = {}
  guessed = []
  for role in _ROLES:
    column = named.get(role)
    if column is None:
      taken = (*found.values(), *ratings)
      column = role if not table.columns else _look(table, role, taken)
      if column not in ("", role):
        guessed.append(f"{role} from {column!r}")
    elif column:
      table.require(column)
    if column:
      found[role] = column
    elif role in needs:
      raise UserError(
        f"{table.path}: no column {role!r}; it has {', '.join(table.columns)};"
        f" --{role}_column=NAME names it"
      )
  if not guessed:
    return found, []
  return found, [
    f"read by the columns' names: {', '.join(guessed)}; --ROLE_column=NAME"
    " names another"
  ]


def _look(table: table_files.Table, role: str, taken: Collection[str]) -> str:
  """Looks for the column of a role; the empty text for none."""
  if role in table.columns:
    return role
  free = [c for c in table.columns if c not in (*taken, *_ROLES)]
  if role == "wav":
    return next((name for name in _WAV if name in free), "")
  # Without ids the paths are the ids: they need not be guessed.
  return "" if role == "id" else column_names.find(role, free) or ""


def _utterance(
  row: table_files.Row,
  columns: Mapping[str, str],
  folder: pathlib.Path,
  needs_wav: bool,
) -> spoken.Utterance:
  """Reads a row of a list."""
  cells = dict.fromkeys(_ROLES, "")
  for role, column in columns.items():
    value = row.cells.get(column)
    cells[role] = table_files.as_text(value, row.where, column).strip()
  name, split = cells.pop("wav"), cells["split"].lower()
  if not name and needs_wav:
    raise UserError(
      f"{row.where}: {columns['wav']} is empty, expected the path of a file"
    )
  wav = folder / name if name else None
  if wav is not None and not wav.is_file():
    raise UserError(
      f"{row.where}: {wav} is not a file; paths are relative to the list"
    )
  if split not in _SPLITS:
    raise UserError(
      f"{row.where}: split {cells['split']!r}, expected one of"
      f" {', '.join(filter(None, _SPLITS))}, or none"
    )
  number = row.where.rpartition(" ")[2]
  cells.update(id=cells["id"] or name or number, split=_SPLITS[split])
  return spoken.Utterance(where=row.where, wav=wav, **cells)
