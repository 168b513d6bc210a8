"""Checks specs: what the columns of a table of utterances mean.

A spec is a Python file with `get_config()`, or `get_config(variant)`, that
returns a `ConfigDict`. Two of its keys are mandatory:

- `label`, a template in which `{column}` stands for the row's value, or `""`
  for an unlabelled corpus; or, where a row may have several emotions,
  `label_columns`: pairs (emotion, column), present where the number is above 0;
  unlabelled where all are empty or not a number;
- `text`, a template, which becomes the lexical modality through a file of word
  vectors; or `features`: modality to columns (each a vector, or a number, or a
  prefix as `"mfcc_*"`; together they make the vector; in .npz and .jsonl a
  single column may hold frames (t, d)). `{"columns": ..., "names": ...,
  "padding": ...}` says more: the features' names (by default those of the
  columns, numbered where one column holds several) and `"none"` (the default)
  or `"zero_rows"`, where all-zero frames are padding.

The others have defaults (`spec_defaults`):

- `name`: lower-case letters, digits, underscores; by default the input's;
- `files`: () where the input is one file; else pairs (key, file name) below the
  input folder, read in this order, the key being the column `{file}`;
- `id`, `speaker`, `session`, `dialogue`, `split`: templates, `""` where the
  corpus has none; by default the column of that name, in whatever case. An `id`
  is by default the row's number, `{row}`, where there is no such column, and a
  `split` is the file, where every key of `files` is the name of one;
- `split_values`: pairs (value, `"train"`, `"validation"` or `"test"`) for the
  values of `split`; by default what the splits are usually called;
- `unlabelled`: values of `label` that mean an unlabelled row; by default the
  empty one;
- `label_values`: pairs (value of `label`, emotion); by default every emotion by
  its own name;
- `emotions`: their names, in the order of the labels; by default those of
  `label_values` or `label_columns`, else every label that a row has, sorted;
- `rating_columns`: (name, column, lowest, highest value) of each scale that
  rows are rated on, as ("valence", "val", 1, 5); `"vad[0]"` is the first number
  of a column of vectors, and a blank cell one that was not given. With them a
  spec may go without `label`;
- `off_scale`: `"error"`, the default, or `"unrated"`, which counts and leaves
  out values outside of their scale;
- `label_type`: `"single"`, or `"multi"`, the default with `label_columns`;
- `emotion_words`: pairs (emotion, words in order of preference), the first with
  a vector standing for the emotion; by default `text.EMOTION_WORDS`, or the
  emotion itself;
- `crop`: `min_words`, below which a row is silence and left out, and
  `max_words`, to which a longer text is cut around a word drawn by the row's
  id; 0, the default, for neither. Tags and marks are no words. Only for rows
  without features, which would be of the whole;
- `rows`: pairs (template, pattern) that a row must all match to be read, as
  ("{dialog_id}", "*_impro*").
"""

import re
from collections.abc import Iterable
from typing import Any

import ml_collections

from data_prep.corpus import corpus, scales
from mmer_jax.base import errors
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
# A column in a template.
FIELD = re.compile(r"\{([^{}]*)\}")
# Without a column, these would be the same for every row.
_VARYING = ("id", "text", "label")
_PAIRS = (
  *("files", "split_values", "label_values", "label_columns"),
  *("emotion_words", "rows"),
)
_KINDS = {
  **dict.fromkeys(("name", "label_type", "off_scale", *TEMPLATES), str),
  **dict.fromkeys(
    (*_PAIRS, "emotions", "unlabelled", "rating_columns"), (tuple, list)
  ),
  **dict.fromkeys(("features", "crop"), ml_collections.ConfigDict),
}
_KIND_NAMES = {
  str: "text",
  (tuple, list): "a tuple",
  ml_collections.ConfigDict: "a ConfigDict",
}
PADDINGS = (corpus.NO_PADDING, corpus.ZERO_ROWS)
FEATURE_KEYS = ("columns", "names", "padding")
CROP_KEYS = ("min_words", "max_words")


