"""Reads arrays of any kind as NumPy's, and refuses what is no number.

Whatever NumPy can read means what the same NumPy array means: arrays of JAX, of
PyTorch on the CPU, nested lists; any order, byte order and width of numbers.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from mmer_jax.base.errors import UserError


def as_array(values: Any, where: str) -> np.ndarray | list[Any]:
  """Makes what was given a NumPy array; a ragged list stays a list of such.

  Args:
    values: The features of a modality.
    where: What they are, for the message.

  Raises:
    UserError: NumPy cannot read them, or a part of them is masked.
  """
  if isinstance(values, np.ma.MaskedArray):
    if np.ma.is_masked(values):
      raise UserError(
        f"{where} is a masked array, whose masked numbers mean nothing here;"
        " fill them, or pass lengths or a mask for padding"
      )
    values = values.data
  if isinstance(values, list | tuple) and _holds_arrays(values):
    values = [
      each if each is None else as_array(each, where) for each in values
    ]
  try:
    array = np.asarray(values)
  except (TypeError, ValueError, RuntimeError, OverflowError) as error:
    if isinstance(values, list | tuple):
      return list(values)
    raise UserError(
      f"{where} cannot be read as a NumPy array"
      f" ({' '.join(str(error).split())[:120]})"
    ) from None
  if array.dtype == object and isinstance(values, list | tuple):
    return list(values)
  return array


def to_float32(values: Any, where: str, expected: str) -> np.ndarray:
  """Converts real numbers of any type to float32.

  Args:
    values: An array, or what NumPy can read as one.
    where: What they are, for the message.
    expected: The shape that is expected, for the message.

  Raises:
    UserError: They are anything but real numbers.
  """
  array = as_array(values, where)
  if isinstance(array, list):
    raise UserError(
      f"{where} holds no numbers, or rows of different lengths, expected an"
      f" array {expected}"
    )
  if not _is_kind(array, np.bool_, np.integer, np.floating):
    raise UserError(
      f"{where} holds no numbers but {array.dtype}, expected an array"
      f" {expected} of real numbers"
    )
  # What does not fit becomes infinite, which is refused.
  with np.errstate(over="ignore", invalid="ignore"):
    return array.astype(np.float32, order="C")


def to_integers(values: Any, where: str, *, ndim: int) -> np.ndarray:
  """Reads whole numbers as int32.

  Args:
    values: An array, or what NumPy can read as one.
    where: What they are, for the message.
    ndim: The number of axes that is expected.

  Raises:
    UserError: They are anything else.
  """
  array = as_array(values, where)
  if isinstance(array, list) or array.ndim != ndim:
    shape = "a ragged list" if isinstance(array, list) else array.shape
    raise UserError(
      f"{where} has shape {shape}, expected {ndim or 'no'}"
      f" {'axis' if ndim == 1 else 'axes'} of whole numbers"
    )
  if array.size and not _is_kind(array, np.integer):
    raise UserError(f"{where} holds {array.dtype}, expected whole numbers")
  if array.size and not -(2**31) <= array.min() <= array.max() < 2**31:
    raise UserError(f"{where} holds numbers that no index can be")
  return array.astype(np.int32)


def to_mask(values: Any, where: str) -> np.ndarray:
  """Reads the mask of an utterance, of True and False or 1 and 0, as (t,).

  Args:
    values: An array, or what NumPy can read as one; a scalar is of one frame.
    where: What it is, for the message.

  Raises:
    UserError: It is anything else.
  """
  mask = np.atleast_1d(to_float32(values, where, "(t,)"))
  if mask.ndim > 1 or not np.isin(mask, (0, 1)).all():
    raise UserError(
      f"{where} has shape {mask.shape}, or other values than True and False;"
      " expected one of them for each frame"
    )
  return mask.astype(bool)


def _is_kind(array: np.ndarray, *kinds: type) -> bool:
  """Tells whether the numbers are of some kinds; durations are of none."""
  return array.dtype.kind != "m" and any(
    jax.dtypes.issubdtype(array.dtype, kind) for kind in kinds
  )


def _holds_arrays(values: Sequence[Any]) -> bool:
  """Tells whether a list holds more than numbers and lists of numbers."""
  return any(
    hasattr(each, "__array__") or (isinstance(each, list | tuple) and each)
    for each in values
    if not isinstance(each, np.generic)
  )
