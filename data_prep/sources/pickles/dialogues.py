"""Reads the pickles of DialogueRNN, MMGCN and COGMEN: lists by dialogue.

A tuple of 9 or 10 (hujingwen6666/MMGCN, dataloader.py): ids, speakers, labels,
text, audio, visual, sentences, then the dialogues of training and of test; MELD
has the sentiments behind them. Each but the two is a dictionary by dialogue of
one entry per utterance. DialogueRNN's file of MELD has no visual features.
There is no validation split.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from data_prep.sources.pickles import family as family_lib
from data_prep.sources.pickles import labels as labels_lib
from data_prep.sources.pickles import members
from mmer_jax.base.errors import UserError

# The classes' numbers in the files: "hap sad neu ang exc fru".
IEMOCAP = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
# declare-lab/MELD, README: emotions and sentiments by number.
MELD = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
MELD_SENTIMENTS = ("neutral", "positive", "negative")

_IEMOCAP_DIALOGUE = re.compile(r"Ses(\d\d)[FM]_\w+")
_HEAD = ("ids", "speakers", "labels")
_FEATURES = {
  3: ("lexical", "acoustic", "visual"),
  2: ("lexical", "acoustic"),
}


class _Content(NamedTuple):
  """Holds the members by what they are, each by dialogue.

  Attributes:
    ids: Ids of the utterances.
    speakers: A letter, or a one-hot row of the dialogue's people.
    labels: The number of the emotion.
    features: Modality to vectors.
    sentences: Transcripts.
    train: The dialogues of training.
    test: Those of test.
    sentiments: Numbers of sentiments; None where there are none.
  """

  ids: Mapping[Any, Any]
  speakers: Mapping[Any, Any]
  labels: Mapping[Any, Any]
  features: dict[str, Mapping[Any, Any]]
  sentences: Mapping[Any, Any]
  train: set[Any]
  test: set[Any]
  sentiments: Mapping[Any, Any] | None


def matches(content: Any) -> bool:
  """Whether a pickle has dictionaries by dialogue, and then two sides."""
  return _split_up(content) is not None


def member_names(content: Any) -> tuple[str, ...]:
  """Names the members of a pickle that `matches`, for its description."""
  by_dialogue, sides, rest = _split_up(content)
  features = ("text", "audio", "visual")[: len(by_dialogue) - 4]
  last = ("sentiments",) if rest else ()
  del sides
  return (*_HEAD, *features, "sentences", "train", "test", *last)


def _split_up(content: Any) -> tuple[list, list, list] | None:
  """Tells the dictionaries, the two sides, and what follows."""
  if not isinstance(content, (list, tuple)) or len(content) not in (8, 9, 10):
    return None
  first = next(
    (i for i, each in enumerate(content) if not isinstance(each, dict)), None
  )
  if first is None or first - 4 not in _FEATURES:
    return None
  by_dialogue, sides = content[:first], content[first : first + 2]
  rest = content[first + 2 :]
  if (
    len(sides) != 2
    or not all(_is_side(side) for side in sides)
    or len(rest) > 1
    or not all(isinstance(each, dict) for each in rest)
  ):
    return None
  return list(by_dialogue), list(sides), list(rest)


def _is_side(side: Any) -> bool:
  """Whether a member lists dialogues."""
  return isinstance(side, (list, tuple, set, frozenset)) and all(
    isinstance(key, (str, bytes, int, np.integer)) for key in side
  )


def read(
  content: Any, path: str, choice: labels_lib.Choice
) -> family_lib.Family:
  """Reads a pickle that `matches`.

  Raises:
    UserError: Members do not have the same dialogues and utterances.
  """
  found = _content(content, path)
  _check(found, path)
  iemocap = all(
    isinstance(key, str) and _IEMOCAP_DIALOGUE.fullmatch(key)
    for key in found.labels
  )
  labels, numbers = _labels(found, iemocap, choice, path)
  dims = _dims(found, path)
  sides = _sides(found)
  name = "IEMOCAP" if iemocap else "MELD" if found.sentiments else "unnamed"
  return family_lib.Family(
    layout=(
      f"DialogueRNN, {name}, {len(content)} members, {len(found.labels)}"
      f" dialogues; {labels.layout}"
    ),
    streams={each: family_lib.unpadded(dim) for each, dim in dims.items()},
    labels=labels,
    utterances=functools.partial(
      _utterances, found, numbers, sides, path, iemocap
    ),
    total=sum(len(rows) for rows in found.labels.values()),
    has_text=True,
    notes=_notes(found, sides, iemocap),
  )


def _content(content: Any, path: str) -> _Content:
  by_dialogue, (train, test), rest = _split_up(content)
  ids, speakers, labels, *features, sentences = by_dialogue
  names = _FEATURES[len(features)]
  for side, keys in (("training", train), ("test", test)):
    lost = [key for key in keys if key not in labels]
    if lost:
      raise UserError(
        f"{path}: {side} names {len(lost)} dialogues that have no labels"
        f" ({lost[0]!r}); expected dialogues of the file"
      )
  both = set(train) & set(test)
  if both:
    raise UserError(
      f"{path}: {len(both)} dialogues are in training and in test"
      f" ({min(map(str, both))}); a dialogue has one side"
    )
  return _Content(
    ids,
    speakers,
    labels,
    dict(zip(names, features, strict=True)),
    sentences,
    set(train),
    set(test),
    rest[0] if rest else None,
  )


def _check(content: _Content, path: str) -> None:
  """Checks that every member has every utterance of every dialogue."""
  others = {
    "ids": content.ids,
    "speakers": content.speakers,
    **content.features,
    "sentences": content.sentences,
  }
  if content.sentiments is not None:
    others["sentiments"] = content.sentiments
  for key, rows in content.labels.items():
    count = members.length(rows, f"{path} labels of dialogue {key!r}")
    for name, member in others.items():
      where = f"{path} {name} of dialogue {key!r}"
      if key not in member:
        raise UserError(f"{where} is missing; it has labels")
      if members.length(member[key], where) != count:
        raise UserError(
          f"{where} has {len(member[key])} entries, the labels {count};"
          " expected one per utterance"
        )


def _labels(
  content: _Content, iemocap: bool, choice: labels_lib.Choice, path: str
) -> tuple[labels_lib.Labels, Mapping[Any, Any]]:
  """Reads the emotions, or, of MELD, the sentiments; and their numbers."""
  offered = ("emotions",) if content.sentiments is None else labels_lib.CHOICES
  kind = labels_lib.require(choice, offered, path)
  member, known = content.labels, IEMOCAP if iemocap else ()
  if content.sentiments is not None:
    known = MELD
    if kind == "sentiment":
      member, known = content.sentiments, MELD_SENTIMENTS
  values = [value for rows in member.values() for value in rows]
  return labels_lib.classes(values, known, choice, path), member


def _dims(content: _Content, path: str) -> dict[str, int]:
  """Finds the features of each modality, the same in every utterance."""
  dims: dict[str, int] = {}
  for name, member in content.features.items():
    for key in content.labels:
      for row, vector in enumerate(member[key]):
        where = f"{path} {name} of dialogue {key!r} row {row}"
        array = members.vector(vector, where, dims.get(name))
        dims[name] = array.size
  return dims


def _sides(content: _Content) -> dict[Any, str]:
  """Finds the split of each dialogue."""
  return {
    key: "train" if key in content.train else "test"
    for key in content.labels
    if key in content.train or key in content.test
  }


def _notes(
  content: _Content, sides: Mapping[Any, str], iemocap: bool
) -> list[str]:
  counts = {
    side: sum(
      len(rows)
      for key, rows in content.labels.items()
      if sides.get(key, "") == side
    )
    for side in ("train", "test", "")
  }
  notes = [
    f"the file has no validation split: {counts['train']} utterances are of"
    f" training, {counts['test']} of test"
  ]
  if counts[""]:
    notes.append(f"{counts['']} utterances are on neither side: no split")
  if not iemocap:
    notes.append(
      "the speakers are places within their dialogue; one who is in two"
      " dialogues counts as two"
    )
  return notes


def _utterances(
  content: _Content,
  numbers: Mapping[Any, Any],
  sides: Mapping[Any, str],
  path: str,
  iemocap: bool,
  tally: family_lib.Tally,
) -> Iterator[family_lib.Utterance]:
  """Goes through the utterances, dialogue by dialogue."""
  del tally
  for key, rows in numbers.items():
    # MELD's dialogues and utterances are numbers.
    dialogue = key if isinstance(key, str) else f"dia{key}"
    session = _IEMOCAP_DIALOGUE.fullmatch(key)[1] if iemocap else ""
    for row, label in enumerate(rows):
      where = f"{path} dialogue {key} row {row}"
      name = members.text(content.ids[key][row], f"{where}: id")
      streams = {
        modality: corpus_lib.as_float32(
          members.vector(vectors[key][row], where)
        )[None]
        for modality, vectors in content.features.items()
      }
      yield family_lib.Utterance(
        id=f"{dialogue}_utt{name}" if name.isdigit() else name,
        where=where,
        streams={m: frames for m, frames in streams.items() if frames.any()},
        label=label,
        split=sides.get(key, ""),
        speaker=_speaker(content.speakers[key][row], dialogue, iemocap, where),
        session=str(int(session)) if session else "",
        dialogue=dialogue,
        text=members.text(content.sentences[key][row], f"{where}: sentence"),
      )


def _speaker(value: Any, dialogue: str, iemocap: bool, where: str) -> str:
  """Names a speaker: of IEMOCAP by session and gender, else in a dialogue."""
  if isinstance(value, (str, bytes)):
    letter = members.text(value, f"{where}: speaker")
    if iemocap:
      return f"{dialogue[:5]}{letter}"
    return f"{dialogue}/{letter}"
  array = members.numbers(value, f"{where}: speaker", "one-hot, or a letter")
  if array.ndim != 1 or np.count_nonzero(array) != 1:
    raise UserError(
      f"{where}: speaker {array.tolist()!r}, expected one-hot, or a letter"
    )
  return f"{dialogue}/{int(array.argmax())}"
