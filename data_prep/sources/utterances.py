"""One row per utterance, described by a spec.

A spec is a Python file with `get_config(variant)` that returns a `ConfigDict`
with exactly these keys:

- `name`: lower-case letters, digits, underscores;
- `label_type`: `"single"` or `"multi"`;
- `files`: () where the input is one file; else pairs (key, file name) below the
  input folder, read in this order, the key being the column `{file}`;
- `id`, `speaker`, `session`, `dialogue`, `split`, `text`, `label`: templates in
  which `{column}` stands for the row's value, `""` where the corpus has none;
- `split_values`: pairs (value, `"train"`, `"validation"` or `"test"`) for the
  values of `split`;
- `emotions`: their names, in the order of the labels;
- `label_values`: pairs (value of `label`, emotion);
- `unlabelled`: values of `label` that mean an unlabelled row;
- `label_columns`: for multi-label corpora without `label`, pairs (emotion,
  column): present where the number is above 0; unlabelled where all are empty
  or not a number. A spec with neither `label` nor `label_columns` describes an
  unlabelled corpus;
- `features`: modality to `columns` (each a vector, or a number, or a prefix as
  `"mfcc_*"`; together they make the vector; in .npz and .jsonl a single column
  may hold frames (t, d)), `names` (of the features; () derives them) and
  `padding` (`"none"`, or `"zero_rows"` where all-zero frames are padding);
- `emotion_words`: pairs (emotion, words in order of preference), the first with
  a vector standing for the emotion;
- `crop`: `min_words`, below which a row is silence and left out, and
  `max_words`, to which a longer text is cut around a word drawn by the row's
  id; 0 for neither. Tags and marks are no words. Only for rows without
  features, which would be of the whole.

`text` becomes the lexical modality through a file of word vectors.
"""

import pathlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import ml_collections
import numpy as np

from data_prep.corpus import corpus
from data_prep.corpus import text as text_lib
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema, table_files
from mmer_jax.data import word_vectors as word_vectors_lib

_TEMPLATES = (
  "id",
  "speaker",
  "session",
  "dialogue",
  "split",
  "text",
  "label",
)
_PAIRS = (
  "files",
  "split_values",
  "label_values",
  "label_columns",
  "emotion_words",
)
_KEYS = (
  *("name", "label_type", "emotions", "unlabelled", "features", "crop"),
  *_TEMPLATES,
  *_PAIRS,
)
_FEATURE_KEYS = ("columns", "names", "padding")
_CROP_KEYS = ("min_words", "max_words")
_FIELD = re.compile(r"\{([^{}]*)\}")
_FILE = "file"


def build(
  spec: ml_collections.ConfigDict,
  path: pathlib.Path,
  word_vectors: pathlib.Path | None,
  oov: str,
) -> corpus.Corpus:
  """The corpus that a spec describes.

  Args:
    spec: See the module.
    path: The file, or the folder of `spec.files`.
    word_vectors: Needed where the spec has text; elsewhere only for the
      emotions' vectors.
    oov: A policy of `text.OOV_POLICIES`.
  """
  check_spec(spec)
  reader = _Reader(spec, path)
  modalities = reader.modalities()
  vectors, summary, lexicon = None, None, None
  if spec.text:
    if word_vectors is None:
      raise UserError(
        f"the spec {spec.name} reads text from {spec.text}; give"
        " --word_vectors=FILE for it, or --spec.text= to go without"
      )
    lexicon, vectors = _lexicon(spec, reader, word_vectors)
    summary = lexicon.summary(oov, vectors)
    modalities = {
      "lexical": corpus.Modality(
        corpus.numbered("vector", lexicon.dim), corpus.NO_PADDING
      ),
      **modalities,
    }
  elif word_vectors is not None:
    vectors = _emotions(spec, word_vectors, set())[1]
  if not modalities:
    raise UserError(
      f"the spec {spec.name} names neither text nor features; there is nothing"
      " to convert"
    )

  def examples() -> Iterator[corpus.Example]:
    for example, text in reader.examples(modalities):
      if lexicon is not None:
        words, rows = lexicon.embed(text, oov)
        example.words = words
        example.streams = {"lexical": rows, **example.streams}
      yield example

  return corpus.Corpus(
    name=spec.name,
    source="utterances",
    layout=reader.layout,
    emotions=tuple(spec.emotions),
    label_type=spec.label_type,
    modalities=modalities,
    examples=examples,
    total=reader.total,
    options={
      "spec": _plain(spec.to_dict()),
      "word_vectors": word_vectors.name if word_vectors else None,
      "oov": oov if spec.text else None,
    },
    vectors=vectors,
    text=summary,
    has_words=lexicon is not None,
  )


