"""Says what the columns of the table beside the arrays mean.

The table is any that `table_files` reads, or MERBench's .npz of labels: members
of one pickled dict each, from an utterance's name to its label, or to a dict of
labels (zeroQiaoba/MERTools, MERBench). Their columns are `name`, the labels'
names (`label` where there is one without a name) and, where there are several
members, `split`.
"""

import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from data_prep.readers import unpickle
from data_prep.sources import (
  column_names,
  label_names,
  spec_defaults,
  utterance_tables,
)
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError
from mmer_jax.data import npz_files, table_files

_BLANK = ""


class _PickledLabels(table_files.Table):
  """Reads labels that are pickled in an .npz file."""

  def __init__(self, path: pathlib.Path) -> None:
    members = {name: _unpickled(path, name) for name in npz_files.headers(path)}
    self._rows = list(_label_rows(path, members))
    columns = dict.fromkeys(c for row in self._rows for c in row.cells)
    super().__init__(path, tuple(columns), len(self._rows))

  def rows(self, wanted: Sequence[str]) -> Iterator[table_files.Row]:
    for column in wanted:
      self.require(column)
    for row in self._rows:
      cells = {column: row.cells.get(column, _BLANK) for column in self.columns}
      yield table_files.Row(row.where, cells)


def _unpickled(path: pathlib.Path, name: str) -> dict[str, Any]:
  """Reads the one dict of a member."""
  where = f"{path} member {name!r}"
  try:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
      version = np.lib.format.read_magic(file)
      if version == (1, 0):
        np.lib.format.read_array_header_1_0(file)
      else:
        np.lib.format.read_array_header_2_0(file)
      array = unpickle.load(path, file)
  except npz_files.DAMAGE as error:
    if isinstance(error, UserError):
      raise
    raise UserError(f"{where} cannot be read: {error}") from error
  value = (
    array.item() if isinstance(array, np.ndarray) and array.size == 1 else 0
  )
  if not isinstance(value, dict):
    raise UserError(
      f"{where} is no dict, expected one of labels by the utterances' names"
    )
  return value


def _label_rows(
  path: pathlib.Path, members: Mapping[str, dict[str, Any]]
) -> Iterator[table_files.Row]:
  for member, labels in members.items():
    for name, label in labels.items():
      cells = {"name": str(name)}
      if len(members) > 1:
        cells["split"] = _split_of(member)
      own = label if isinstance(label, dict) else {"label": label}
      cells.update({str(key): value for key, value in own.items()})
      yield table_files.Row(f"{path.name} member {member} {name!r}", cells)


def _split_of(member: str) -> str:
  """Names the split that a member such as `train_corpus` is of."""
  word = re.match(r"[a-z]*", member.lower())[0]
  return spec_defaults.SPLIT_NAMES.get(word, member)


def open_table(path: pathlib.Path) -> table_files.Table:
  """Opens a table, or labels that are pickled in an .npz file."""
  if path.suffix.lower() == ".npz":
    headers = npz_files.headers(path)
    if headers and all(h.dtype.hasobject for h in headers.values()):
      return _PickledLabels(path)
  return table_files.open_table(path)


