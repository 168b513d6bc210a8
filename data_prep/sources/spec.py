"""Checks specs: what the columns of a table of utterances mean.

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

One more may be left out: `rows`, pairs (template, pattern) that a row must all
match to be read, as ("{dialog_id}", "*_impro*").

`text` becomes the lexical modality through a file of word vectors.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import ml_collections

from data_prep.corpus import corpus
from mmer_jax.base.errors import UserError
from mmer_jax.data import schema

# In these, `{column}` stands for a row's value.
TEMPLATES = (
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
  *TEMPLATES,
  *_PAIRS,
)
_OPTIONAL = ("rows",)
_KINDS = {
  **dict.fromkeys(("name", "label_type", *TEMPLATES), str),
  **dict.fromkeys((*_PAIRS, "emotions", "unlabelled"), (tuple, list)),
  **dict.fromkeys(("features", "crop"), ml_collections.ConfigDict),
}
_KIND_NAMES = {
  str: "text",
  (tuple, list): "a tuple",
  ml_collections.ConfigDict: "a ConfigDict",
}
_FEATURE_KEYS = ("columns", "names", "padding")
_CROP_KEYS = ("min_words", "max_words")


def check_spec(spec: ml_collections.ConfigDict) -> None:
  """Raises a `UserError` for what is wrong with a spec before any row."""
  if not isinstance(spec, ml_collections.ConfigDict):
    raise UserError(
      f"the spec is a {type(spec).__name__}, expected an"
      " ml_collections.ConfigDict; begin with a file of data_prep/specs"
    )
  _check_keys("spec", [key for key in spec if key not in _OPTIONAL], _KEYS)
  _check_kinds(spec)
  if not spec.id:
    raise UserError("spec.id is empty; every utterance needs an id")
  if spec.label and spec.label_columns:
    raise UserError("spec.label and spec.label_columns exclude each other")
  if spec.label_columns and spec.label_type != "multi":
    raise UserError("spec.label_columns needs spec.label_type 'multi'")
  _check_emotions(spec)
  for value, split in spec.split_values:
    if split not in corpus.SPLITS:
      raise UserError(
        f"spec.split_values maps {value!r} to {split!r}, expected one of"
        f" {', '.join(corpus.SPLITS)}"
      )
  for modality, entry in spec.features.items():
    _check_features(modality, entry)
  _check_crop(spec)
  if spec.text and "lexical" in spec.features:
    raise UserError(
      "spec.text and spec.features.lexical are both the lexical modality;"
      " keep one"
    )


def _shown(value: Any) -> str:
  """Shows a value of a spec on one line, cut where it is long."""
  return " ".join(repr(value).split())[:80]


def _check_keys(
  what: str, got: Iterable[str], expected: tuple[str, ...]
) -> None:
  for key in got:
    if key not in expected:
      near = difflib.get_close_matches(key, expected, n=1)
      hint = f"; did you mean {near[0]!r}?" if near else ""
      raise UserError(
        f"{what} has an unknown key {key!r}; the keys are"
        f" {', '.join(sorted(expected))}{hint}"
      )
  for key in expected:
    if key not in got:
      raise UserError(
        f"{what} lacks the key {key!r}; every key is written out, '' or ()"
        " where the corpus has no such thing"
      )


def _check_kinds(spec: ml_collections.ConfigDict) -> None:
  """Checks the name, the label type, and that every key has its kind."""
  for key, kind in _KINDS.items():
    if not isinstance(spec[key], kind):
      expected = _KIND_NAMES[kind]
      if key in TEMPLATES:
        expected = "a template such as '{column}', or ''"
      raise UserError(f"spec.{key} is {_shown(spec[key])}, expected {expected}")
  if not re.fullmatch(r"[a-z][a-z0-9_]*", spec.name):
    raise UserError(
      f"spec.name {spec.name!r} must be a lower-case letter and then lower-case"
      " letters, digits and underscores"
    )
  if spec.label_type not in ("single", "multi"):
    raise UserError(
      f"spec.label_type is {spec.label_type!r}, expected 'single' or 'multi'"
    )
  for key in (*_PAIRS, *_OPTIONAL):
    for pair in spec.get(key, ()):
      if not isinstance(pair, tuple) or len(pair) != 2:
        raise UserError(f"spec.{key} has {_shown(pair)}, expected pairs")
      _check_pair(key, pair)


def _check_pair(key: str, pair: tuple[Any, Any]) -> None:
  """Checks that a pair holds text, but for labels, which may be numbers."""
  first, second = pair
  labels = key in ("label_values", "split_values")
  if not isinstance(first, (str, int) if labels else str):
    raise UserError(
      f"spec.{key} has {_shown(pair)}, expected {_shown(first)} to be text"
    )
  words = key == "emotion_words"
  if not isinstance(second, (tuple, list) if words else str):
    expected = "a tuple of words" if words else "text"
    raise UserError(
      f"spec.{key} has {_shown(pair)}, expected {_shown(second)} as {expected}"
    )
  if words and not all(isinstance(word, str) for word in second):
    raise UserError(f"spec.{key} has {_shown(pair)}, expected words as text")


def _check_emotions(spec: ml_collections.ConfigDict) -> None:
  """Checks the emotions, and that other keys name no others."""
  emotions = tuple(spec.emotions)
  for name in emotions:
    if not isinstance(name, str) or not name:
      raise UserError(
        f"spec.emotions has {_shown(name)}, expected names as text"
      )
  values = [str(value) for value, _ in spec.label_values]
  for value in values:
    if values.count(value) > 1 or value in map(str, spec.unlabelled):
      raise UserError(
        f"spec.label_values has {value!r} twice, or spec.unlabelled has it too;"
        " expected one meaning"
      )
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


def _check_features(modality: str, entry: Any) -> None:
  if modality not in schema.MODALITIES:
    raise UserError(
      f"spec.features has {modality!r}, expected {', '.join(schema.MODALITIES)}"
    )
  if not isinstance(entry, ml_collections.ConfigDict):
    raise UserError(
      f"spec.features.{modality} is {_shown(entry)}, expected a dict"
    )
  _check_keys(f"spec.features.{modality}", entry.keys(), _FEATURE_KEYS)
  for key in ("columns", "names"):
    texts = entry[key]
    if not isinstance(texts, (tuple, list)) or not all(
      isinstance(text, str) for text in texts
    ):
      raise UserError(
        f"spec.features.{modality}.{key} is {_shown(texts)}, expected a tuple"
        " of text"
      )
  if not entry.columns:
    raise UserError(
      f"spec.features.{modality}.columns is empty; expected columns, or no"
      f" {modality}"
    )
  if entry.padding not in (corpus.NO_PADDING, corpus.ZERO_ROWS):
    raise UserError(
      f"spec.features.{modality}.padding is {_shown(entry.padding)}, expected"
      " 'none' or 'zero_rows'"
    )


def _check_crop(spec: ml_collections.ConfigDict) -> None:
  _check_keys("spec.crop", spec.crop.keys(), _CROP_KEYS)
  for key, value in spec.crop.items():
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
      raise UserError(
        f"spec.crop.{key} is {_shown(value)}, expected a number of words, 0"
        " for none"
      )
    if value and (spec.features or not spec.text):
      raise UserError(
        f"spec.crop.{key} is {value}, but only rows of text alone can be"
        " cropped; set it to 0"
      )
