"""Reads what the comments of the config files say about each key."""

import ast
import io
import pathlib
import tokenize
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import ml_collections


class _Setting(NamedTuple):
  """Says where a file sets a key, and what it says of it.

  Attributes:
    key: The key or section, as `data.max_length`.
    line: The line of the file.
    comment: The comment above that line; empty for none.
  """

  key: str
  line: int
  comment: str


def describe(
  config: ml_collections.ConfigDict, files: Sequence[pathlib.Path]
) -> str:
  """Lists every key of a config with its value, below what is said of it.

  Args:
    config: The config.
    files: The Python files that set its keys, with comments above them; of a
      key with comments in several files, the last one counts, and keys come
      in the order in which they are first set.

  Returns:
    A line per key, as `optimizer.learning_rate = 0.001`, with comment lines.
  """
  comments: dict[str, str] = {}
  places: dict[str, int] = {}
  for file in files:
    for setting in read_settings(file):
      places.setdefault(setting.key, len(places))
      if setting.comment:
        comments[setting.key] = setting.comment

  def place(item: tuple[str, Any]) -> tuple[int, ...]:
    parts = item[0].split(".")
    sections = (".".join(parts[: i + 1]) for i in range(len(parts)))
    return tuple(places.get(each, len(places)) for each in sections)

  lines = []
  for key, value in sorted(_flat(config.to_dict()), key=place):
    if key in comments:
      lines += [f"# {line}" for line in comments[key].split("\n")]
    if not isinstance(value, dict):
      lines.append(f"{key} = {value!r}")
  return "\n".join(lines)


def read_settings(file: pathlib.Path) -> list[_Setting]:
  """Reads which keys of a config a Python file sets; it is not run.

  Returns:
    The keys and sections, in the order of the file.
  """
  source = file.read_text("utf-8")
  comments = _comment_lines(source)
  found = [
    _Setting(key, line, _comment_above(comments, line))
    for statement in ast.walk(ast.parse(source))
    for key, line in _keys_set(statement)
  ]
  return sorted(found, key=lambda setting: setting.line)


def _comment_lines(source: str) -> dict[int, str]:
  """Maps the lines that hold nothing but a comment to its text."""
  tokens = tokenize.generate_tokens(io.StringIO(source).readline)
  return {
    token.start[0]: token.string.removeprefix("#").strip()
    for token in tokens
    if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")
  }


def _comment_above(comments: dict[int, str], line: int) -> str:
  """Joins the comment lines that end directly above a line."""
  first = line
  while first - 1 in comments:
    first -= 1
  return "\n".join(comments[number] for number in range(first, line))


def _keys_set(statement: ast.AST) -> Iterator[tuple[str, int]]:
  """Gives the keys that a statement sets, and the line of each."""
  if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
    target, value = statement.targets[0], statement.value
  elif (
    isinstance(statement, ast.Expr)
    and isinstance(statement.value, ast.Call)
    and isinstance(statement.value.func, ast.Attribute)
    and statement.value.func.attr == "update"
  ):
    target, value = statement.value.func.value, statement.value
  else:
    return
  key = _attribute_path(target)
  if key:
    yield key, statement.lineno
    for inner, line in _keys_of_literal(value, key):
      if line > statement.lineno:
        yield inner, line


def _attribute_path(node: ast.AST) -> str:
  """Names the key of `config.data.dir`; empty for any other expression."""
  parts = []
  while isinstance(node, ast.Attribute):
    parts.append(node.attr)
    node = node.value
  return ".".join(reversed(parts)) if isinstance(node, ast.Name) else ""


def _keys_of_literal(node: ast.AST, section: str) -> Iterator[tuple[str, int]]:
  """Gives the keys of a dictionary that stands in the source, nested or not."""
  if isinstance(node, ast.Call):
    for each in node.args:
      yield from _keys_of_literal(each, section)
  if isinstance(node, ast.Dict):
    for key, value in zip(node.keys, node.values, strict=True):
      if isinstance(key, ast.Constant) and isinstance(key.value, str):
        yield f"{section}.{key.value}", key.lineno
        yield from _keys_of_literal(value, f"{section}.{key.value}")


def _flat(
  config: dict[str, Any], section: str = ""
) -> Iterator[tuple[str, Any]]:
  """Gives sections and keys in the order in which they were set."""
  for key, value in config.items():
    yield f"{section}{key}", value
    if isinstance(value, dict):
      yield from _flat(value, f"{section}{key}.")
