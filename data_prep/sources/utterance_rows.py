"""Reads the rows of a table as a spec describes them."""

import fnmatch
import pathlib
import zlib
from collections.abc import Iterator

import ml_collections
import numpy as np

from data_prep.corpus import corpus
from data_prep.corpus import text as text_lib
from data_prep.sources import spec as spec_lib
from data_prep.sources import utterance_labels
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema, table_files

# The column that names the file a row is from.
_FILE = "file"


class Rows:
  """Reads utterances, all but their words, from the tables of a spec.

  Attributes:
    layout: The tables in words, for the manifest.
    total: Rows; None where only reading can tell.
    tally: How many rows were left out or cut, in words, in the latest pass.
  """

  def __init__(
    self,
    spec: ml_collections.ConfigDict,
    path: pathlib.Path,
    positive_above: float | None,
  ) -> None:
    """Opens the tables and checks that every column is there."""
    self._spec = spec
    self._tables = _open_tables(spec, path)
    self._features = _FeatureColumns(spec, next(iter(self._tables.values())))
    self._labels = utterance_labels.Labels(spec, positive_above)
    self.tally: dict[str, int] = {}
    self._splits = {str(value): split for value, split in spec.split_values}
    self._wanted = self._require_columns()
    totals = [table.total for table in self._tables.values()]
    unknown = None in totals or any(spec.crop.values()) or spec.get("rows")
    self.total = None if unknown else sum(totals)
    kinds = {"".join(t.path.suffixes[-2:]) for t in self._tables.values()}
    self.layout = (
      f"{len(self._tables)} table(s) of utterances,"
      f" {', '.join(sorted(kind.lstrip('.') for kind in kinds))}"
    )

  def _require_columns(self) -> list[str]:
    """Lists the columns that the spec reads; every table must have them."""
    spec = self._spec
    columns = [
      column
      for key in spec_lib.TEMPLATES
      for column in utterance_labels.FIELD.findall(spec[key])
    ]
    columns += [column for _, column in spec.label_columns]
    for template, _ in spec.get("rows", ()):
      columns += utterance_labels.FIELD.findall(template)
    columns += self._features.columns
    first = next(iter(self._tables.values()))
    if not spec.files and _FILE in columns and first.columns:
      first.require(_FILE)
    wanted = [
      c for c in dict.fromkeys(columns) if not (spec.files and c == _FILE)
    ]
    for table in self._tables.values():
      for column in wanted:
        table.require(column)
    return wanted

  def _rows(self) -> Iterator[table_files.Row]:
    """Reads the rows of every file, with the file's key as a column."""
    self.tally.clear()
    for key, table in self._tables.items():
      for row in table.rows(self._wanted):
        if self._spec.files:
          row.cells[_FILE] = key
        if self._is_chosen(row):
          yield row
        else:
          self._count("left out by spec.rows")

  def _is_chosen(self, row: table_files.Row) -> bool:
    return all(
      fnmatch.fnmatchcase(utterance_labels.fill(template, row), pattern)
      for template, pattern in self._spec.get("rows", ())
    )

  def _count(self, what: str) -> None:
    self.tally[what] = self.tally.get(what, 0) + 1

  def texts(self) -> Iterator[str]:
    """Reads the text of every row that is kept."""
    for row in self._rows():
      text = self._text(row)
      if text is not None:
        yield text

  def modalities(self) -> dict[str, corpus.Modality]:
    """Describes the features, by the first row that has them.

    Raises:
      UserError: No row has the features of a modality.
    """
    return self._features.modalities(self._rows())

  def examples(
    self, modalities: dict[str, corpus.Modality]
  ) -> Iterator[tuple[corpus.Example, str]]:
    """Reads every utterance that is kept, and its text."""
    for row in self._rows():
      text = self._text(row)
      if text is None:
        continue
      yield (
        corpus.Example(
          id=self._fill("id", row),
          where=row.where,
          streams=self._features.streams(row, modalities),
          labels=self._labels(row),
          speaker=self._fill("speaker", row),
          session=self._fill("session", row),
          dialogue=self._fill("dialogue", row),
          split=self._split(row),
        ),
        text,
      )
    self._labels.check(self.layout)

  def _fill(self, key: str, row: table_files.Row) -> str:
    return utterance_labels.fill(self._spec[key], row)

  def _text(self, row: table_files.Row) -> str | None:
    """Reads the text as `spec.crop` leaves it; None for silence."""
    text, crop = self._fill("text", row), self._spec.crop
    if not any(crop.values()):
      return text
    cropped = _cropped(text, crop, self._fill("id", row))
    if cropped is None:
      self._count(f"left out for less than {max(crop.min_words, 1)} words")
    elif cropped != text:
      self._count(f"cut to {crop.max_words} words")
    return cropped

  def _split(self, row: table_files.Row) -> str:
    value = self._fill("split", row)
    if not self._spec.split:
      return ""
    if value not in self._splits:
      raise UserError(
        f"{row.where}: split {value!r} from {self._spec.split} is not in"
        f" spec.split_values ({', '.join(self._splits)})"
      )
    return self._splits[value]


