"""Reads MELD's own pickles (declare-lab/MELD): by dialogue and utterance.

- `data_emotion.p`: [data, W, vocabulary, word index, longest text, label
  index]; a row of the data has `text`, `y`, `dialog`, `utterance`, `split`. The
  rows of W are the vectors of the words.
- Features, `audio_embeddings_..._emotion.pkl` and the like: [train, val, test],
  each a dictionary from `dialogue_utterance` to a vector. They have no labels,
  so that they are read beside `data_emotion.p`, from one folder; what a file's
  features are is in its name.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from data_prep.sources import cmu_labels
from data_prep.sources.pickles import family as family_lib
from data_prep.sources.pickles import labels as labels_lib
from data_prep.sources.pickles import members
from mmer_jax.base.errors import UserError

_FIELDS = ("text", "y", "dialog", "utterance", "split")
# The splits of the features, in order, as the ids of all MELD sources have
# them.
_SPLITS = ("train", "dev", "test")
MEMBERS = (
  *("data", "vectors", "vocabulary", "word index", "longest text"),
  "label index",
)
_LEFT_OUT = "of words outside of the word index, left out"


class Features(NamedTuple):
  """Holds the vectors of a file of features.

  Attributes:
    name: The file, for messages.
    modality: One of `schema.MODALITIES`.
    vectors: For each of `_SPLITS`, `dialogue_utterance` to a vector.
    dim: Numbers of a vector.
  """

  name: str
  modality: str
  vectors: list[Mapping[str, Any]]
  dim: int


def matches(content: Any) -> bool:
  """Whether a pickle is `data_emotion.p`, or one like it."""
  if not isinstance(content, (list, tuple)) or len(content) != 6:
    return False
  rows = _rows(content[0])
  return (
    rows is not None
    and isinstance(content[1], np.ndarray)
    and isinstance(content[5], dict)
  )


def matches_features(content: Any) -> bool:
  """Whether a pickle is of vectors by dialogue and utterance."""
  return (
    isinstance(content, (list, tuple))
    and len(content) == len(_SPLITS)
    and all(isinstance(part, dict) for part in content)
    and any(content)
    and all(_is_key(key) for part in content for key in part)
  )


def _is_key(key: Any) -> bool:
  dialogue, _, utterance = key.partition("_") if isinstance(key, str) else "..."
  return dialogue.isdigit() and utterance.isdigit()


def _rows(data: Any) -> list[Mapping[str, Any]] | None:
  """Lists the rows of the data; None where they are not like MELD's."""
  rows = list(data.values()) if isinstance(data, dict) else data
  if not isinstance(rows, (list, tuple)) or not rows:
    return None
  first = rows[0]
  if not isinstance(first, dict) or not {"text", "y"} <= first.keys():
    return None
  return list(rows)


def is_sentiment(content: Any) -> bool:
  """Whether a pickle that `matches` has sentiments for labels."""
  return set(map(str, content[5])) <= set(cmu_labels.SENTIMENTS)


def read_features(content: Any, name: str) -> Features:
  """Reads a pickle that `matches_features`, by its file's name.

  Raises:
    UserError: The name says no modality, or vectors differ in size.
  """
  found = {
    modality
    for word, modality in family_lib.MODALITIES.items()
    if word in name.lower()
  }
  if len(found) != 1:
    raise UserError(
      f"{name} holds vectors by dialogue and utterance; call the file after"
      " what they are: text, audio or visual"
    )
  dim = None
  for split, part in zip(_SPLITS, content, strict=True):
    for key, value in part.items():
      dim = members.vector(value, f"{name} {split} {key}", dim).size
  return Features(name, found.pop(), list(content), dim or 0)


def read(
  content: Any,
  features: list[Features],
  path: str,
  choice: labels_lib.Choice,
) -> family_lib.Family:
  """Reads a pickle that `matches`, and files of features beside it.

  Raises:
    UserError: A row lacks a field, a label is not in the label index, two files
      of features are of one modality.
  """
  data, vectors, *dictionaries, _, label_index = content
  rows = _rows(data)
  _check_rows(rows, path)
  index = _label_index(label_index, path)
  offered = ("sentiment",) if is_sentiment(content) else ("emotions",)
  labels_lib.require(choice, offered, path)
  numbers = [
    _number(row, index, f"{path} row {i}") for i, row in enumerate(rows)
  ]
  labels = labels_lib.classes(
    numbers, sorted(index, key=index.get), choice, path
  )
  streams = _streams(features, path)
  words = None
  if "lexical" not in streams:
    table = members.numbers(vectors, f"{path} W", "(words, numbers)")
    if table.ndim != 2 or not table.size:
      raise UserError(
        f"{path} W has shape {table.shape}, expected (words, numbers)"
      )
    words = _Words(table, _word_index(dictionaries, len(table), path))
    streams["lexical"] = family_lib.unpadded(table.shape[1])
  files = " and ".join(f"{each.modality} features" for each in features)
  return family_lib.Family(
    layout=f"MELD, data{' with ' + files if files else ''}; {labels.layout}",
    streams=family_lib.in_order(streams),
    labels=labels,
    utterances=functools.partial(
      _utterances, rows, numbers, features, words, path
    ),
    total=len(rows),
    has_words=words is not None,
    has_text=True,
  )


