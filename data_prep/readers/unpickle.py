"""Reads pickles of arrays in plain containers, and nothing else.

A pickle is a program that may call any function. This reader resolves the few
names that NumPy's arrays are made of; a pickle that asks for any other is
refused before anything is called.
"""

import collections
import pathlib
import pickle
from typing import Any

import numpy as np

from mmer_jax.base.errors import UserError


def _latin1(text: str, encoding: str) -> bytes:
  """Decodes bytes as Python 3 writes them into protocols without bytes."""
  if encoding not in ("latin1", "latin-1"):
    raise pickle.UnpicklingError(f"bytes in encoding {encoding!r}")
  return text.encode("latin1")


_RECONSTRUCT = np.array(0).__reduce__()[0]
_FROMBUFFER = np.zeros(1).__reduce_ex__(5)[0]
_SCALAR = np.float64(0).__reduce__()[0]
_ALLOWED = {
  ("numpy", "ndarray"): np.ndarray,
  ("numpy", "dtype"): np.dtype,
  ("_codecs", "encode"): _latin1,
  ("collections", "OrderedDict"): collections.OrderedDict,
  **{
    (module, name): value
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    for name, value in (("_reconstruct", _RECONSTRUCT), ("scalar", _SCALAR))
  },
  ("numpy.core.numeric", "_frombuffer"): _FROMBUFFER,
  ("numpy._core.numeric", "_frombuffer"): _FROMBUFFER,
  **{
    (module, kind.__name__): kind
    for module in ("builtins", "__builtin__")
    for kind in (list, dict, tuple, set, frozenset, bytes, bytearray, complex)
  },
}


class _Restricted(pickle.Unpickler):
  def find_class(self, module: str, name: str) -> Any:
    if (module, name) not in _ALLOWED:
      raise pickle.UnpicklingError(f"it calls {module}.{name}")
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
      " containers are read from a pickle"
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


def _one_line(error: BaseException) -> str:
  return " ".join(str(error).split())[:200]
