"""Reads pickles of arrays in plain containers, and nothing else.

A pickle is a program that may call any function. This reader resolves the few
names that arrays of NumPy 1 and 2 are made of, in pickles of any protocol and
of Python 2 and 3; a pickle that asks for any other is refused before anything
is called. The names of NumPy stand for functions of this module: NumPy's own
take types from a pickle that read bytes as the addresses of objects. What a
name stands for has no attribute that a pickle could set for those after it.
"""

import collections
import contextlib
import pathlib
import pickle
import re
import sys
from typing import Any, BinaryIO

import numpy as np

from data_prep.readers import memory
from mmer_jax.base.errors import UserError

_FROMBUFFER = np.zeros(1).__reduce_ex__(5)[0]
_SCALAR = np.float64(0).__reduce__()[0]
# Bytes of memory for a byte of a pickle, at most: an empty list takes two bytes
# of a pickle and 64 of memory. And beside it.
_GROWTH = 100
_SPARE = 1 << 29
# Booleans, numbers, objects, bytes and text: not structures, not dates.
_TYPE = re.compile(r"[biufcOSU]\d*")


class _Type:
  """Stands for a NumPy type while a pickle is read."""

  __slots__ = ("dtype",)

  def __init__(self, name: Any, *copying: Any) -> None:
    del copying
    if not isinstance(name, str) or not _TYPE.fullmatch(name):
      raise pickle.UnpicklingError(f"it holds an array of type {name!r:.40}")
    self.dtype = np.dtype(name)

  def __setstate__(self, state: tuple[Any, ...]) -> None:
    # Version, order of bytes, and, of structures, subarray, names and fields.
    order, *structure = state[1:5]
    if any(structure) or order not in ("<", ">", "|", "="):
      raise pickle.UnpicklingError("it holds an array of structures")
    if order in ("<", ">"):
      self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
  """Takes the state that a pickle gives an array, with a type of its own."""

  def __setstate__(self, state: tuple[Any, ...]) -> None:
    version, shape, kind, fortran, data = state
    super().__setstate__((version, shape, _dtype_of(kind), fortran, data))
    _check_text(self)


def _dtype_of(kind: Any) -> np.dtype:
  if not isinstance(kind, _Type):
    raise pickle.UnpicklingError("it holds an array without a type")
  return kind.dtype


def _check_text(array: np.ndarray) -> np.ndarray:
  """Refuses numbers that no character has, in arrays of text."""
  if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
    codes = np.frombuffer(
      array.tobytes(), np.dtype("u4").newbyteorder(array.dtype.byteorder)
    )
    if codes.max() > sys.maxunicode:
      raise pickle.UnpicklingError("it holds text of no characters")
  return array


class _ArrayName:
  """Stands for `numpy.ndarray`, of which a pickle only says the name."""

  __slots__ = ()


class _TypeName:
  """Stands for `numpy.dtype`."""

  __slots__ = ()

  def __call__(self, *arguments: Any) -> _Type:
    return _Type(*arguments)


class _Reconstruct:
  """Makes an empty array, whose state follows."""

  __slots__ = ()

  def __call__(self, kind: Any, *shape: Any) -> np.ndarray:
    del shape
    if kind is not _NDARRAY:
      raise pickle.UnpicklingError("it holds an array of another class")
    return np.zeros(0, np.int8).view(_Array)


class _Scalar:
  """Makes a number, as NumPy's own function does."""

  __slots__ = ()

  def __call__(self, kind: Any, data: Any) -> Any:
    dtype = _dtype_of(kind)
    if dtype.hasobject:
      raise pickle.UnpicklingError("it holds a number of type object")
    if isinstance(data, str):
      # As Python 2 wrote bytes.
      data = data.encode("latin1")
    # An array first: a text is made as it is checked.
    _check_text(np.frombuffer(data, dtype, 1))
    return _SCALAR(dtype, data)


class _FromBuffer:
  """Makes the arrays of protocol 5, as NumPy's own function does."""

  __slots__ = ()

  def __call__(self, data: Any, kind: Any, *layout: Any) -> np.ndarray:
    return _check_text(_FROMBUFFER(data, _dtype_of(kind), *layout))


