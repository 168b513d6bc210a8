"""Compares what a JSON file holds with what a command writes there."""

from typing import Any


def mismatch(content: Any, shape: Any, place: str = "") -> str:
  """Names the first place where content has not the shape.

  Args:
    content: What a JSON file holds.
    shape: A dict has these keys, and `...` stands for all other keys; a list of
      one is of such entries; else the types that a value may have.
    place: Where the content stands in its file.

  Returns:
    What is wrong; `""` for nothing.
  """
  if isinstance(shape, dict):
    kind: Any = dict
    if isinstance(content, dict):
      for key in [*shape, *content]:
        if key is not ... and key not in content:
          return f"{place}{key} is missing"
        if key is not ... and (key in shape or ... in shape):
          inner = shape.get(key, shape.get(...))
          if wrong := mismatch(content[key], inner, f"{place}{key}."):
            return wrong
  elif isinstance(shape, list):
    kind = list
    if isinstance(content, list):
      for item in content:
        if wrong := mismatch(item, shape[0], place):
          return wrong
  else:
    kind = shape
  if isinstance(content, kind):
    return ""
  where = place.rstrip(".") or "its content"
  return f"{where} is of type {type(content).__name__}"
