"""Reads which recordings are for training, validation and test.

From a file that the user names:

- `.json`: split to a list of ids, or id to split;
- `.py`, the fold files of CMU-MultimodalSDK (`standard_train_fold = [...]`):
  lists of text are read out of it, and nothing in it is run;
- a table (`.csv`, `.tsv`, `.jsonl`, `.npz`) with the columns `id` and `split`;
- any other text: lines `ID SPLIT`; or ids below a line that names a split; or,
  where the name of the file names the split (`train.txt`), ids alone.
"""

import ast
import json
import pathlib
import re
import warnings
from collections.abc import Iterable, Iterator

from data_prep.sources.csd import align
from mmer_jax.base.errors import UserError
from mmer_jax.data import table_files, text_files

# What lists call the splits.
_SPLITS = {
  "train": "train",
  "dev": "validation",
  "val": "validation",
  "test": "test",
}
_ID_COLUMNS = ("id", "video", "video_id")
_SPLIT_COLUMNS = ("split", "fold", "mode")


def read(paths: Iterable[pathlib.Path]) -> dict[str, str]:
  """Reads the split of each recording from one file or several.

  Raises:
    UserError: A file cannot be read, or a recording stands in two splits.
  """
  splits: dict[str, str] = {}
  for path in paths:
    before = len(splits)
    for name, split in _read(path):
      recording = align.recording(name.strip())
      if not recording:
        raise UserError(f"--folds={path}: the id {name!r} names no recording")
      known = splits.setdefault(recording, split)
      if known != split:
        raise UserError(
          f"--folds={path}: {recording!r} is in {split} and in {known}; a"
          " recording has one side"
        )
    if len(splits) == before:
      raise UserError(
        f"--folds={path} names no recording of its own; expected lists of ids"
      )
  return splits


def _read(path: pathlib.Path) -> Iterable[tuple[str, str]]:
  if not path.is_file():
    raise UserError(f"--folds={path} is not a file")
  name = path.name.lower()
  if name.endswith(table_files.SUFFIXES):
    return _from_table(path)
  text = _text(path)
  if name.endswith(".json"):
    return _from_json(path, text)
  if name.endswith(".py"):
    return _from_python(path, text)
  return _from_lines(path, text)


def _text(path: pathlib.Path) -> str:
  try:
    with text_files.open_text(path) as file:
      return file.read()
  except UnicodeDecodeError:
    raise text_files.not_utf8(path) from None
  except text_files.READ_ERRORS as error:
    raise UserError(f"--folds={path} cannot be read: {error}") from error


def split_of(name: str) -> str | None:
  """Returns the split that a name has in it; None for none, or several."""
  found = {
    _SPLITS[key] for key in re.findall("train|dev|val|test", name.lower())
  }
  return found.pop() if len(found) == 1 else None


def _named(name: object, path: pathlib.Path) -> str:
  split = split_of(name) if isinstance(name, str) else None
  if split is None:
    raise UserError(
      f"--folds={path}: {name!r} is no split, expected train, validation (or"
      " valid, dev) or test"
    )
  return split


def _ids(values: object, where: str) -> Iterator[str]:
  if not isinstance(values, (list, tuple, set)):
    raise UserError(
      f"{where} is {type(values).__name__}, expected a list of ids"
    )
  for value in values:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
      raise UserError(f"{where} holds {str(value)[:40]!r}, expected ids")
    yield table_files.as_text(value, where)


def _from_json(path: pathlib.Path, text: str) -> Iterator[tuple[str, str]]:
  try:
    content = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise UserError(f"--folds={path} is not JSON: {error}") from None
  if not isinstance(content, dict):
    raise UserError(
      f"--folds={path} holds {type(content).__name__}, expected split to ids"
    )
  if content and all(isinstance(each, str) for each in content.values()):
    for name, split in content.items():
      yield table_files.as_text(name, f"--folds={path}"), _named(split, path)
    return
  for key, values in content.items():
    split = _named(key, path)
    for name in _ids(values, f"--folds={path}: {key!r}"):
      yield name, split


def _from_python(path: pathlib.Path, text: str) -> Iterator[tuple[str, str]]:
  """Reads the lists that are assigned to names of splits; runs nothing."""
  try:
    with warnings.catch_warnings():
      # Of what is only read.
      warnings.simplefilter("ignore")
      tree = ast.parse(text)
  except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
    reason = " ".join(str(error).split())
    raise UserError(f"--folds={path} is not Python: {reason}") from None
  for node in tree.body:
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
      continue
    name = getattr(node.targets[0], "id", "")
    split = split_of(name)
    if split is None:
      continue
    where = f"--folds={path} line {node.lineno}: {name}"
    try:
      values = ast.literal_eval(node.value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
      raise UserError(
        f"{where} is not written out; expected a list of ids, nothing is run"
      ) from None
    for each in _ids(values, where):
      yield each, split


def _from_table(path: pathlib.Path) -> Iterator[tuple[str, str]]:
  table = table_files.open_table(path)
  keys = []
  for choices in (_ID_COLUMNS, _SPLIT_COLUMNS):
    known = table.columns or choices[:1]
    key = next((name for name in choices if name in known), None)
    if key is None:
      raise UserError(
        f"--folds={path} has no column {' or '.join(choices)}; it has"
        f" {', '.join(known)}"
      )
    keys.append(key)
  for row in table.rows(keys):
    name, split = (
      table_files.as_text(row.cells[key], row.where, key) for key in keys
    )
    if split.strip():
      yield name, _named(split, path)


def _from_lines(path: pathlib.Path, text: str) -> Iterator[tuple[str, str]]:
  split = split_of(path.stem)
  for number, line in enumerate(text.splitlines(), 1):
    fields = re.split(r"[\s,;]+", line.strip().strip(",;"))
    if fields == [""] or line.lstrip().startswith("#"):
      continue
    headed = re.fullmatch(r"\[?(\w+)\]?:?", line.strip())
    if headed and headed[1].lower() in (*_SPLITS, "valid", "validation"):
      split = _named(headed[1], path)
    elif len(fields) == 2 and split_of(fields[1]):
      yield fields[0], _named(fields[1], path)
    elif len(fields) == 1 and split is not None:
      yield fields[0], split
    else:
      raise UserError(
        f"--folds={path} line {number}: {line.strip()[:60]!r}, expected ID and"
        " SPLIT, or ids below a line that names a split"
      )
