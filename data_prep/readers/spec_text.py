"""Writes a suggested spec as a Python file, every guess with its reason."""

import pathlib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from data_prep.readers import table_profile

_ORDER = (
  *("id", "speaker", "session", "dialogue", "split", "text", "label"),
  *("label_values", "unlabelled", "label_columns", "emotions", "features"),
  "rows",
)
_WIDTH = 76


class Found(NamedTuple):
  """Holds what was guessed of a table.

  Attributes:
    rows: How many rows it has.
    columns: What each column holds.
    keys: Key of the spec to its value, and why.
    remarks: What a reader should know of the whole.
    unread: Columns that nothing reads, and what they hold.
    options: Flags that the conversion needs.
    ratings: Column to the scale that its values may be on.
  """

  rows: int
  columns: Mapping[str, table_profile.Column]
  keys: dict[str, tuple[object, str]]
  remarks: list[str]
  unread: dict[str, str]
  options: list[str]
  ratings: dict[str, tuple[float, float]]


def write(path: pathlib.Path, found: Found) -> str:
  """Writes the file.

  Args:
    path: The table.
    found: What `suggest_spec.guess` found.
  """
  command = "python -m data_prep.convert --source=utterances"
  lines = [
    '"""A spec as `data_prep.inspect --suggest_spec` has guessed it.',
    "",
    "Read it through: each line is a guess, with its reason above it.",
    '"""',
    "",
    f"# Of {_plain(path.name)}, {found.rows} rows. To convert:",
    f"#   {command} --spec=THIS_FILE.py \\",
    f"#     --input={_plain(shlex.quote(str(path)))} \\",
    f"#     {' '.join([*found.options, '--output=shards/NEW'])}",
    *(f"# {line}" for remark in found.remarks for line in _wrapped(remark)),
    "",
    "import ml_collections",
    "",
    "",
    "def get_config() -> ml_collections.ConfigDict:",
    '  """Returns the spec."""',
    "  config = ml_collections.ConfigDict()",
  ]
  for key in _ORDER:
    if key in found.keys:
      value, reason = found.keys[key]
      lines += [f"  # {line}" for line in _wrapped(f"Guess: {reason}.")]
      lines += _assignment(key, value, found)
  if found.ratings:
    text = (
      "Guess: these are ratings, numbers on a scale; look at the scales, and"
      " take the # away to read them."
    )
    lines += [f"  # {line}" for line in _wrapped(text)]
    entries = tuple(
      (name, name, low, high) for name, (low, high) in found.ratings.items()
    )
    lines += [
      line.replace("  ", "  # ", 1)
      for line in _assignment("rating_columns", entries, found)
    ]
  if found.unread:
    columns = ", ".join(
      f"{_quoted(c)} ({what})" for c, what in found.unread.items()
    )
    lines += [f"  # {line}" for line in _wrapped(f"Not read: {columns}.")]
  return "\n".join([*lines, "  return config.lock()", ""])


def _assignment(key: str, value: Any, found: Found) -> list[str]:
  """Writes a key and its value, pairs and columns one a line."""
  if isinstance(value, dict):
    lines = [f"  config.{key} = {{"]
    for name, columns in value.items():
      lines += [f"    {_quoted(name)}: (", *_items(columns, 6), "    ),"]
    return [*lines, "  }"]
  if not isinstance(value, tuple) or not value:
    return [f"  config.{key} = {_quoted(value)}"]
  notes = _counts(key, found)
  return [f"  config.{key} = (", *_items(value, 4, notes), "  )"]


def _counts(key: str, found: Found) -> dict[str, int]:
  """Counts the rows of each label."""
  if key not in ("label_values", "unlabelled"):
    return {}
  column = found.columns[found.keys["label"][0][1:-1]]
  return column.values


def _items(
  values: Iterable[Any], indent: int, counts: Mapping[str, int] | None = None
) -> list[str]:
  """Writes the items of a tuple, one a line, with their counts."""
  lines = []
  for value in values:
    first = value[0] if isinstance(value, tuple) else value
    count = (counts or {}).get(first)
    note = f"  # {count} row{'s' if count > 1 else ''}" if count else ""
    lines.append(f"{' ' * indent}{_quoted(value)},{note}")
  return lines


def _quoted(value: Any) -> str:
  """Writes a value as Python does, texts in double quotes."""
  if isinstance(value, tuple):
    inner = ", ".join(map(_quoted, value))
    return f"({inner},)" if len(value) == 1 else f"({inner})"
  shown = repr(value)
  if isinstance(value, str) and not {'"', "'"} & set(value):
    return f'"{shown[1:-1]}"'
  return shown


def _plain(text: str) -> str:
  """Writes a text on one line, whatever it holds."""
  return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _wrapped(text: str) -> list[str]:
  """Breaks a text into lines at blanks."""
  lines, line = [], ""
  for word in _plain(text).split():
    if line and len(line) + len(word) >= _WIDTH:
      lines.append(line)
      line = word
    else:
      line = f"{line} {word}".strip()
  return [*lines, line]
