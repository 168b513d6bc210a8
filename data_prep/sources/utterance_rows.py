"""Reads the rows of a table as a spec describes them."""

import zlib
from collections.abc import Iterator

import ml_collections
import numpy as np

from data_prep.corpus import corpus, scales
from data_prep.corpus import text as text_lib
from data_prep.sources import spec as spec_lib
from data_prep.sources import (
  utterance_labels,
  utterance_ratings,
  utterance_tables,
)
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema, table_files


class Rows:
  """Reads utterances, all but their words, from the tables of a spec.

  Attributes:
    layout: The tables in words, for the manifest.
    total: Rows; None where only reading can tell.
    tally: How many rows were left out or cut, in words, in the latest pass.
    ratings: The scales that rows are rated on.
  """

  def __init__(
    self,
    spec: ml_collections.ConfigDict,
    tables: utterance_tables.Tables,
    positive_above: float | None,
  ) -> None:
    """Takes a complete spec, and checks that every column is there."""
    self._spec = spec
    self._tables = tables
    self._features = _FeatureColumns(spec, tables)
    self._labels = utterance_labels.Labels(spec, positive_above)
    self._ratings = utterance_ratings.Ratings(
      utterance_ratings.of_spec(spec),
      spec.get("off_scale", scales.ERROR),
      tables.columns,
    )
    self.ratings = self._ratings.ratings
    self.tally: dict[str, int] = {}
    self._splits = {str(value): split for value, split in spec.split_values}
    self._wanted = self._require_columns()
    unknown = any(spec.crop.values()) or spec.rows
    self.total = None if unknown else tables.total
    self.layout = tables.layout

  def _require_columns(self) -> list[str]:
    """Lists the columns that the spec reads; every table must have them."""
    spec = self._spec
    named = [(key, spec[key]) for key in spec_lib.TEMPLATES]
    named += [("rows", template) for template, _ in spec.rows]
    columns = [
      (column, f"spec.{key} is {template!r}")
      for key, template in named
      for column in utterance_tables.columns_in(template)
    ]
    columns += [
      (column, f"spec.label_columns has {(emotion, column)!r}")
      for emotion, column in spec.label_columns
    ]
    columns += [
      (column, f"spec.features.{modality} has it")
      for modality, column in self._features.columns
    ]
    columns += self._ratings.columns
    for column, because in columns:
      self._tables.require(column, because)
    return list(dict.fromkeys(column for column, _ in columns))

  def _rows(self) -> Iterator[table_files.Row]:
    """Reads the rows that `spec.rows` chooses."""
    self.tally.clear()
    for row in self._tables.rows(self._wanted):
      if utterance_tables.is_chosen(row, self._spec.rows):
        yield row
      else:
        self._count("left out by spec.rows")

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
          ratings=self._ratings(row, self.tally),
        ),
        text,
      )
    self._labels.check(self.layout)

  def _fill(self, key: str, row: table_files.Row) -> str:
    return utterance_tables.fill(self._spec[key], row)

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
      value = value.lower()
    if value not in self._splits:
      raise UserError(
        f"{row.where}: split {value!r} from {self._spec.split} is not in"
        f" spec.split_values ({', '.join(self._splits)}); map it there, or"
        " leave the split out, config.split = '' or --split_column="
        f"{errors.did_you_mean(value, self._splits)}"
      )
    return self._splits[value]


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
    self, spec: ml_collections.ConfigDict, tables: utterance_tables.Tables
  ) -> None:
    self._spec = spec
    self._columns = {
      name: _expand(tables, entry.columns)
      for name, entry in spec.features.items()
    }

  @property
  def columns(self) -> list[tuple[str, str]]:
    """Every modality and column that holds features."""
    return [(name, c) for name, group in self._columns.items() for c in group]

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
  tables: utterance_tables.Tables, columns: tuple[str, ...]
) -> tuple[str, ...]:
  """Replaces prefixes such as `mfcc_*` by the columns that begin so."""
  expanded: list[str] = []
  for column in columns:
    if not column.endswith("*"):
      expanded.append(column)
      continue
    matching = [c for c in tables.columns if c.startswith(column[:-1])]
    if not matching:
      raise UserError(
        f"{tables.path}: no column matches {column!r}; it has"
        f" {', '.join(tables.columns) or 'no column'}"
      )
    expanded += matching
  return tuple(expanded)
