"""Reads members of a pickle as arrays and texts, or says what they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base.errors import UserError

_NUMBERS = "fiub"
# More are no classes.
_CLASSES = 1000


def kind_of(value: Any) -> str:
  """Says what a member is, in a few words."""
  if isinstance(value, np.ndarray):
    shape = " x ".join(map(str, value.shape)) or "()"
    return f"an array {shape} of {value.dtype}"
  if isinstance(value, (dict, list, tuple, set, frozenset)):
    return f"a {type(value).__name__} of {len(value)}"
  return f"a {type(value).__name__}"


def phrase(content: Any) -> str:
  """Says in a few words what a pickle holds."""
  if isinstance(content, dict):
    inner = next(iter(content.values()), None)
    more = f", the first {kind_of(inner)}" if content else ""
    if isinstance(inner, dict):
      more += f": {_some(list(inner))}"
    return f"a dict of {len(content)} ({_some(list(content))}{more})"
  if isinstance(content, (list, tuple)):
    kinds = list(dict.fromkeys(kind_of(each) for each in content))
    return f"a {type(content).__name__} of {len(content)} ({_some(kinds)})"
  return kind_of(content)


def _some(names: Sequence[Any]) -> str:
  shown = ", ".join(str(name)[:40] for name in names[:6])
  return shown + (", ..." if len(names) > 6 else "")


def numbers(value: Any, where: str, expected: str) -> np.ndarray:
  """Reads a member as an array of real numbers.

  Raises:
    UserError: It is none; `expected` says what of.
  """
  array = value
  if isinstance(value, (list, tuple, float, int, np.generic)):
    try:
      array = np.asarray(value)
    except (ValueError, OverflowError):
      array = None
  if not isinstance(array, np.ndarray) or array.dtype.kind not in _NUMBERS:
    raise UserError(
      f"{where} is {kind_of(value)}, expected an array of {expected}"
    )
  return array


def vector(value: Any, where: str, dim: int | None = None) -> np.ndarray:
  """Reads a member as one vector (d,), which may stand as a row (1, d).

  Raises:
    UserError: It is none, or not of `dim` numbers where that is known.
  """
  array = numbers(value, where, "one vector per utterance")
  if array.ndim == 2 and len(array) == 1:
    array = array[0]
  if array.ndim != 1 or not array.size or dim not in (None, array.size):
    expected = f"({dim},) as in the first utterance" if dim else "one vector"
    raise UserError(f"{where} has shape {array.shape}, expected {expected}")
  return array


def class_number(value: Any, where: str) -> int:
  """Reads a member as the number of a class, from 0 on.

  Raises:
    UserError: It is none.
  """
  array = numbers(value, where, "one class's number")
  number = float(array.item()) if array.size == 1 else -1.0
  if not (0 <= number < _CLASSES and number == int(number)):
    raise UserError(
      f"{where} is {_cut(value)}, expected a class's number from 0 on"
    )
  return int(number)


def _cut(value: Any) -> str:
  """Shows the beginning of a value, in one line."""
  return " ".join(str(value).split())[:40]


def length(value: Any, where: str) -> int:
  """Returns how many entries a member lists.

  Raises:
    UserError: It lists none.
  """
  listed = isinstance(value, (list, tuple)) or (
    isinstance(value, np.ndarray) and value.ndim
  )
  if not listed:
    raise UserError(
      f"{where} is {kind_of(value)}, expected one entry per utterance"
    )
  return len(value)


def text(value: Any, where: str) -> str:
  """Reads a member as text.

  Raises:
    UserError: It is none.
  """
  if isinstance(value, np.ndarray) and value.size == 1:
    value = value.item()
  if isinstance(value, bytes):
    return value.decode("utf-8", errors="replace").strip()
  if isinstance(value, (str, int, np.integer)) and not isinstance(value, bool):
    written = str(value).strip()
    if any("\ud800" <= character <= "\udfff" for character in written):
      raise UserError(f"{where} holds half of a character, expected text")
    return written
  raise UserError(f"{where} is {kind_of(value)}, expected text")


def texts(value: Any, count: int, where: str) -> list[str]:
  """Reads a member as one text per utterance."""
  found = length(value, where)
  if found != count:
    raise UserError(f"{where} has {found} rows, expected {count}")
  return [text(each, f"{where} row {row}") for row, each in enumerate(value)]
