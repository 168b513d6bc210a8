"""Describes what is in a pickle: one line for each member, however nested.

A member is an array, a text or a number, or a collection of one kind of those:
"dict of 151, each a list of 6 to 110 arrays (1582,)". Small dictionaries and
tuples whose entries differ are records, of which each entry is a member by its
own name, `[]` for each of a collection: `[]/0` is the first entry of all tuples
of a list. Nothing is cut: what is alike is summed up instead.
"""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_prep.readers import unpickle
from data_prep.sources.pickles import recognise
from mmer_jax.base.errors import UserError

# Entries of a dictionary or tuple that may be a record, and of a list.
_RECORD = 24
_LISTED = 12
# Of entries that are alike.
_FEW = 3
_DISTINCT = 4
# Steps on the way; what is deeper is not gone into.
_DEEP = 24
# Values at one place, and members: a small pickle may hold itself, or its parts
# again and again.
_MOST = 50_000_000
_MEMBERS = 10_000
_CONTAINERS = (dict, list, tuple, set, frozenset)
# In a chain of collections: an entry of a record follows.
_RECORD_ENTRY = ""


class _Member(NamedTuple):
  """Holds all values that stand at one place.

  Attributes:
    name: The way there.
    chain: The collections on the way, from the outside.
    values: What stands there.
    depth: Steps on the way.
  """

  name: str
  chain: tuple[str, ...]
  values: list[Any]
  depth: int = 0


def describe_pickle(path: pathlib.Path) -> dict[str, Any]:
  """Describes every member of a pickle, a line each."""
  columns, layout = _describe(path)
  return {"kind": "pickle", "layout": layout, "columns": columns}


def is_folder(folder: pathlib.Path) -> bool:
  """Whether a folder holds pickles, and is none of CMU's HDF5."""
  return bool(recognise.files_of(folder)) and not any(folder.glob("*.h5"))


def describe_folder(folder: pathlib.Path) -> dict[str, Any]:
  """Describes every member of the pickles of a folder."""
  columns: dict[str, dict[str, Any]] = {}
  layouts: dict[str | None, None] = {}
  for path in recognise.files_of(folder):
    own, layout = _describe(path)
    layouts[layout] = None
    columns |= {
      f"{_shown(path.name)}{name}": each for name, each in own.items()
    }
  layout = ", ".join(each or "no known layout" for each in layouts)
  return {"kind": "pickle", "layout": layout, "columns": columns}


def _describe(
  path: pathlib.Path,
) -> tuple[dict[str, dict[str, Any]], str | None]:
  """Describes the members of a pickle, and names its layout."""
  content = unpickle.load(path)
  columns: dict[str, dict[str, Any]] = {}
  noun = recognise.noun_of(content)
  for member in _members(_Member("", (), [content]), top=True):
    name = _shown(member.name)
    while name in columns:
      name += "'"
    columns[name] = _entry(member, noun)
    if len(columns) > _MEMBERS:
      raise UserError(
        f"{path} has more than {_MEMBERS} members; does it hold itself?"
      )
  names = recognise.member_names(content)
  for place, name in enumerate(names):
    if f"/{place}" in columns:
      columns[f"/{place}"]["note"] = name
  return columns, recognise.name_of(content)


def _shown(text: str) -> str:
  """Makes a text that any terminal can show: no half of a surrogate pair."""
  return text.encode("utf-8", errors="replace").decode("utf-8")


def _members(member: _Member, top: bool = False) -> Iterator[_Member]:
  """Splits a place into its members: itself, or what its values hold."""
  by_kind: dict[str, list[Any]] = {}
  for value in member.values:
    by_kind.setdefault(_kind(value), []).append(value)
  if len(by_kind) > 1:
    for kind, values in by_kind.items():
      name = f"{member.name}<{kind}>"
      yield from _members(_Member(name, member.chain, values, member.depth))
    return
  values = member.values
  if member.depth >= _DEEP:
    yield member
    return
  if values and _kind(values[0]) == "object array":
    lists = [value.ravel().tolist() for value in values]
    yield from _inside(member, "object array", lists)
    return
  if not values or not isinstance(values[0], _CONTAINERS):
    yield member
    return
  keys = _record_keys(values, top)
  if keys is not None:
    within = member.chain and member.chain[-1] != _RECORD_ENTRY
    above = f"{member.name}[]" if within else member.name
    chain = (*member.chain, _RECORD_ENTRY) if within else member.chain
    for key in keys:
      inner = [value[key] for value in values]
      yield from _members(
        _Member(f"{above}/{key}", chain, inner, member.depth + 1)
      )
    return
  yield from _inside(member, _kind(values[0]), values)


def _inside(member: _Member, kind: str, values: list[Any]) -> Iterator[_Member]:
  """Goes into collections, of which nothing may be left."""
  sizes = [len(value) for value in values]
  if sum(sizes) > _MOST:
    raise UserError(
      f"{_shown(member.name) or '/'} holds {sum(sizes)} values, expected at"
      f" most {_MOST}; does the pickle hold its parts again and again?"
    )
  inner = [each for value in values for each in _entries(value)]
  chain = (*member.chain, f"{kind} of {_span(sizes)}")
  deeper = _Member(member.name, chain, inner, member.depth + 1)
  if inner:
    yield from _members(deeper)
  else:
    yield deeper


def _entries(value: Any) -> list[Any]:
  """Lists what a collection holds, in an order that stays."""
  if isinstance(value, dict):
    return list(value.values())
  if isinstance(value, (set, frozenset)):
    return sorted(value, key=str)
  return list(value)