def check_spec(spec: ml_collections.ConfigDict) -> None:
  """Raises a `UserError` for what is wrong with a spec before any row."""
  _same_keys("spec", spec.keys(), _KEYS)
  if not re.fullmatch(r"[a-z][a-z0-9_]*", spec.name):
    raise UserError(
      f"spec.name {spec.name!r} must be a lower-case letter and then lower-case"
      " letters, digits and underscores"
    )
  if spec.label_type not in ("single", "multi"):
    raise UserError(
      f"spec.label_type is {spec.label_type!r}, expected 'single' or 'multi'"
    )
  for key in _TEMPLATES:
    if not isinstance(spec[key], str):
      raise UserError(
        f"spec.{key} is {spec[key]!r}, expected a template such as"
        " '{column}', or ''"
      )
  if not spec.id:
    raise UserError("spec.id is empty; every utterance needs an id")
  for key in _PAIRS:
    for pair in spec[key]:
      if not isinstance(pair, tuple) or len(pair) != 2:
        raise UserError(f"spec.{key} has {pair!r}, expected pairs")
  if spec.label and spec.label_columns:
    raise UserError("spec.label and spec.label_columns exclude each other")
  if spec.label_columns and spec.label_type != "multi":
    raise UserError("spec.label_columns needs spec.label_type 'multi'")
  emotions = tuple(spec.emotions)
  if not emotions or len(set(emotions)) != len(emotions):
    raise UserError(f"spec.emotions {emotions} must be names, each once")
  named = {
    "label_values": [emotion for _, emotion in spec.label_values],
    "label_columns": [emotion for emotion, _ in spec.label_columns],
    "emotion_words": [emotion for emotion, _ in spec.emotion_words],
  }
  for key, names in named.items():
    for name in names:
      if name not in emotions:
        raise UserError(
          f"spec.{key} names {name!r}, which is not one of spec.emotions"
          f" {emotions}"
        )
  for key in ("label_columns", "emotion_words"):
    if spec[key] and sorted(named[key]) != sorted(emotions):
      raise UserError(f"spec.{key} must name each of {emotions} once")
  for value, split in spec.split_values:
    if split not in corpus.SPLITS:
      raise UserError(
        f"spec.split_values maps {value!r} to {split!r}, expected one of"
        f" {', '.join(corpus.SPLITS)}"
      )
  for modality, entry in spec.features.items():
    if modality not in schema.MODALITIES:
      raise UserError(
        f"spec.features has {modality!r}, expected"
        f" {', '.join(schema.MODALITIES)}"
      )
    _same_keys(f"spec.features.{modality}", entry.keys(), _FEATURE_KEYS)
    if entry.padding not in (corpus.NO_PADDING, corpus.ZERO_ROWS):
      raise UserError(
        f"spec.features.{modality}.padding is {entry.padding!r}, expected"
        " 'none' or 'zero_rows'"
      )
  _same_keys("spec.crop", spec.crop.keys(), _CROP_KEYS)
  for key, value in spec.crop.items():
    if not isinstance(value, int) or value < 0:
      raise UserError(
        f"spec.crop.{key} is {value!r}, expected a number of words, 0 for none"
      )
    if value and (spec.features or not spec.text):
      raise UserError(
        f"spec.crop.{key} is {value}, but only rows of text alone can be"
        " cropped; set it to 0"
      )
  if spec.text and "lexical" in spec.features:
    raise UserError(
      "spec.text and spec.features.lexical are both the lexical modality;"
      " keep one"
    )


def _same_keys(what: str, got: Any, expected: tuple[str, ...]) -> None:
  for key in got:
    if key not in expected:
      raise UserError(
        f"{what} has an unknown key {key!r}; the keys are"
        f" {', '.join(sorted(expected))}"
      )
  for key in expected:
    if key not in got:
      raise UserError(
        f"{what} lacks the key {key!r}; every key is written out, '' or ()"
        " where the corpus has no such thing"
      )


