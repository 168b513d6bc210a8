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
  for number, row in enumerate(rows):
    lost = [field for field in _FIELDS if field not in row]
    if lost:
      raise UserError(
        f"{path} row {number} lacks {', '.join(lost)}; expected"
        f" {', '.join(_FIELDS)}"
      )
  word_index = _word_index(dictionaries, len(vectors), path)
  known = sorted(label_index, key=lambda label: int(label_index[label]))
  offered = ("sentiment",) if is_sentiment(content) else ("emotions",)
  labels_lib.require(choice, offered, path)
  numbers = [
    _number(row, label_index, f"{path} row {i}") for i, row in enumerate(rows)
  ]
  labels = labels_lib.classes(numbers, known, choice, path)
  streams = {each.modality: family_lib.unpadded(each.dim) for each in features}
  for modality in streams:
    alike = [each.name for each in features if each.modality == modality]
    if len(alike) > 1:
      raise UserError(
        f"{path}: {', '.join(alike)} are all {modality}; leave one of them in"
        " the folder"
      )
  table = None
  if "lexical" not in streams:
    table = members.numbers(vectors, f"{path} W", "(words, numbers)")
    streams["lexical"] = family_lib.unpadded(table.shape[1])
  files = ", ".join(each.name for each in features) or "no file of features"
  return family_lib.Family(
    layout=f"MELD, data and {files}; {labels.layout}",
    streams=family_lib.in_order(streams),
    labels=labels,
    utterances=functools.partial(
      _utterances, rows, numbers, features, table, word_index, path
    ),
    total=len(rows),
    has_words=table is not None,
    has_text=True,
  )


def _number(row: Mapping[str, Any], index: Mapping[str, int], at: str) -> int:
  """Finds the number of a row's label."""
  if row["y"] not in index:
    raise UserError(
      f"{at}: label {row['y']!r} is not in the label index,"
      f" {', '.join(map(str, index))}"
    )
  return int(index[row["y"]])


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
  table: np.ndarray | None,
  word_index: Mapping[str, int],
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
    streams, words = {}, None
    text = members.text(row["text"], f"{where}: text")
    if table is not None:
      spoken = text.split()
      words = [word for word in spoken if word in word_index]
      family_lib.count(tally, _LEFT_OUT, len(spoken) - len(words))
      places = [word_index[word] for word in words]
      streams["lexical"] = corpus_lib.as_float32(table[places])
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
      words=words,
      text=text,
    )