def check_spec(
  spec: ml_collections.ConfigDict, *, has_arrays: bool = False
) -> None:
  """Raises a `UserError` for what is wrong with a spec before any row.

  Args:
    spec: What a user wrote.
    has_arrays: Whether features come from elsewhere than from the table.
  """
  if not isinstance(spec, ml_collections.ConfigDict):
    raise UserError(
      f"the spec is a {type(spec).__name__}, expected an"
      " ml_collections.ConfigDict; begin with a file of data_prep/specs"
    )
  _check_keys("spec", spec, tuple(_KINDS))
  _check_mandatory(spec, has_arrays)
  _check_kinds(spec)
  if spec.get("label") and spec.get("label_columns"):
    raise UserError("spec.label and spec.label_columns exclude each other")
  multi = spec.get("label_type", "multi") == "multi"
  if spec.get("label_columns") and not multi:
    raise UserError("spec.label_columns needs spec.label_type 'multi'")
  _check_emotions(spec)
  _check_ratings(spec)
  for value, split in spec.get("split_values", ()):
    if split not in corpus.SPLITS:
      near = errors.did_you_mean(split, corpus.SPLITS)
      raise UserError(
        f"spec.split_values maps {value!r} to {split!r}, expected one of"
        f" {', '.join(corpus.SPLITS)}{near}"
      )
  for modality, entry in spec.get("features", {}).items():
    _check_features(modality, entry)
  _check_crop(spec, has_arrays)
  if spec.get("text") and "lexical" in spec.get("features", {}):
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
      raise UserError(
        f"{what} has an unknown key {key!r}; the keys are"
        f" {', '.join(sorted(expected))}{errors.did_you_mean(key, expected)}"
      )


def _check_mandatory(spec: ml_collections.ConfigDict, has_arrays: bool) -> None:
  """Checks that a spec says what the labels and what the inputs are."""
  labelled = "label" in spec or "label_columns" in spec
  if not labelled and not spec.get("rating_columns"):
    raise UserError(
      "spec lacks the key 'label', the column of the emotions, as"
      " config.label = '{emotion}'; '' for an unlabelled corpus, label_columns"
      " for a column per emotion"
    )
  if not has_arrays and not spec.get("text") and not spec.get("features"):
    raise UserError(
      "spec has neither 'text' nor 'features', so that there is nothing to"
      " convert; expected one, as config.text = '{transcript}' or"
      " config.features = {'acoustic': ('mfcc_*',)}"
    )


def _check_kinds(spec: ml_collections.ConfigDict) -> None:
  """Checks that every value is of the kind that its key has."""
  for key, kind in _KINDS.items():
    if key in spec and not isinstance(spec[key], kind):
      raise UserError(
        f"spec.{key} is {_shown(spec[key])}, expected {_KIND_NAMES[kind]}"
      )
  if "name" in spec and not re.fullmatch(r"[a-z][a-z0-9_]*", spec.name):
    raise UserError(
      f"spec.name {spec.name!r} must be a lower-case letter and then lower-case"
      " letters, digits and underscores"
    )
  if spec.get("label_type", "single") not in ("single", "multi"):
    raise UserError(
      f"spec.label_type is {spec.label_type!r}, expected 'single' or 'multi'"
      f"{errors.did_you_mean(spec.label_type, ('single', 'multi'))}"
    )
  if "id" in spec and not spec.id:
    raise UserError("spec.id is empty; every utterance needs an id")
  for key in _VARYING:
    if spec.get(key) and not FIELD.search(spec[key]):
      raise UserError(
        f"spec.{key} is {spec[key]!r}, which names no column; expected braces"
        f" around one, as {'{' + spec[key].strip('{}') + '}'!r}"
      )
  for key in _PAIRS:
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
  values = [str(value) for value, _ in spec.get("label_values", ())]
  for value in values:
    unlabelled = map(str, spec.get("unlabelled", ()))
    if values.count(value) > 1 or value in unlabelled:
      raise UserError(
        f"spec.label_values has {value!r} twice, or spec.unlabelled has it too;"
        " expected one meaning"
      )
  named = {
    key: [pair[side] for pair in spec.get(key, ())]
    for key, side in (
      ("label_values", 1),
      ("label_columns", 0),
      ("emotion_words", 0),
    )
  }
  emotions = _emotions_of(spec, named)
  if emotions is None:
    return
  for key, names in named.items():
    for name in names:
      if name not in emotions:
        raise UserError(
          f"spec.{key} names {name!r}, which is not one of spec.emotions"
          f" {emotions}{errors.did_you_mean(name, emotions)}"
        )
      if key != "label_values" and names.count(name) > 1:
        raise UserError(f"spec.{key} must name {name!r} once")
  missing = sorted(set(emotions) - set(named["label_columns"]))
  if named["label_columns"] and missing:
    raise UserError(
      f"spec.label_columns must name each of {emotions} once, and lacks"
      f" {missing[0]!r}"
    )


