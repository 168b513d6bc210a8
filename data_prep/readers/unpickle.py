"""Reads pickles of arrays in plain containers, and nothing else.

A pickle is a program that may call any function. This reader resolves the few
names that arrays of NumPy 1 and 2 are made of, in pickles of any protocol and
of Python 2 and 3; a pickle that asks for any other is refused before anything
is called. What it resolves is never one that a pickle could alter for others.
"""

import collections
import pathlib
import pickle
from typing import Any

import numpy as np

from mmer_jax.base.errors import UserError

_RECONSTRUCT = np.array(0).__reduce__()[0]
_FROMBUFFER = np.zeros(1).__reduce_ex__(5)[0]
_SCALAR = np.float64(0).__reduce__()[0]


class _Latin1:
  """Decodes bytes as Python 3 writes them into protocols without bytes."""

  # A pickle may set attributes of what it is given; here are none.
  __slots__ = ()

  def __call__(self, text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
      raise pickle.UnpicklingError(f"it holds bytes in encoding {encoding!r}")
    return text.encode("latin1")


class _FromBuffer:
  """Makes the arrays of protocol 5, as NumPy's own function does."""

  __slots__ = ()

  def __call__(self, *arguments: Any) -> np.ndarray:
    return _FROMBUFFER(*arguments)


_ALLOWED = {
  ("numpy", "ndarray"): np.ndarray,
  ("numpy", "dtype"): np.dtype,
  ("_codecs", "encode"): _Latin1(),
  ("collections", "OrderedDict"): collections.OrderedDict,
  ("collections", "defaultdict"): collections.defaultdict,
  **{
    (module, name): value
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    for name, value in (("_reconstruct", _RECONSTRUCT), ("scalar", _SCALAR))
  },
  ("numpy.core.numeric", "_frombuffer"): _FromBuffer(),
  ("numpy._core.numeric", "_frombuffer"): _FromBuffer(),
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
    "a table of pandas",
    "import pandas; pandas.read_pickle({0!r}).to_csv({1!r}, index=False)",
    ".csv",
  ),
  "torch": (
    "a tensor of PyTorch",
    "import pickle, torch; from torch.utils._pytree import tree_map;"
    " pickle.dump(tree_map(lambda x: x.numpy() if isinstance(x, torch.Tensor)"
    " else x, pickle.load(open({0!r}, 'rb'))), open({1!r}, 'wb'))",
    ".pkl",
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


def load(path: pathlib.Path) -> Any:
  """Reads the arrays and containers of a pickle.

  Raises:
    UserError: The file is broken, or asks for anything but arrays.
  """
  try:
    with path.open("rb") as file:
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
      f" {_one_line(error)}"
    ) from error


def _way_out(error: pickle.UnpicklingError, path: pathlib.Path) -> str:
  """Names the Python that writes what a pickle of objects holds as arrays."""
  if not isinstance(error, _Refused) or error.package not in _WAYS:
    return ""
  what, line, suffix = _WAYS[error.package]
  line = line.format(path.name, f"{path.stem}_safe{suffix}")
  return f'. It holds {what}; if you trust it: python -c "{line}"'


def _one_line(error: BaseException) -> str:
  return " ".join(str(error).split())[:200]
