"""Tells the family of a pickle by its structure, and reads it."""

import pathlib
from typing import Any, NoReturn

from data_prep.readers import unpickle
from data_prep.sources.pickles import (
  dialogues,
  family,
  labels,
  lists,
  meld,
  members,
  splits,
)
from mmer_jax.base.errors import UserError

SUFFIXES = (".pkl", ".p", ".pickle")
EXPECTED = (
  "a dict of train, valid, test with labels and text, audio, vision (MulT,"
  " MMSA), a list of ((word ids, visual, acoustic, words), label, id) (MISA),"
  " 8 to 10 members by dialogue (DialogueRNN, MMGCN, COGMEN), or MELD's [data,"
  " W, vocabulary, word index, length, label index]"
)
WAY_OUT = (
  "write one array per utterance and a table of labels, for --source=folder"
)


def name_of(content: Any) -> str | None:
  """Names the family of a pickle; None where it is of none."""
  if splits.matches(content):
    return splits.name_of(content)
  if lists.matches(content):
    return "MISA lists"
  if dialogues.matches(content):
    return "DialogueRNN"
  if meld.matches(content):
    return "MELD"
  if meld.matches_features(content):
    return "MELD, features"
  return None


def noun_of(content: Any) -> str:
  """Says what the dictionaries of a pickle have an entry for."""
  if dialogues.matches(content):
    return "dialogues"
  return "utterances" if meld.matches_features(content) else ""


def member_names(content: Any) -> tuple[str, ...]:
  """Names the members of a pickle that has them by place."""
  if dialogues.matches(content):
    return dialogues.member_names(content)
  if meld.matches(content):
    return meld.MEMBERS
  return ()


def read(path: pathlib.Path, choice: labels.Choice) -> family.Family:
  """Reads a file or a folder of any family.

  Raises:
    UserError: It is of none, or not sound.
  """
  if path.is_dir():
    return _read_folder(path, choice)
  content = unpickle.load(path)
  name = path.name
  if splits.matches(content):
    return splits.read(content, name, choice)
  if lists.matches(content):
    parts = content if isinstance(content, dict) else {_side(path): content}
    return lists.read(parts, name, choice)
  if dialogues.matches(content):
    return dialogues.read(content, name, choice)
  if meld.matches(content):
    return meld.read(content, [], name, choice)
  if meld.matches_features(content):
    raise UserError(
      f"{path} holds vectors by dialogue and utterance, and no labels; give the"
      " folder that holds MELD's data_emotion.p beside it"
    )
  _refuse(path, content)


def _refuse(path: pathlib.Path, content: Any) -> NoReturn:
  raise UserError(
    f"{path} is of no known layout: it holds {members.phrase(content)},"
    f" expected {EXPECTED}; {WAY_OUT}"
  )


def _side(path: pathlib.Path) -> str:
  """Finds the split that a file's name ends or begins with; `""` for none."""
  words = path.stem.lower().replace("-", "_").split("_")
  return next((word for word in words if word in family.SPLITS), "")


def _read_folder(path: pathlib.Path, choice: labels.Choice) -> family.Family:
  """Reads the lists of a folder, or MELD's data and features."""
  files = files_of(path)
  if len(files) == 1:
    return read(files[0], choice)
  if not files:
    raise UserError(
      f"{path} holds no {', '.join(SUFFIXES)}, expected a pickle, or the"
      " train.pkl, dev.pkl, test.pkl of MISA, or MELD's pickles"
    )
  contents: dict[pathlib.Path, Any] = {}
  others: dict[str, str] = {}
  for each in files:
    content = unpickle.load(each)
    if _is_part(content):
      contents[each] = content
    else:
      others[each.name] = members.phrase(content)
  if any(meld.matches(each) for each in contents.values()):
    found = _read_meld(path, contents, choice)
    found.notes += [
      f"{name} is not read: it holds {what}" for name, what in others.items()
    ]
    return found
  if others:
    name, what = next(iter(others.items()))
    raise UserError(
      f"{path} holds {', '.join(each.name for each in files)}, and {name} is no"
      f" part of one corpus: it holds {what}; expected the train.pkl, dev.pkl,"
      " test.pkl of MISA or MELD's data_emotion.p with its features; give one"
      " file"
    )
  return _read_lists(path, contents, choice)


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the pickles of a folder."""
  return sorted(
    each
    for each in folder.iterdir()
    if each.name.lower().endswith(SUFFIXES) and not each.name.startswith(".")
  )


def _is_part(content: Any) -> bool:
  """Whether a pickle may be one of several that make a corpus."""
  return (
    (isinstance(content, list) and lists.matches(content))
    or meld.matches(content)
    or meld.matches_features(content)
  )


def _read_lists(
  path: pathlib.Path,
  contents: dict[pathlib.Path, Any],
  choice: labels.Choice,
) -> family.Family:
  """Reads lists, a file for each split."""
  parts: dict[str, Any] = {}
  for each, content in contents.items():
    if not lists.matches(content):
      raise UserError(
        f"{path}: {each.name} holds {members.phrase(content)}; expected lists"
        " of MISA, or MELD's data_emotion.p beside features"
      )
    side = _side(each)
    if not side or side in parts:
      raise UserError(
        f"{path}: {each.name} is {'another' if side else 'no'}"
        f" {side or 'split'} by its name, expected one each of train.pkl,"
        " dev.pkl, test.pkl"
      )
    parts[side] = content
  ordered = {side: parts[side] for side in family.SPLITS if side in parts}
  return lists.read(ordered, path.name, choice)


def _read_meld(
  path: pathlib.Path,
  contents: dict[pathlib.Path, Any],
  choice: labels.Choice,
) -> family.Family:
  """Reads MELD's data with the features of the same task."""
  data = {p: each for p, each in contents.items() if meld.matches(each)}
  if len(data) > 1:
    wanted = choice.labels == "sentiment"
    data = {
      p: each for p, each in data.items() if meld.is_sentiment(each) == wanted
    }
  if len(data) != 1:
    raise UserError(
      f"{path} holds {len(data)} files of data for that, expected one of"
      " data_emotion.p, data_sentiment.p"
    )
  ((file, content),) = data.items()
  task, other = "emotion", "sentiment"
  if meld.is_sentiment(content):
    task, other = other, task
  features = [
    meld.read_features(each, p.name)
    for p, each in contents.items()
    if meld.matches_features(each)
    and (task in p.name.lower() or other not in p.name.lower())
  ]
  return meld.read(content, features, file.name, choice)