def _emotions_of(
  spec: ml_collections.ConfigDict, named: dict[str, list[str]]
) -> tuple[str, ...] | None:
  """Names the emotions; None where the table's labels are to."""
  if "emotions" not in spec:
    unlabelled = not spec.get("label") and not named["label_columns"]
    if unlabelled and not spec.get("rating_columns"):
      raise UserError(
        "spec lacks the key 'emotions', which an unlabelled corpus needs: those"
        " that a model will be asked about, as ('happy', 'sad')"
      )
    names = named["label_columns"] or named["label_values"]
    return tuple(dict.fromkeys(names)) or None
  emotions = tuple(spec.emotions)
  for name in emotions:
    if not isinstance(name, str) or not name:
      raise UserError(
        f"spec.emotions has {_shown(name)}, expected names as text"
      )
  if not emotions or len(set(emotions)) != len(emotions):
    raise UserError(f"spec.emotions {emotions} must be names, each once")
  return emotions


def _check_ratings(spec: ml_collections.ConfigDict) -> None:
  """Checks the scales that rows are rated on."""
  columns = []
  for entry in spec.get("rating_columns", ()):
    parts = tuple(entry) if isinstance(entry, (tuple, list)) else ()
    numbers = [
      each
      for each in parts[2:]
      if isinstance(each, (int, float)) and not isinstance(each, bool)
    ]
    texts = [each for each in parts[:2] if isinstance(each, str)]
    if len(texts) != 2 or len(numbers) != 2 or len(parts) != 4:
      raise UserError(
        f"spec.rating_columns has {_shown(entry)}, expected (name, column,"
        " lowest, highest value) as ('valence', 'val', 1, 5)"
      )
    columns.append(scales.Column(corpus.Rating(texts[0], *numbers), texts[1]))
  scales.check(columns, "spec.rating_columns")
  if spec.get("off_scale", scales.ERROR) not in scales.OFF_SCALE:
    raise UserError(
      f"spec.off_scale is {spec.off_scale!r}, expected"
      f" {' or '.join(map(repr, scales.OFF_SCALE))}"
      f"{errors.did_you_mean(spec.off_scale, scales.OFF_SCALE)}"
    )


def _check_features(modality: str, entry: Any) -> None:
  what = f"spec.features.{modality}"
  if modality not in schema.MODALITIES:
    raise UserError(
      f"spec.features has {modality!r}, expected {', '.join(schema.MODALITIES)}"
      f"{errors.did_you_mean(modality, schema.MODALITIES)}"
    )
  if isinstance(entry, ml_collections.ConfigDict):
    _check_keys(what, entry.keys(), FEATURE_KEYS)
    if "columns" not in entry:
      raise UserError(f"{what} lacks the key 'columns', as ('mfcc_*',)")
    lists = {f"{what}.{key}": entry.get(key, ()) for key in FEATURE_KEYS[:2]}
    columns, padding = entry.columns, entry.get("padding", PADDINGS[0])
  else:
    lists, columns, padding = {what: entry}, entry, PADDINGS[0]
  for key, texts in lists.items():
    if not isinstance(texts, (tuple, list)) or not all(
      isinstance(text, str) for text in texts
    ):
      raise UserError(f"{key} is {_shown(texts)}, expected a tuple of text")
  if not columns:
    raise UserError(
      f"{what}.columns is empty; expected columns, or no {modality}"
    )
  if padding not in PADDINGS:
    raise UserError(
      f"{what}.padding is {_shown(padding)}, expected 'none' or 'zero_rows'"
      f"{errors.did_you_mean(padding, PADDINGS)}"
    )


def _check_crop(spec: ml_collections.ConfigDict, has_arrays: bool) -> None:
  crop = spec.get("crop", {})
  _check_keys("spec.crop", crop.keys(), CROP_KEYS)
  for key, value in crop.items():
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
      raise UserError(
        f"spec.crop.{key} is {_shown(value)}, expected a number of words, 0"
        " for none"
      )
    has_features = has_arrays or spec.get("features")
    if value and (has_features or not spec.get("text")):
      raise UserError(
        f"spec.crop.{key} is {value}, but only rows of text alone can be"
        " cropped; set it to 0"
      )