class _Reader:
  """Rows to examples, but for the text."""

  def __init__(
    self, spec: ml_collections.ConfigDict, path: pathlib.Path
  ) -> None:
    self._spec = spec
    if spec.files:
      if not path.is_dir():
        raise UserError(
          f"--input={path} is a file; the spec {spec.name} reads"
          f" {', '.join(name for _, name in spec.files)} from a folder"
        )
      self._tables = {
        key: table_files.open_table(path / name) for key, name in spec.files
      }
    else:
      if path.is_dir():
        raise UserError(
          f"--input={path} is a folder; the spec {spec.name} reads one file"
        )
      self._tables = {"": table_files.open_table(path)}
    first = next(iter(self._tables.values()))
    if spec.files and any(_FILE in t.columns for t in self._tables.values()):
      raise UserError(
        f"{first.path} has a column {_FILE!r}, which spec.files needs for"
        " itself; rename the column"
      )
    self._label_values = dict(spec.label_values)
    self._unlabelled = set(spec.unlabelled)
    self._splits = dict(spec.split_values)
    self._order = {name: i for i, name in enumerate(spec.emotions)}
    self._features = {
      name: self._expand(first, entry.columns)
      for name, entry in spec.features.items()
    }
    columns = [c for key in _TEMPLATES for c in _FIELD.findall(spec[key])]
    columns += [column for _, column in spec.label_columns]
    columns += [c for group in self._features.values() for c in group]
    if not spec.files and _FILE in columns and first.columns:
      first.require(_FILE)
    self._wanted = [
      c for c in dict.fromkeys(columns) if not (spec.files and c == _FILE)
    ]
    for table in self._tables.values():
      for column in self._wanted:
        table.require(column)
    totals = [table.total for table in self._tables.values()]
    unknown = None in totals or any(spec.crop.values())
    self.total = None if unknown else sum(totals)
    kinds = {"".join(t.path.suffixes[-2:]) for t in self._tables.values()}
    self.layout = (
      f"{len(self._tables)} table(s) of utterances,"
      f" {', '.join(sorted(kind.lstrip('.') for kind in kinds))}"
    )

  def _expand(
    self, table: table_files.Table, columns: tuple[str, ...]
  ) -> tuple[str, ...]:
    expanded: list[str] = []
    for column in columns:
      if not column.endswith("*"):
        expanded.append(column)
        continue
      found = [c for c in table.columns if c.startswith(column[:-1])]
      if not found:
        raise UserError(
          f"{table.path}: no column matches {column!r}; it has"
          f" {', '.join(table.columns) or 'columns of its own in every row'}"
        )
      expanded += found
    return tuple(expanded)

  def rows(self) -> Iterator[table_files.Row]:
    """Every row of every file, with the file's key as a column."""
    for key, table in self._tables.items():
      for row in table.rows(self._wanted):
        if self._spec.files:
          row.cells[_FILE] = key
        yield row

  def texts(self) -> Iterator[str]:
    """The text of every row that is kept."""
    for row in self.rows():
      text = self._text(row)
      if text is not None:
        yield text

  def _text(self, row: table_files.Row) -> str | None:
    """The text as `spec.crop` leaves it; None for silence."""
    text, crop = self._fill("text", row), self._spec.crop
    if not any(crop.values()):
      return text
    tokens = text_lib.tokenise(text)
    words = [at for at, token in enumerate(tokens) if token[0].isalnum()]
    if len(words) < max(crop.min_words, 1):
      return None
    if not crop.max_words or len(words) <= crop.max_words:
      return text
    rng = np.random.default_rng(zlib.crc32(self._fill("id", row).encode()))
    middle = int(rng.integers(len(words)))
    first = middle - crop.max_words // 2
    first = min(max(first, 0), len(words) - crop.max_words)
    last = words[first + crop.max_words - 1]
    return " ".join(tokens[words[first] : last + 1])

  def modalities(self) -> dict[str, corpus.Modality]:
    """The features' dims, from the first row that has them."""
    missing = set(self._features)
    dims: dict[str, int] = {}
    if missing:
      for row in self.rows():
        for name in sorted(missing):
          frames = self._frames(name, row)
          if frames is not None:
            dims[name] = frames.shape[1]
            missing.discard(name)
        if not missing:
          break
    if missing:
      raise UserError(
        f"{self._spec.name}: no row has {', '.join(sorted(missing))} features"
      )
    return {
      name: corpus.Modality(
        self._names(name, dims[name]), self._spec.features[name].padding
      )
      for name in schema.MODALITIES
      if name in dims
    }

  def _names(self, name: str, dim: int) -> tuple[str, ...]:
    names = tuple(self._spec.features[name].names)
    columns = self._features[name]
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

  def _fill(self, key: str, row: table_files.Row) -> str:
    return _FIELD.sub(
      lambda match: table_files.as_text(row.cells[match[1]]), self._spec[key]
    ).strip()

  def _frames(self, name: str, row: table_files.Row) -> np.ndarray | None:
    parts = []
    for column in self._features[name]:
      part = table_files.as_vector(row.cells[column], row.where, column)
      if part is None:
        return None
      parts.append(part)
    if len(parts) == 1 and parts[0].ndim == 2:
      return corpus.as_float32(parts[0])
    for column, part in zip(self._features[name], parts, strict=True):
      if part.ndim > 1:
        raise UserError(
          f"{row.where}: column {column!r} of {name} has shape {part.shape},"
          " expected a vector, or frames (t, d) in a single column"
        )
    vector = np.concatenate([np.atleast_1d(part) for part in parts])
    return corpus.as_float32(vector)[None]

  def examples(
    self, modalities: dict[str, corpus.Modality]
  ) -> Iterator[tuple[corpus.Example, str]]:
    """Every utterance that is kept, and its text."""
    for row in self.rows():
      text = self._text(row)
      if text is None:
        continue
      streams = {}
      for name in self._features:
        frames = self._frames(name, row)
        if frames is not None:
          corpus.check_dim(
            modalities[name],
            name,
            frames,
            f"{row.where}, column {self._features[name][0]!r}",
          )
          streams[name] = frames
      example = corpus.Example(
        id=self._fill("id", row),
        where=row.where,
        streams=streams,
        labels=self._labels(row),
        speaker=self._fill("speaker", row),
        session=self._fill("session", row),
        dialogue=self._fill("dialogue", row),
        split=self._split(row),
      )
      yield example, text

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

  def _labels(self, row: table_files.Row) -> np.ndarray | None:
    spec = self._spec
    labels = np.zeros(len(self._order), np.float32)
    if spec.label_columns:
      values = {}
      for emotion, column in spec.label_columns:
        cell = table_files.as_vector(row.cells[column], row.where, column)
        values[emotion] = np.nan if cell is None else float(cell.item())
      missing = [e for e, value in values.items() if np.isnan(value)]
      if len(missing) == len(values):
        return None
      if missing:
        raise UserError(
          f"{row.where}: label column of {missing[0]!r} is empty and others are"
          " not; expected all, or none for an unlabelled row"
        )
      for emotion, value in values.items():
        labels[self._order[emotion]] = value > 0
      return labels
    if not spec.label:
      return None
    value = self._fill("label", row)
    if value in self._unlabelled:
      return None
    if value not in self._label_values:
      raise UserError(
        f"{row.where}: label {value!r} from {spec.label} is neither in"
        f" spec.label_values ({', '.join(self._label_values)}) nor in"
        " spec.unlabelled"
      )
    labels[self._order[self._label_values[value]]] = 1
    return labels


def _lexicon(
  spec: ml_collections.ConfigDict, reader: _Reader, path: pathlib.Path
) -> tuple[text_lib.Lexicon, schema.EmotionVectors]:
  counts: Counter[str] = Counter()
  for text in reader.texts():
    counts.update(text_lib.tokenise(text))
  vectors, emotions = _emotions(spec, path, text_lib.forms(counts))
  return text_lib.Lexicon(counts, vectors), emotions


def _emotions(
  spec: ml_collections.ConfigDict, path: pathlib.Path, wanted: set[str]
) -> tuple[word_vectors_lib.WordVectors, schema.EmotionVectors]:
  words = dict(spec.emotion_words) or {name: (name,) for name in spec.emotions}
  wanted = wanted.union(*words.values())
  vectors = word_vectors_lib.read(path, wanted)
  return vectors, text_lib.emotion_vectors(spec.emotions, words, vectors)


def _plain(value: Any) -> Any:
  """Tuples to lists, as JSON will have them."""
  if isinstance(value, dict):
    return {key: _plain(item) for key, item in value.items()}
  if isinstance(value, (tuple, list)):
    return [_plain(item) for item in value]
  return value
