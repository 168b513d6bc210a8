"""Reads the examples of shard folders, checksums verified."""

import contextlib
import pathlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import google_crc32c

from mmer_jax.base import errors, progress
from mmer_jax.data import decode as decode_lib
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import tfrecord


def read_examples(
  folder: pathlib.Path,
) -> Iterator[tuple[tfrecord.Location, dict[str, Any]]]:
  """Reads every example in the order of the shards.

  Yields:
    The location of the record, and the decoded example.

  Raises:
    UserError: A byte is wrong, missing or too many; the message names the
      shard and the record.
  """
  manifest = manifest_lib.load_manifest(folder)
  decoder = decode_lib.Decoder(folder, manifest)
  total = sum(shard["examples"] for shard in manifest["shards"])
  with progress.doing(f"reading {folder}", total, "utterances") as task:
    for shard in manifest["shards"]:
      records = _records(folder, shard, manifest["file_format"])
      count = 0
      for location, data in records:
        yield location, decoder.decode(location, data)
        count += 1
        task.advance()
      _check_count(shard, count)


def _check_count(shard: dict[str, Any], count: int) -> None:
  """Refuses a shard that has not as many examples as the manifest says."""
  if count != shard["examples"]:
    raise errors.UserError(
      f"shard {shard['file']} ends after {count} records, expected"
      f" {shard['examples']}; copy or convert it again"
    )


class RecordReader:
  """Reads single records by location, checksums verified each time.

  Safe to share between threads.
  """

  def __init__(self, folder: pathlib.Path):
    """Reads the manifest; opens no shard yet."""
    self._folder = folder
    manifest = manifest_lib.load_manifest(folder)
    self._decoder = decode_lib.Decoder(folder, manifest)
    self._format = manifest["file_format"]
    self._files: dict[str, Any] = {}
    # Its files stay open for as long as there is a reader.
    self._open = contextlib.ExitStack()
    weakref.finalize(self, self._open.close)
    # A file has one position, which another thread would move.
    self._lock = threading.Lock()

  def read(self, location: tfrecord.Location) -> dict[str, Any]:
    """Reads and decodes the record at a location."""
    with self._lock:
      data = self._bytes(location)
    return self._decoder.decode(location, data)

  def _bytes(self, location: tfrecord.Location) -> bytes:
    path = self._folder / location.shard
    if self._format == "array_record":
      if location.shard not in self._files:
        self._files[location.shard] = tfrecord.array_reader(path)
      return tfrecord.array_read(self._files[location.shard], location)
    if location.shard not in self._files:
      file = self._open.enter_context(path.open("rb"))
      self._files[location.shard] = file
    file = self._files[location.shard]
    file.seek(location.offset)
    data = tfrecord.read_record(file.read, location)
    if data is None:
      raise tfrecord.damaged_record(location, "it is missing")
    return data


def _records(
  folder: pathlib.Path, shard: dict[str, Any], file_format: str
) -> Iterator[tuple[tfrecord.Location, bytes]]:
  path = folder / shard["file"]
  if file_format == "array_record":
    yield from _array_records(path, shard)
  else:
    yield from _tf_records(path, shard)


def _array_records(
  path: pathlib.Path, shard: dict[str, Any]
) -> Iterator[tuple[tfrecord.Location, bytes]]:
  # Its reader verifies chunks, not every byte of the file.
  whole = google_crc32c.Checksum()
  with path.open("rb") as file:
    while block := file.read(1 << 20):
      whole.update(block)
  tfrecord.check_whole_file(whole, shard)
  reader = tfrecord.array_reader(path)
  for record in range(reader.num_records()):
    location = tfrecord.Location(shard["file"], record, 0)
    yield location, tfrecord.array_read(reader, location)


def _tf_records(
  path: pathlib.Path, shard: dict[str, Any]
) -> Iterator[tuple[tfrecord.Location, bytes]]:
  whole = google_crc32c.Checksum()
  with path.open("rb") as file:

    def read(size: int) -> bytes:
      data = file.read(size)
      whole.update(data)
      return data

    record = 0
    while True:
      location = tfrecord.Location(shard["file"], record, file.tell())
      data = tfrecord.read_record(read, location)
      if data is None:
        break
      yield location, data
      record += 1
  # Sound records may still be those of another shard.
  tfrecord.check_whole_file(whole, shard)
