"""Fills in what a spec leaves out, by the tables that it is of."""

import pathlib
import re
from collections.abc import Sequence
from typing import Any

import ml_collections

from data_prep.corpus import corpus, text
from data_prep.sources import spec as spec_lib
from data_prep.sources import utterance_tables
from mmer_jax.base.errors import UserError

# What tables call the splits.
SPLIT_NAMES = {
  **dict.fromkeys(("train", "training"), "train"),
  **dict.fromkeys(
    ("validation", "valid", "val", "dev", "devel", "development"), "validation"
  ),
  **dict.fromkeys(("test", "testing"), "test"),
}
# More different labels than this are no emotions.
_MOST_LABELS = 50
_FILE, _ROW = f"{{{utterance_tables.FILE}}}", f"{{{utterance_tables.ROW}}}"
# Of rows without a label whose emotions nothing names; ours.
EMOTIONS = ("neutral", "happy", "sad", "angry")
NO_LABEL = (
  "no row has a label: the emotions that a corpus needs are called"
  f" {', '.join(EMOTIONS)}, and only the ratings can be learnt"
)
_BY_COLUMN = ("speaker", "session", "dialogue")


def complete(
  spec: ml_collections.ConfigDict, tables: utterance_tables.Tables
) -> ml_collections.ConfigDict:
  """Writes out every key of a spec.

  Args:
    spec: A sound spec; what it says stays.
    tables: The tables that it describes.

  Raises:
    UserError: The labels that the rows have are no emotions.
  """
  given = spec.to_dict()
  filled: dict[str, Any] = {
    "name": name_of(tables.path),
    "label_type": "multi" if given.get("label_columns") else "single",
    **dict.fromkeys(("text", "label"), ""),
    **dict.fromkeys(("files", "label_columns", "rows"), ()),
    **_templates(given, tables.columns),
    "split_values": tuple(SPLIT_NAMES.items()),
    **given,
    "features": {
      modality: _features(entry)
      for modality, entry in given.get("features", {}).items()
    },
    "crop": dict.fromkeys(spec_lib.CROP_KEYS, 0) | given.get("crop", {}),
  }
  filled.update(_labels(given, filled, tables))
  words = dict(given.get("emotion_words", ()))
  filled["emotion_words"] = tuple(
    (name, tuple(words.get(name) or text.EMOTION_WORDS.get(name, (name,))))
    for name in filled["emotions"]
  )
  return ml_collections.ConfigDict(filled).lock()


def name_of(path: pathlib.Path) -> str:
  """Makes the name of a corpus from that of its file or folder."""
  stem = path.resolve().name.partition(".")[0].lower()
  name = re.sub(r"[^a-z0-9]+", "_", stem).strip("_")
  return name if name[:1].isalpha() else f"corpus_{name}".rstrip("_")


def _templates(
  given: dict[str, Any], columns: tuple[str, ...]
) -> dict[str, str]:
  """Names the columns of ids, people, places and splits."""
  found = {key: _column(key, columns) for key in _BY_COLUMN}
  files = [key for key, _ in given.get("files", ())]
  split = _column("split", columns)
  if not split and files and all(key in SPLIT_NAMES for key in files):
    split = _FILE
  number = f"{_FILE}_{_ROW}" if files else _ROW
  return {**found, "split": split, "id": _column("id", columns) or number}


def _column(key: str, columns: tuple[str, ...]) -> str:
  """Makes the template of the column of a key's name; empty for none."""
  same = [column for column in columns if column.lower() == key]
  chosen = key if key in same else same[0] if same else ""
  return f"{{{chosen}}}" if chosen else ""


def _features(entry: Any) -> dict[str, Any]:
  """Writes out the features of a modality."""
  described = entry if isinstance(entry, dict) else {"columns": tuple(entry)}
  return {"names": (), "padding": corpus.NO_PADDING, **described}


def _labels(
  given: dict[str, Any],
  filled: dict[str, Any],
  tables: utterance_tables.Tables,
) -> dict[str, Any]:
  """Names emotions, the labels that mean them, and those that mean none."""
  pairs = tuple(given.get("label_values", ()))
  mapped = {str(value) for value, _ in pairs}
  unlabelled = given.get("unlabelled", () if "" in mapped else ("",))
  emotions = given.get("emotions")
  if emotions is None:
    named = [emotion for emotion, _ in filled["label_columns"]]
    named = named or [emotion for _, emotion in pairs]
    emotions = tuple(dict.fromkeys(named))
    if not emotions and not filled["label"]:
      emotions = EMOTIONS
    emotions = emotions or _found(
      filled, tables, {str(value) for value in unlabelled}
    )
  if "label_values" not in given and filled["label"]:
    gone = {str(value) for value in unlabelled}
    pairs = tuple((name, name) for name in emotions if name not in gone)
  return {
    "emotions": tuple(emotions),
    "label_values": pairs,
    "unlabelled": tuple(unlabelled),
  }


def notes(spec: ml_collections.ConfigDict) -> tuple[str, ...]:
  """Says of a spec, as it was given, that nothing names its emotions."""
  named = any(
    spec.get(key)
    for key in ("label", "label_columns", "label_values", "emotions")
  )
  return () if named else (NO_LABEL,)


def labels_of(
  label: str,
  patterns: Sequence[tuple[str, str]],
  tables: utterance_tables.Tables,
  flag: str = "spec.label",
) -> set[str]:
  """Collects the labels of the rows that match all patterns.

  Args:
    label: The template of a label.
    patterns: Pairs of `spec.rows`.
    tables: The tables.
    flag: What names the template, for messages.

  Raises:
    UserError: They are too many for emotions.
  """
  columns = utterance_tables.columns_in(label, *(each for each, _ in patterns))
  for column in columns:
    tables.require(column, f"{flag} is {label!r}")
  seen = set()
  for row in tables.rows(columns):
    if not utterance_tables.is_chosen(row, patterns):
      continue
    value = whole(utterance_tables.fill(label, row))
    seen.add(value)
    if len(seen) > _MOST_LABELS:
      raise UserError(
        f"{row.where}: {flag} is {label!r}, and that has more than"
        f" {_MOST_LABELS} different values, such as {value[:40]!r}; is it the"
        " column of the emotions? If so, a spec lists them in spec.emotions"
      )
  return seen


def _found(
  filled: dict[str, Any],
  tables: utterance_tables.Tables,
  unlabelled: set[str],
) -> tuple[str, ...]:
  """Names the emotions by the labels that the rows have, sorted."""
  label = filled["label"]
  seen = labels_of(label, filled["rows"], tables)
  emotions = tuple(sorted(seen - unlabelled))
  if not emotions:
    raise UserError(
      f"spec.label is {label!r}, and no row has one; expected emotions, or"
      " config.label = '' and config.emotions for an unlabelled corpus"
    )
  return emotions


def whole(value: str) -> str:
  """Writes a whole number that a table holds as 1.0 as it is named, 1."""
  return re.sub(r"^(-?\d+)\.0+$", r"\1", value)
