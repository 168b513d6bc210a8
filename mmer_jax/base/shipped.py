"""Finds the configs and specs that come with the package, by their names."""

import difflib
import os
import pathlib
from collections.abc import Sequence

from mmer_jax.base import errors

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]

# As many names are listed in a line.
_FEW = 8

# What a flag names, to the folder of what comes with the package.
FOLDERS = {
  "config": _PACKAGE / "configs",
  "spec": _PACKAGE.parent / "data_prep" / "specs",
}


def names(kind: str) -> list[str]:
  """Lists what comes with the package, as `mtee/mosei`.

  Args:
    kind: A key of `FOLDERS`.
  """
  found = []
  # Not `rglob`: in a checkout the folder of the configs is a link.
  for folder, _, files in os.walk(FOLDERS[kind], followlinks=True):
    for file in files:
      path = pathlib.Path(folder, file)
      if path.suffix == ".py" and path.stem not in ("__init__", "common"):
        relative = path.relative_to(FOLDERS[kind])
        found.append(relative.with_suffix("").as_posix())
  return sorted(found)


def find(name: str, kind: str) -> pathlib.Path:
  """Finds the file of a path, or of the name of what comes with the package.

  Args:
    name: A path, or a name as `mtee/mosei`.
    kind: A key of `FOLDERS`, or any other flag: a path then.

  Returns:
    The file; what looks like a path is returned as it is, even where nothing is
    there. A folder of a config's name does not hide it.

  Raises:
    UserError: Nothing has this name.
  """
  path = pathlib.Path(name)
  if kind not in FOLDERS or path.suffix or path.is_file():
    return path
  known = names(kind)
  if name not in known:
    if path.exists():
      return path
    raise errors.UserError(
      f"--{kind}={name} is no file, and no {kind} of this package has that"
      f" name{_hint(name, known)}"
    )
  return FOLDERS[kind] / f"{name}.py"


def _hint(name: str, known: Sequence[str]) -> str:
  """Names the nearest of some names, or where to look for them."""
  by_last = {each.rpartition("/")[2]: each for each in reversed(known)}
  last = difflib.get_close_matches(name.lower(), by_last, n=1)
  near = errors.did_you_mean(name, known)
  if near or not last:
    listed = ", ".join(known) if len(known) <= _FEW else "those of mmer configs"
    return near or f"; expected FILE.py or one of {listed}"
  return f"; did you mean {by_last[last[0]]!r}?"