def _record_keys(values: list[Any], top: bool) -> list[Any] | None:
  """Lists the entries of a record; None where the values are collections."""
  first = values[0]
  if isinstance(first, (set, frozenset)) or not 0 < len(first) <= _RECORD:
    return None
  if isinstance(first, dict):
    keys = list(first)
    if any(value.keys() != first.keys() for value in values):
      return None
    if not all(isinstance(key, str) for key in keys):
      return None
    entries = list(first.values())
    leaf = not any(isinstance(each, _CONTAINERS) for each in entries)
    few = leaf or (top and len(entries) <= _FEW)
  else:
    keys = list(range(len(first)))
    if any(len(value) != len(first) for value in values) or (
      isinstance(first, list) and len(first) > _LISTED
    ):
      return None
    entries = list(first)
    few = top and len(entries) <= _FEW
    few &= all(isinstance(each, _CONTAINERS) for each in entries)
  if few or len({_form(each) for each in entries}) > 1:
    return keys
  return None


def _form(value: Any, depth: int = 4) -> Any:
  """Sketches a structure, so that two can be told apart."""
  if isinstance(value, np.ndarray):
    return ("array", value.dtype.kind in "US", value.ndim)
  if isinstance(value, _CONTAINERS):
    inner = value.values() if isinstance(value, dict) else value
    first = next(iter(inner), None)
    return (_kind(value), _form(first, depth - 1) if depth else None)
  if isinstance(value, (int, float, np.number)):
    return "number"
  return _kind(value)


def _kind(value: Any) -> str:
  if isinstance(value, np.ndarray):
    within = value.dtype.hasobject and value.dtype.names is None and value.ndim
    return "object array" if within else "array"
  if isinstance(value, dict):
    return "dict"
  if isinstance(value, (bool, np.bool_)):
    return "bool"
  if isinstance(value, (int, np.integer)):
    return "int"
  if isinstance(value, (float, np.floating)):
    return "float"
  if isinstance(value, (set, frozenset)):
    return "set"
  if isinstance(value, str):
    return "text"
  return type(value).__name__


def _span(numbers: Sequence[int]) -> str:
  low, high = min(numbers), max(numbers)
  return f"{low}" if low == high else f"{low} to {high}"


def _entry(member: _Member, noun: str) -> dict[str, Any]:
  """Describes the values at a place; `noun` says what dictionaries are of."""
  values = member.values
  kind = _kind(values[0]) if values else ""
  entry: dict[str, Any] = {}
  if not member.chain and kind == "array":
    entry = {"shape": list(values[0].shape), "dtype": str(values[0].dtype)}
  elif not member.chain:
    entry = {"shape": [], "dtype": type(values[0]).__name__}
  else:
    entry = {"holds": _chain(member.chain, values, kind, noun)}
    if kind == "array":
      entry["dtype"] = ", ".join(dict.fromkeys(str(v.dtype) for v in values))
  return entry | _summary(values)


def _chain(
  chain: tuple[str, ...], values: list[Any], kind: str, noun: str
) -> str:
  """Says how values are nested, from the outside to what they are."""
  plural = f"{kind}s" if values else "nothing"
  single = f"{'an' if kind[:1] in 'aei' else 'a'} {kind}"
  if kind == "array":
    shapes = _shapes(values)
    plural, single = f"arrays {shapes}", f"an array {shapes}"
  words, link = chain[0], ", each a "
  named = bool(noun) and words.startswith("dict")
  if named:
    words += f" {noun}"
  for each in chain[1:]:
    if each == _RECORD_ENTRY:
      link = ", in each a "
    else:
      words, link = words + link + each, ", each a "
  if chain[-1] == _RECORD_ENTRY:
    return f"{words}, in each {single}"
  if named and len(chain) == 1:
    return f"{words}, each {single}"
  return f"{words} {plural}"


def _shapes(arrays: list[np.ndarray]) -> str:
  """Says the shape of some arrays, with a span where they differ."""
  by_dims: dict[int, list[tuple[int, ...]]] = {}
  for array in arrays:
    by_dims.setdefault(array.ndim, []).append(array.shape)
  found = []
  for dims, shapes in by_dims.items():
    spans = [_span(sizes) for sizes in zip(*shapes, strict=True)]
    found.append("(" + ", ".join(spans) + ("," if dims == 1 else "") + ")")
  return " or ".join(found)


def _summary(values: list[Any]) -> dict[str, Any]:
  """Sums up values: their range, or which texts there are."""
  low, high, nonfinite, numbers = np.inf, -np.inf, 0, False
  texts: dict[str, int] = {}
  for array in _arrays(values):
    if array.dtype.kind in "fiub":
      numbers = True
      array = array.astype(np.float64, copy=False)
      finite = np.isfinite(array)
      nonfinite += int(array.size - np.count_nonzero(finite))
      low = min(low, float(np.min(array, where=finite, initial=np.inf)))
      high = max(high, float(np.max(array, where=finite, initial=-np.inf)))
    elif array.dtype.kind in "US":
      for each in np.ravel(array).tolist():
        key = _shown(each.decode("latin1") if isinstance(each, bytes) else each)
        texts[key] = texts.get(key, 0) + 1
  if numbers:
    return {
      "min": low if low <= high else None,
      "max": high if low <= high else None,
      "nonfinite": nonfinite,
    }
  if len(texts) > _DISTINCT:
    return {"distinct": len(texts), "first": next(iter(texts))}
  return {"distinct": len(texts), "values": texts} if texts else {}


def _arrays(values: list[Any]) -> Iterator[np.ndarray]:
  """Makes arrays of the values: one of numbers, which may be millions."""
  if values and _kind(values[0]) in ("int", "float"):
    # Python's numbers may be too large for any array.
    with contextlib.suppress(OverflowError):
      yield np.array(values, np.float64)
    return
  for value in values:
    # Deeper than is gone into.
    if not isinstance(value, _CONTAINERS):
      yield np.asarray(value)
