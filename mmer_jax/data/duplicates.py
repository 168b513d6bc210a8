"""Finds utterances whose text or features stand on two sides of a split.

A model that has seen a sentence in training knows its label by heart; what it
reaches on such test utterances says little about new ones.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Shorter texts ("yeah") are the same by chance.
LONG_TEXT = 5


def keys_of(
  example: Mapping[str, Any], modalities: Sequence[str]
) -> dict[str, bytes]:
  """Computes a short digest of an example's text and of each modality.

  Args:
    example: A decoded record.
    modalities: The modalities of the shards.

  Returns:
    `text`, `text of 5 words or more` and modality names to digests; what the
    example does not have is left out.
  """
  keys = {}
  words = [_plain(word) for word in example.get("words", ())]
  if words:
    keys["text"] = _digest(" ".join(words).encode())
  if len(words) >= LONG_TEXT:
    keys[f"text of {LONG_TEXT} words or more"] = keys["text"]
  for modality in modalities:
    # The vectors of a text repeat with it.
    if len(example[modality]) and not (modality == "lexical" and words):
      frames = np.ascontiguousarray(example[modality])
      keys[modality] = _digest(frames.tobytes())
  return keys


def _plain(word: Any) -> str:
  return word.decode() if isinstance(word, bytes) else str(word)


def _digest(content: bytes) -> bytes:
  return hashlib.blake2b(content, digest_size=16).digest()


def count_shared(
  keys: Sequence[Mapping[str, bytes]], sides: Sequence[str]
) -> dict[str, dict[str, list[int]]]:
  """Counts the utterances that stand on another side too.

  Args:
    keys: What `keys_of` made of each utterance.
    sides: The side of each utterance; "" for none.

  Returns:
    What is compared (`text`, a modality) to pairs of sides, such as
    `test in train`, to how many utterances of the first side the second has
    too, and how many the first has; pairs that share none are left out.
  """
  seen: dict[str, dict[str, list[bytes]]] = {}
  for entry, side in zip(keys, sides, strict=True):
    for what, key in entry.items() if side else ():
      seen.setdefault(what, {}).setdefault(side, []).append(key)
  shared: dict[str, dict[str, list[int]]] = {}
  for what, by_side in seen.items():
    distinct = {side: set(values) for side, values in by_side.items()}
    for side, values in by_side.items():
      for other in sorted(distinct.keys() - {side}):
        count = sum(key in distinct[other] for key in values)
        if count:
          pair = shared.setdefault(what, {})
          pair[f"{side} in {other}"] = [count, len(values)]
  return shared


def count_texts(
  keys: Sequence[Mapping[str, bytes]],
  rows: Sequence[int],
  trained: Sequence[int],
) -> dict[str, dict[str, int]]:
  """Counts the utterances whose text stands word for word in the training.

  Args:
    keys: What `keys_of` made of each utterance.
    rows: The utterances that are asked about.
    trained: The utterances of the training.

  Returns:
    `all` and `five_words_or_more` to `utterances`, how many of `rows` have
    such a text, and `shared`, how many of those texts the training has; empty
    where none of `rows` has a text.
  """
  counts = {}
  for name, what in (
    ("all", "text"),
    ("five_words_or_more", f"text of {LONG_TEXT} words or more"),
  ):
    seen = {keys[row][what] for row in trained if what in keys[row]}
    texts = [keys[row][what] for row in rows if what in keys[row]]
    shared = sum(text in seen for text in texts)
    counts[name] = {"shared": shared, "utterances": len(texts)}
  return counts if counts["all"]["utterances"] else {}


def count_elsewhere(
  keys: Sequence[Mapping[str, bytes]], groups: Sequence[str]
) -> dict[str, list[int]]:
  """Counts the utterances that stand in another group too.

  Args:
    keys: What `keys_of` made of each utterance.
    groups: The session or speaker of each utterance; "" for none.

  Returns:
    What is compared to how many utterances another group has too, and how many
    there are; what never occurs is left out.
  """
  groups_of: dict[tuple[str, bytes], set[str]] = {}
  for entry, group in zip(keys, groups, strict=True):
    for item in entry.items() if group else ():
      groups_of.setdefault(item, set()).add(group)
  counts: dict[str, list[int]] = {}
  for entry, group in zip(keys, groups, strict=True):
    for item in entry.items() if group else ():
      count = counts.setdefault(item[0], [0, 0])
      count[0] += len(groups_of[item]) > 1
      count[1] += 1
  return {what: count for what, count in counts.items() if count[0]}


def group_identical(keys: Sequence[Mapping[str, bytes]]) -> np.ndarray:
  """Groups the utterances that are connected by the same text or features.

  Texts count from 5 words on: shorter ones are the same by chance.

  Args:
    keys: What `keys_of` made of each utterance.

  Returns:
    (n,) for each utterance the first one of its group.
  """
  first = np.arange(len(keys))

  def root(row: int) -> int:
    while first[row] != row:
      first[row] = first[first[row]]
      row = int(first[row])
    return row

  seen: dict[tuple[str, bytes], int] = {}
  for row, entry in enumerate(keys):
    for item in telling(entry).items():
      one, other = sorted((root(seen.setdefault(item, row)), root(row)))
      first[other] = one
  return np.asarray([root(row) for row in range(len(keys))], np.int64)


def find_across(
  keys: Sequence[Mapping[str, bytes]], sides: Sequence[str]
) -> tuple[str, int, int] | None:
  """Finds two utterances on two sides that are the same, of texts from 5 words.

  Args:
    keys: What `keys_of` made of each utterance.
    sides: The side of each utterance; "" for none.

  Returns:
    What is the same, and both rows; None where there are none.
  """
  seen: dict[tuple[str, bytes], int] = {}
  for row, (entry, side) in enumerate(zip(keys, sides, strict=True)):
    for item in telling(entry).items() if side else ():
      other = seen.setdefault(item, row)
      if sides[other] != side:
        return item[0], other, row
  return None


def telling(entry: Mapping[str, Any]) -> dict[str, Any]:
  """Leaves out what is the same by chance: short texts among all texts."""
  return {what: value for what, value in entry.items() if what != "text"}