def _open_tables(
  spec: ml_collections.ConfigDict, path: pathlib.Path
) -> dict[str, table_files.Table]:
  """Opens the spec's files below a folder, or the one file, by their keys."""
  if not spec.files:
    if path.is_dir():
      raise UserError(
        f"--input={path} is a folder; the spec {spec.name} reads one file"
      )
    return {"": table_files.open_table(path)}
  if not path.is_dir():
    raise UserError(
      f"--input={path} is a file; the spec {spec.name} reads"
      f" {', '.join(name for _, name in spec.files)} from a folder"
    )
  tables = {
    key: table_files.open_table(path / name) for key, name in spec.files
  }
  for table in tables.values():
    if _FILE in table.columns:
      raise UserError(
        f"{table.path} has a column {_FILE!r}, which spec.files needs for"
        " itself; rename the column"
      )
  return tables


def _cropped(
  text: str, crop: ml_collections.ConfigDict, seed_text: str
) -> str | None:
  """Cuts a text around a word drawn by an id; None for too few words."""
  tokens = text_lib.tokenise(text)
  words = [at for at, token in enumerate(tokens) if token[0].isalnum()]
  if len(words) < max(crop.min_words, 1):
    return None
  if not crop.max_words or len(words) <= crop.max_words:
    return text
  rng = np.random.default_rng(zlib.crc32(seed_text.encode()))
  middle = int(rng.integers(len(words)))
  first = middle - crop.max_words // 2
  first = min(max(first, 0), len(words) - crop.max_words)
  last = words[first + crop.max_words - 1]
  return " ".join(tokens[words[first] : last + 1])


class _FeatureColumns:
  """Reads the features of a row from the columns that a spec names."""

  def __init__(
    self, spec: ml_collections.ConfigDict, table: table_files.Table
  ) -> None:
    self._spec = spec
    self._columns = {
      name: _expand(table, entry.columns)
      for name, entry in spec.features.items()
    }

  @property
  def columns(self) -> list[str]:
    """Every column that holds features."""
    return [c for group in self._columns.values() for c in group]

  def modalities(
    self, rows: Iterator[table_files.Row]
  ) -> dict[str, corpus.Modality]:
    """Describes the modalities, by the first row that has each."""
    missing = set(self._columns)
    dims: dict[str, int] = {}
    while missing:
      row = next(rows, None)
      if row is None:
        raise UserError(
          f"{self._spec.name}: no row has {', '.join(sorted(missing))} features"
        )
      for name in sorted(missing):
        frames = self._frames(name, row)
        if frames is not None:
          dims[name] = frames.shape[1]
          missing.discard(name)
    return {
      name: corpus.Modality(
        self._names(name, dims[name]), self._spec.features[name].padding
      )
      for name in schema.MODALITIES
      if name in dims
    }

  def _names(self, name: str, dim: int) -> tuple[str, ...]:
    names = tuple(self._spec.features[name].names)
    columns = self._columns[name]
    if not names:
      if len(columns) == dim:
        return columns
      prefix = columns[0] if len(columns) == 1 else name
      return corpus.numbered(prefix, dim)
    if len(names) != dim or len(set(names)) != dim:
      raise UserError(
        f"spec.features.{name}.names has {len(set(names))} different names,"
        f" expected {dim}, the features of a frame"
      )
    return names

  def streams(
    self, row: table_files.Row, modalities: dict[str, corpus.Modality]
  ) -> dict[str, np.ndarray]:
    """Reads the features of every modality that the row has."""
    streams = {}
    for name, columns in self._columns.items():
      frames = self._frames(name, row)
      if frames is not None:
        at = f"{row.where}, column {columns[0]!r}"
        corpus.check_dim(modalities[name], name, frames, at)
        streams[name] = frames
    return streams

  def _frames(self, name: str, row: table_files.Row) -> np.ndarray | None:
    """Reads the features of a modality; None where all its cells are blank."""
    columns = self._columns[name]
    if all(table_files.is_blank(row.cells[column]) for column in columns):
      return None
    parts = [
      table_files.as_vector(row.cells[column], row.where, column)
      for column in columns
    ]
    if len(parts) == 1 and parts[0] is not None and parts[0].ndim == 2:
      return corpus.as_float32(parts[0])
    if any(part is not None and part.ndim for part in parts):
      _check_vectors(name, row, columns, parts)
    # A blank among numbers: the policy decides what becomes of it.
    parts = [np.float64(np.nan) if part is None else part for part in parts]
    vector = np.concatenate([np.atleast_1d(part) for part in parts])
    return corpus.as_float32(vector)[None]


def _check_vectors(
  name: str,
  row: table_files.Row,
  columns: tuple[str, ...],
  parts: list[np.ndarray | None],
) -> None:
  for column, part in zip(columns, parts, strict=True):
    if part is None:
      raise UserError(
        f"{row.where}: column {column!r} of {name} is empty and others are not;"
        " expected all, or none for an utterance without it"
      )
    if part.ndim > 1:
      raise UserError(
        f"{row.where}: column {column!r} of {name} has shape {part.shape},"
        " expected a vector, or frames (t, d) in a single column"
      )


def _expand(
  table: table_files.Table, columns: tuple[str, ...]
) -> tuple[str, ...]:
  """Replaces prefixes such as `mfcc_*` by the columns that begin so."""
  expanded: list[str] = []
  for column in columns:
    if not column.endswith("*"):
      expanded.append(column)
      continue
    matching = [c for c in table.columns if c.startswith(column[:-1])]
    if not matching:
      raise UserError(
        f"{table.path}: no column matches {column!r}; it has"
        f" {', '.join(table.columns) or 'columns of its own in every row'}"
      )
    expanded += matching
  return tuple(expanded)
