"""Writes and reads the files of a workdir, each whole or not at all."""

import contextlib
import errno
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ml_collections

from mmer_jax.base import errors

_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_text(path: pathlib.Path, text: str) -> None:
  """Replaces a file in one step: a reader sees the old text or the new."""
  with new_file(path) as name:
    name.write_text(text, encoding="utf-8")


def check_writable(path: pathlib.Path) -> None:
  """Refuses a place for a file before what takes long to compute.

  Raises:
    UserError: Nothing can be written there.
  """
  with _naming(path):
    if path.is_dir():
      raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=path.parent).close()


@contextlib.contextmanager
def new_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Makes a file to fill, which takes its place when it is full."""
  with _naming(path):
    if path.is_dir():
      raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
  try:
    with _full_at(path):
      yield pathlib.Path(name)
    with open(name, "rb") as file:
      os.fsync(file.fileno())
    os.chmod(name, 0o644)
    os.replace(name, path)
  except BaseException:
    pathlib.Path(name).unlink(missing_ok=True)
    raise


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
  """Names the path that is asked for where nothing can be made beside it."""
  try:
    yield
  except OSError as error:
    if error.errno in _FULL:
      raise
    raise errors.UserError(
      f"{path} cannot be written ({error.strerror}); choose another path"
    ) from error


@contextlib.contextmanager
def _full_at(path: pathlib.Path) -> Iterator[None]:
  """Adds the path that is being written to the error of a full disk."""
  try:
    yield
  except OSError as error:
    if error.errno in _FULL:
      error.filename = str(path)
    raise


@contextlib.contextmanager
def new_folder(path: pathlib.Path, sign: str) -> Iterator[pathlib.Path]:
  """Makes a folder to fill, which takes its place when it is full.

  Args:
    path: Place of the folder. An older one there is replaced as a whole.
    sign: A file that such a folder holds: no other folder is replaced.

  Raises:
    UserError: Something else is there.
  """
  if path.exists() and not path.is_dir():
    raise errors.UserError(f"--out={path} is a file, expected a folder")
  if path.is_dir() and any(path.iterdir()) and not (path / sign).exists():
    raise errors.UserError(
      f"--out={path} is not empty and holds no {sign}, expected a new folder"
      " or one to replace; give another"
    )
  parent = path.absolute().parent
  with _naming(path):
    parent.mkdir(parents=True, exist_ok=True)
    filling_place = tempfile.TemporaryDirectory(
      dir=parent, prefix=f".{path.name}."
    )
  with filling_place as name:
    filling, old = pathlib.Path(name) / "new", pathlib.Path(name) / "old"
    filling.mkdir()
    with _full_at(path):
      yield filling
    if path.exists():
      path.rename(old)
    filling.rename(path)


def write_json(path: pathlib.Path, content: Any) -> None:
  """Writes JSON for people: indented, NaN as null."""
  write_text(
    path, json.dumps(finite(content), indent=2, allow_nan=False) + "\n"
  )


def finite(content: Any) -> Any:
  """Replaces numbers that JSON cannot hold by None."""
  if isinstance(content, dict):
    return {key: finite(value) for key, value in content.items()}
  if isinstance(content, list | tuple):
    return [finite(value) for value in content]
  if isinstance(content, float) and not math.isfinite(content):
    return None
  return content


class _Json(dict[str, Any]):
  """Holds an object of a JSON file; a key that it lacks is the file's fault."""

  def __init__(self, path: pathlib.Path, values: dict[str, Any]):
    super().__init__(values)
    self._path = path

  def __missing__(self, key: str) -> Any:
    raise errors.UserError(
      f"{self._path} has no {key!r}, which mmer_jax writes there: the file is"
      " another one, or of another version; use a workdir of"
      " `python -m mmer_jax.train`"
    )


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """Reads a file that `write_json` wrote.

  A key that is not there raises a UserError where it is read.

  Raises:
    UserError: It is missing, not JSON, or no JSON object.
  """
  expected = "expected a workdir of `python -m mmer_jax.train`"
  try:
    content = json.loads(
      path.read_text(encoding="utf-8"),
      object_hook=lambda values: _Json(path, values),
    )
  except FileNotFoundError:
    raise errors.UserError(f"{path} is missing, {expected}") from None
  except NotADirectoryError:
    raise errors.UserError(f"{path.parent} is a file, {expected}") from None
  except IsADirectoryError:
    raise errors.UserError(f"{path} is a folder, {expected}") from None
  except (ValueError, RecursionError) as error:
    raise errors.UserError(
      f"{path} is not JSON ({error}); train into a new workdir"
    ) from None
  if not isinstance(content, dict):
    raise errors.UserError(
      f"{path} holds a {type(content).__name__}, expected a JSON object;"
      " train into a new workdir"
    )
  return content