class _Latin1:
  """Decodes bytes as Python 3 writes them into protocols without bytes."""

  __slots__ = ()

  def __call__(self, text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
      raise pickle.UnpicklingError(f"it holds bytes in encoding {encoding!r}")
    return text.encode("latin1")


_NDARRAY = _ArrayName()
_ALLOWED = {
  ("numpy", "ndarray"): _NDARRAY,
  ("numpy", "dtype"): _TypeName(),
  ("_codecs", "encode"): _Latin1(),
  ("collections", "OrderedDict"): collections.OrderedDict,
  ("collections", "defaultdict"): collections.defaultdict,
  **{
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (
      ("multiarray", "_reconstruct", _Reconstruct()),
      ("multiarray", "scalar", _Scalar()),
      ("numeric", "_frombuffer", _FromBuffer()),
    )
  },
  # As protocols up to 2 have the names, which are Python 2's.
  ("__builtin__", "long"): int,
  ("__builtin__", "unicode"): str,
  **{
    (module, kind.__name__): kind
    for module in ("builtins", "__builtin__")
    for kind in (
      *(list, dict, tuple, set, frozenset, bytes, bytearray, complex),
      # What a defaultdict makes of a key that is not there.
      *(int, float, str),
    )
  },
}

# The package of a class to what it is and the line that writes a safe file.
_WAYS = {
  "pandas": (
    "tables of pandas (pandas.DataFrame)",
    "import pandas; pandas.read_pickle({0!r}).to_csv({1!r}, index=False)",
    ".csv",
    "--source=folder --input={1} beside arrays, or to --source=utterances",
  ),
  "torch": (
    "tensors of PyTorch (torch.Tensor)",
    "import pickle, torch; from torch.utils._pytree import tree_map;"
    " pickle.dump(tree_map(lambda x: x.numpy() if isinstance(x, torch.Tensor)"
    " else x, pickle.load(open({0!r}, 'rb'))), open({1!r}, 'wb'))",
    ".pkl",
    "--source=pickle --input={1}",
  ),
}


class _Refused(pickle.UnpicklingError):
  """Says which name a pickle asked for."""

  def __init__(self, module: str, name: str) -> None:
    super().__init__(f"it calls {module}.{name}")
    self.package = module.partition(".")[0]


class _Restricted(pickle.Unpickler):
  def find_class(self, module: str, name: str) -> Any:
    if (module, name) not in _ALLOWED:
      raise _Refused(module, name)
    return _ALLOWED[module, name]


def load(path: pathlib.Path, inside: BinaryIO | None = None) -> Any:
  """Reads the arrays and containers of a pickle.

  Args:
    path: The file.
    inside: The pickle in it, open; None where the file is the pickle.

  Raises:
    UserError: The file is broken, or asks for anything but arrays.
  """
  try:
    opened = contextlib.nullcontext(inside) if inside else path.open("rb")
    growth = _SPARE + _GROWTH * path.stat().st_size
    with opened as file, memory.at_most(growth):
      # latin1: strings that Python 2 pickled, arrays' bytes among them.
      return _Restricted(file, encoding="latin1").load()
  except pickle.UnpicklingError as error:
    raise UserError(
      f"{path} is refused: {_one_line(error)}; only NumPy arrays in plain"
      f" containers are read from a pickle{_way_out(error, path)}"
    ) from error
  # What a broken pickle makes of its own opcodes.
  except (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ImportError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SystemError,
  ) as error:
    raise UserError(
      f"{path} is not a readable pickle: {type(error).__name__}:"
      f" {_one_line(error) or 'it asks for too much memory'}"
    ) from error


def _way_out(error: pickle.UnpicklingError, path: pathlib.Path) -> str:
  """Names the Python that writes what a pickle of objects holds as arrays."""
  if not isinstance(error, _Refused) or error.package not in _WAYS:
    return ""
  what, line, suffix, flag = _WAYS[error.package]
  names = path.name, f"{path.stem}_safe{suffix}"
  return (
    f". It holds {what}; if you trust it `{line.format(*names)}` gets there:"
    f" then give it to {flag.format(*names)}"
  )


def _one_line(error: BaseException) -> str:
  return " ".join(str(error).split())[:200]