class Columns:
  """Names the columns that have a role.

  Attributes:
    spec: What `spec` calls so, without text or features.
    notes: What was guessed, a sentence each.
  """

  def __init__(
    self,
    tables: utterance_tables.Tables,
    given: Mapping[str, str | None],
    labels: Sequence[str] | None,
    reads_text: bool,
    ratings: Sequence[str] = (),
  ) -> None:
    """Finds the columns.

    Args:
      tables: The table.
      given: A role of `column_names.ROLES` to the column that the user named;
        None to look for one, `""` for none.
      labels: The columns of the labels, one, or one for each emotion; None to
        look for one, empty for none.
      reads_text: Whether a text would be read.
      ratings: Columns that are ratings; with them there need be no label.

    Raises:
      UserError: A column is not there, or none is found for the ids.
    """
    self._tables = tables
    self._ratings = tuple(ratings)
    self.notes: tuple[str, ...] = ()
    named = dict(given)
    if not reads_text and named.get("text") is None:
      named["text"] = ""
    if labels is not None:
      named["label"] = labels[0] if len(labels) == 1 else ""
    for column in labels or ():
      tables.require(column, "--label_column names it")
    chosen = self._choose(named)
    self.spec: dict[str, Any] = {
      role: f"{{{column}}}" if column else "" for role, column in chosen.items()
    }
    if labels and len(labels) > 1:
      self.spec["label_columns"] = tuple((each, each) for each in labels)

  def _choose(self, named: Mapping[str, str | None]) -> dict[str, str]:
    """Names a column for every role; the empty one for none."""
    chosen, guessed = {}, []
    for role in column_names.ROLES:
      column = named.get(role)
      if column:
        self._tables.require(column, f"--{role}_column names it")
      elif column is None:
        known = (*named.values(), *chosen.values(), *self._ratings)
        taken = [c for c in known if c]
        column = column_names.find(role, self._tables.columns, taken) or ""
        if column and column_names.plain(column) != role:
          guessed.append(f"{role} from {column!r}")
        needed = ("id",) if self._ratings else ("id", "label")
        if not column and role in needed:
          self._refuse(role)
      chosen[role] = column
    if guessed:
      self.notes = (
        f"read by the columns' names: {', '.join(guessed)}; --ROLE_column=NAME"
        " names another",
      )
    return chosen

  def _refuse(self, role: str) -> None:
    columns = self._tables.columns
    near = errors.did_you_mean(role, columns)
    without = "; --label_column= for none" if role == "label" else ""
    raise UserError(
      f"{self._tables.path}: no column is known as that of the {role}s; it has"
      f" {', '.join(columns) or 'no columns'}: give"
      f" --{role}_column=NAME{without}{near}"
    )


def make_spec(
  columns: Columns,
  tables: utterance_tables.Tables,
  names: label_names.Names,
  emotions: Sequence[str],
  *,
  rated: bool = False,
) -> ml_collections.ConfigDict:
  """Makes the spec of a table of which the columns are known.

  Args:
    columns: What they mean.
    tables: The table.
    names: What labels become.
    emotions: Their names in order; empty for those that the labels give.
    rated: Whether rows have ratings, and may go without labels.

  Raises:
    UserError: A label is known to no row, or not among the emotions.
  """
  fields = dict(columns.spec)
  if "label_columns" in fields:
    fields.pop("label")
    fields["label_columns"] = _renamed(fields["label_columns"], names)
  elif fields["label"]:
    fields.update(_label_values(fields["label"], tables, names))
    _check_known(fields["label_values"], emotions)
    if not fields["label_values"] and not emotions:
      raise UserError(
        f"no row has a label in {fields['label']}; pass --emotions=happy,sad,"
        " as the model that will be used has them, or name another"
        " --label_column"
      )
  elif not emotions and not rated:
    raise UserError(
      "without labels nothing names the emotions; pass --emotions=happy,sad, as"
      " the model that will be used has them"
    )
  if emotions:
    fields["emotions"] = tuple(emotions)
  return ml_collections.ConfigDict(fields)


def _check_known(
  label_values: Sequence[tuple[str, str]], emotions: Sequence[str]
) -> None:
  """Refuses labels that are none of the emotions that the user named."""
  for label, emotion in label_values if emotions else ():
    if emotion not in emotions:
      raise UserError(
        f"the label {label!r} is not one of --emotions={','.join(emotions)}"
        f"{errors.did_you_mean(emotion, emotions)}; --label_map={label}=EMOTION"
        f" names it, --unlabelled={label} means none"
      )


def _renamed(
  pairs: Sequence[tuple[str, str]], names: label_names.Names
) -> tuple[tuple[str, str], ...]:
  """Renames the emotions of columns."""
  known = [column for _, column in pairs]
  for label in (*names.mapped, *names.unlabelled):
    if label not in known or label in names.unlabelled:
      raise UserError(
        f"--label_map and --unlabelled name {label!r}, expected a column of"
        f" --label_column={','.join(known)} in --label_map alone"
        f"{errors.did_you_mean(label, known)}"
      )
  return tuple((names.mapped.get(column, column), column) for column in known)


def _label_values(
  label: str, tables: utterance_tables.Tables, names: label_names.Names
) -> dict[str, Any]:
  """Maps every label that a row has, and lists those that mean none."""
  used = spec_defaults.labels_of(label, (), tables, "--label_column")
  label_names.require_used(names, used)
  gone = {_BLANK, *names.unlabelled}
  return {
    "label_values": tuple(
      (each, names.mapped.get(each, each)) for each in sorted(used - gone)
    ),
    "unlabelled": tuple(sorted(gone)),
  }