class _Words(NamedTuple):
  """Holds the vectors of words, and the row of each."""

  table: np.ndarray
  index: Mapping[str, int]


def _check_rows(rows: list[Any], path: str) -> None:
  """Checks that every row has its fields."""
  for number, row in enumerate(rows):
    if not isinstance(row, dict):
      raise UserError(
        f"{path} row {number} is {members.kind_of(row)}, expected a dict of"
        f" {', '.join(_FIELDS)}"
      )
    lost = [field for field in _FIELDS if field not in row]
    if lost:
      raise UserError(
        f"{path} row {number} lacks {', '.join(lost)}; expected"
        f" {', '.join(_FIELDS)}"
      )


def _streams(
  features: list[Features], path: str
) -> dict[str, family_lib.Stream]:
  """Describes the features beside the data, one file of each modality."""
  streams = {each.modality: family_lib.unpadded(each.dim) for each in features}
  for modality in streams:
    alike = [each.name for each in features if each.modality == modality]
    if len(alike) > 1:
      raise UserError(
        f"{path}: {', '.join(alike)} are all {modality}; leave one of them in"
        " the folder"
      )
  return streams


def _label_index(given: Mapping[Any, Any], path: str) -> dict[str, int]:
  """Reads the number of each label, all from 0 on."""
  index = {
    members.text(label, f"{path} label index: a label"): members.class_number(
      number, f"{path} label index: {label!r}"
    )
    for label, number in given.items()
  }
  if sorted(index.values()) != list(range(len(given))):
    raise UserError(
      f"{path}: the label index has the numbers"
      f" {', '.join(map(str, sorted(index.values())))}, expected 0 to"
      f" {len(given) - 1}"
    )
  return index


def _number(row: Mapping[str, Any], index: Mapping[str, int], at: str) -> int:
  """Finds the number of a row's label."""
  label = members.text(row["y"], f"{at}: label")
  if label not in index:
    raise UserError(
      f"{at}: label {label!r} is not in the label index, {', '.join(index)}"
    )
  return index[label]


def _word_index(
  dictionaries: list[Any], count: int, path: str
) -> Mapping[str, int]:
  """Tells the word index from the vocabulary, which counts the words."""
  for each in dictionaries:
    if isinstance(each, dict) and each:
      values = list(each.values())
      if (
        all(isinstance(v, (int, np.integer)) for v in values)
        and len(set(values)) == len(values)
        and 0 <= min(values)
        and max(values) < count
      ):
        return each
  raise UserError(
    f"{path}: none of the third and fourth members is a word index, expected a"
    f" dictionary from each word to its own row of the {count} of W"
  )


def _utterances(
  rows: list[Mapping[str, Any]],
  numbers: list[int],
  features: list[Features],
  words: _Words | None,
  path: str,
  tally: family_lib.Tally,
) -> Iterator[family_lib.Utterance]:
  """Goes through the rows of the data."""
  for number, (row, label) in enumerate(zip(rows, numbers, strict=True)):
    where = f"{path} row {number}"
    given = members.text(row["split"], f"{where}: split")
    split = family_lib.SPLITS.get(given)
    if split is None:
      raise UserError(f"{where}: split {given!r}, expected train, val or test")
    file = "dev" if split == "validation" else split
    dialogue = members.text(row["dialog"], f"{where}: dialog")
    utterance = members.text(row["utterance"], f"{where}: utterance")
    streams, spoken = {}, None
    text = members.text(row["text"], f"{where}: text")
    if words is not None:
      written = text.split()
      spoken = [word for word in written if word in words.index]
      family_lib.count(tally, _LEFT_OUT, len(written) - len(spoken))
      places = [words.index[word] for word in spoken]
      streams["lexical"] = corpus_lib.as_float32(words.table[places])
    for each in features:
      part = each.vectors[_SPLITS.index(file)]
      vector = part.get(f"{dialogue}_{utterance}")
      if vector is not None and np.any(vector):
        array = members.vector(vector, where)
        streams[each.modality] = corpus_lib.as_float32(array)[None]
    yield family_lib.Utterance(
      id=f"{file}_dia{dialogue}_utt{utterance}",
      where=where,
      streams=family_lib.in_order(streams),
      label=label,
      split=split,
      speaker=members.text(row.get("speaker", ""), f"{where}: speaker"),
      # Dialogues are numbered from 0 in every split.
      dialogue=f"{file}_dia{dialogue}",
      words=spoken,
      text=text,
    )
