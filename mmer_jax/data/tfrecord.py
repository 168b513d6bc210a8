"""Reads single records of TFRecord and ArrayRecord files, checksums verified.

A TFRecord file is a sequence of: length (8 bytes, little endian), masked
CRC32C of the length (4), data, masked CRC32C of the data (4). The mask is a
rotation to the right by 15 bits plus 0xa282ead8.
"""

import pathlib
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import google_crc32c

from mmer_jax.base import errors

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


class Location(NamedTuple):
  """Locates a record in a shard folder.

  Attributes:
    shard: The shard's file name.
    record: The record's number in the shard, from 0.
    offset: The position of its first byte; unused in ArrayRecord.
  """

  shard: str
  record: int
  offset: int


def read_record(
  read: Callable[[int], bytes], location: Location
) -> bytes | None:
  """Reads one TFRecord; None at the end of the file."""
  header = read(_HEADER.size)
  if not header:
    return None
  if len(header) < _HEADER.size:
    raise damaged_record(location, "its header is cut short")
  length, length_crc = _HEADER.unpack(header)
  if _masked_crc(header[:8]) != length_crc:
    raise damaged_record(location, "the checksum of its length does not match")
  data = read(length)
  footer = read(_FOOTER.size)
  if len(data) < length or len(footer) < _FOOTER.size:
    raise damaged_record(location, "it is cut short")
  if _masked_crc(data) != _FOOTER.unpack(footer)[0]:
    raise damaged_record(location, "its checksum does not match")
  return data


def _masked_crc(data: bytes) -> int:
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def damaged_record(location: Location, what: str) -> errors.UserError:
  """Makes the error that names a damaged record and what is wrong."""
  return errors.UserError(
    f"shard {location.shard}, record {location.record}: {what}; the file is"
    " damaged, copy or convert it again"
  )


def reason(error: Exception) -> str:
  """Puts a library's message on one line."""
  return " ".join(str(error).split()) or type(error).__name__


def check_whole_file(
  whole: google_crc32c.Checksum, shard: dict[str, Any]
) -> None:
  """Compares a file's checksum with the manifest's."""
  if checksum_hex(whole) != shard["crc32c"]:
    raise errors.UserError(
      f"shard {shard['file']}: the file's checksum does not match the"
      " manifest's; it is damaged or not the shard of that name, copy or"
      " convert it again"
    )


def checksum_hex(checksum: google_crc32c.Checksum) -> str:
  """Formats a checksum as the manifest does, 8 hexadecimal digits."""
  return checksum.digest().hex()


def array_reader(path: pathlib.Path) -> Any:
  """Opens an ArrayRecord file."""
  try:
    from array_record.python import array_record_module
  except ImportError:
    raise errors.UserError(
      f"{path} is an ArrayRecord file and the package array_record is not"
      " installed; pip install mmer_jax[prep]"
    ) from None
  return array_record_module.ArrayRecordReader(str(path))


def array_read(reader: Any, location: Location) -> bytes:
  """Reads one record of an ArrayRecord file."""
  try:
    (data,) = reader.read([location.record])
  except (RuntimeError, IndexError, ValueError) as error:
    raise damaged_record(
      location, f"it cannot be read ({reason(error)})"
    ) from None
  return data