# Section to the keys that were added after workdirs had been written, each with
# the value under which everything is computed as it was without the key.
ADDED_KEYS = {
  "model.matching": {"block_size": 0},
  "noise": {"strength": 0.5},
  # Not the defaults of new configs: a tau without bounds.
  "repair": {
    "max_false_alarm": 1.0,
    "min_balanced_accuracy": 0.0,
    "tau_snr": 0.0,
  },
  # Of regression alone, which came with them.
  "data": {"ratings": ()},
  "loss": {"ratings": "l1", "standardise_ratings": True},
  "protocol": {
    "k": 5,
    "split_file": "",
    "split_digest": "",
    "allow_identical": False,
  },
}


def drop_added(config: dict[str, Any], section: str = "") -> dict[str, Any]:
  """Drops keys of `ADDED_KEYS` that have the value which changes nothing."""
  neutral = ADDED_KEYS.get(section, {})
  kept = {}
  for key, value in config.items():
    if isinstance(value, dict):
      inner = f"{section}.{key}" if section else key
      kept[key] = drop_added(value, inner)
    # A tuple of a config is a list in JSON.
    elif key not in neutral or _json(value) != _json(neutral[key]):
      kept[key] = value
  return kept


def _json(value: Any) -> Any:
  """Writes a value as JSON does a tuple."""
  return list(value) if isinstance(value, tuple) else value


class _Saved(ml_collections.ConfigDict):
  """Holds a config read from a file, whose version may have had fewer keys."""

  def __init__(self, path: pathlib.Path, section: str, values: dict[str, Any]):
    super().__init__(values)
    object.__setattr__(self, "_place", (path, section))

  def __getitem__(self, key: str) -> Any:
    # Names of Python's protocols are asked for and may be missing.
    if key not in self and not key.startswith("_"):
      path, section = self._place
      raise errors.UserError(
        f"{path} has no {section}{key}, which this version of mmer_jax reads:"
        " another one wrote it; use that one (run.json names it), or train"
        " into a new workdir"
      )
    return super().__getitem__(key)


def read_config(folder: pathlib.Path) -> ml_collections.ConfigDict:
  """Reads `config.json`; JSON's lists are the config's tuples.

  A key that is not there raises a UserError where it is read: its default may
  not be what the workdir was trained with. Those of `ADDED_KEYS` are filled in.
  """
  path = folder / "config.json"

  def saved(value: Any, section: str) -> Any:
    if isinstance(value, dict):
      items = {key: saved(v, f"{section}{key}.") for key, v in value.items()}
      items = {**ADDED_KEYS.get(section.removesuffix("."), {}), **items}
      for key in items:
        if "." in key:
          raise errors.UserError(
            f"{path} has the key {section}{key}, which no config has; restore"
            " the file as it was trained with"
          )
      return _Saved(path, section, items)
    if isinstance(value, list):
      return tuple(saved(item, section) for item in value)
    return value

  return saved(read_json(path), "").lock()


def append_lines(path: pathlib.Path, rows: Iterable[dict[str, Any]]) -> None:
  """Appends one JSON object per line."""
  with _full_at(path), path.open("a", encoding="utf-8") as file:
    for row in rows:
      file.write(json.dumps(finite(row), allow_nan=False) + "\n")


def keep_lines(
  path: pathlib.Path, wanted: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
  """Drops the lines of a JSONL file that a resumed run will write again.

  A last line that was cut short by a kill is dropped too.

  Args:
    path: The file, which need not exist.
    wanted: Whether a row stays.

  Returns:
    The rows that stay.
  """
  if not path.exists():
    return []
  rows = read_lines(path)
  # As they are: numbers written anew might be others.
  lines = path.read_text(encoding="utf-8").splitlines()
  try:
    kept = [
      (row, line) for row, line in zip(rows, lines, strict=False) if wanted(row)
    ]
  except (KeyError, TypeError) as error:
    raise errors.UserError(
      f"{path} has a line that lacks {error}, which mmer_jax writes there;"
      " train into a new workdir"
    ) from error
  write_text(path, "".join(line + "\n" for _, line in kept))
  return [row for row, _ in kept]


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
  """Reads a JSONL file; a last line that was cut short by a kill is left out.

  Raises:
    UserError: Another line is not JSON.
  """
  try:
    lines = path.read_text(encoding="utf-8").splitlines()
  except UnicodeDecodeError as error:
    raise errors.UserError(
      f"{path} is not UTF-8 ({error}); train into a new workdir"
    ) from error
  rows = []
  for number, line in enumerate(lines, 1):
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError as error:
      if number == len(lines):
        break
      raise errors.UserError(
        f"{path}, line {number} is not JSON ({error}); train into a new workdir"
      ) from error
  return rows
