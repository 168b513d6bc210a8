"""Shard folders to decoded examples: no TensorFlow, every checksum verified.

A TFRecord file is a sequence of: length (8 bytes, little endian), masked
CRC32C of the length (4), data, masked CRC32C of the data (4). The mask is a
rotation to the right by 15 bits plus 0xa282ead8.
"""

import contextlib
import hashlib
import io
import json
import pathlib
import struct
import threading
import weakref
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import tensorflow_datasets as tfds
from google.protobuf import json_format

from mmer_jax import errors
from mmer_jax.data import schema

MANIFEST = "manifest.json"
EMOTIONS = "emotions.npz"
FEATURES = "features.json"
TEXT = ("id", "speaker", "session", "dialogue", "split")

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_KEYS = (
  "format",
  "name",
  "converter",
  "file_format",
  "emotions",
  "modalities",
  "normalisation",
  "shards",
  "fingerprint",
)


class Location(NamedTuple):
  """Where a record lies.

  Attributes:
    shard: File name.
    record: Its number in the shard, from 0.
    offset: Of its first byte; unused in ArrayRecord.
  """

  shard: str
  record: int
  offset: int


def fingerprint(manifest: dict[str, Any]) -> str:
  """SHA-256 of the canonical JSON of a manifest, its own entry left out."""
  content = {k: v for k, v in manifest.items() if k != "fingerprint"}
  text = json.dumps(content, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()


def load_manifest(folder: pathlib.Path) -> dict[str, Any]:
  """Reads and checks `manifest.json`, and that its shards are there.

  Raises:
    UserError: The folder is not a complete, unedited shard folder of a format
      that this version reads.
  """
  path = folder / MANIFEST
  if not folder.is_dir():
    raise errors.UserError(
      f"{folder} is not a folder, expected shards; convert a corpus with"
      " `python -m data_prep.convert --output=DIR`"
    )
  if not path.exists():
    raise errors.UserError(
      f"{folder} has no {MANIFEST}: it is not a shard folder, or its"
      " conversion did not finish; convert it again"
    )
  try:
    manifest = json.loads(path.read_text(encoding="utf-8"))
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise errors.UserError(
      f"{path} is not JSON ({_why(error)}); convert the corpus again"
    ) from None
  missing = [
    key
    for key in _KEYS
    if not isinstance(manifest, dict) or key not in manifest
  ]
  if missing:
    raise errors.UserError(
      f"{path} lacks {', '.join(missing)}; convert the corpus again"
    )
  if manifest["format"] != schema.SHARD_FORMAT:
    raise errors.UserError(
      f"{path} has format {manifest['format']}, expected"
      f" {schema.SHARD_FORMAT}; convert the corpus again"
    )
  if fingerprint(manifest) != manifest["fingerprint"]:
    raise errors.UserError(
      f"{path} does not match its own fingerprint: it was edited or damaged;"
      " convert the corpus again"
    )
  for shard in manifest["shards"]:
    file = folder / shard["file"]
    if not file.exists():
      raise errors.UserError(
        f"shard {shard['file']} is missing from {folder}; copy or convert it"
        " again"
      )
    size = file.stat().st_size
    if size != shard["bytes"]:
      raise errors.UserError(
        f"shard {shard['file']} has {size} bytes, expected {shard['bytes']};"
        " it was cut or changed, copy or convert it again"
      )
  return manifest


def load_emotion_vectors(folder: pathlib.Path) -> schema.EmotionVectors | None:
  """Reads `emotions.npz`; None where the shards have no word vectors.

  Raises:
    UserError: The file is damaged, missing although the manifest names its
      checksum, or not of the manifest's emotions.
  """
  manifest = load_manifest(folder)
  path = folder / EMOTIONS
  expected = manifest["converter"]["options"].get("emotion_vectors_crc32c")
  if not path.exists():
    if expected is not None:
      raise errors.UserError(
        f"{EMOTIONS} is missing from {folder}; copy or convert it again"
      )
    return None
  content = path.read_bytes()
  if (
    expected is not None
    and _digits(google_crc32c.Checksum(content)) != expected
  ):
    raise errors.UserError(
      f"{path} does not match the manifest's checksum; the file is damaged,"
      " copy or convert it again"
    )
  try:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
      names = tuple(str(name) for name in file["names"])
      words = tuple(str(word) for word in file["words"])
      vectors = np.asarray(file["vectors"], np.float32)
  except (
    OSError,
    KeyError,
    ValueError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
  ) as error:
    raise errors.UserError(
      f"{path} cannot be read ({_why(error)}); convert the corpus again"
    ) from None
  if names != tuple(manifest["emotions"]) or len(words) != len(names):
    raise errors.UserError(
      f"{path} is of the emotions {', '.join(names)}, expected"
      f" {', '.join(manifest['emotions'])}; convert the corpus again"
    )
  if vectors.ndim != 2 or len(vectors) != len(names):
    raise errors.UserError(
      f"{path} holds vectors of shape {vectors.shape}, expected"
      f" ({len(names)}, e); convert the corpus again"
    )
  if not np.isfinite(vectors).all():
    raise errors.UserError(
      f"{path} holds a vector that is not finite; convert the corpus again"
    )
  return schema.EmotionVectors(names, words, vectors)


def read_examples(
  folder: pathlib.Path,
) -> Iterator[tuple[Location, dict[str, Any]]]:
  """Reads every example in the order of the shards.

  Yields:
    Where the record lies, and the decoded example.

  Raises:
    UserError: A byte is wrong, missing or too many; the message names the
      shard and the record.
  """
  manifest = load_manifest(folder)
  decode = _Decoder(folder, manifest)
  for shard in manifest["shards"]:
    count = 0
    for location, data in _records(folder, shard, manifest["file_format"]):
      yield location, decode(location, data)
      count += 1
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
    """Opens nothing yet."""
    self._folder = folder
    manifest = load_manifest(folder)
    self._decode = _Decoder(folder, manifest)
    self._format = manifest["file_format"]
    self._files: dict[str, Any] = {}
    # Its files stay open for as long as there is a reader.
    self._open = contextlib.ExitStack()
    weakref.finalize(self, self._open.close)
    # A file has one position, which another thread would move.
    self._lock = threading.Lock()

  def read(self, location: Location) -> dict[str, Any]:
    """Returns the decoded example."""
    with self._lock:
      data = self._bytes(location)
    return self._decode(location, data)

  def _bytes(self, location: Location) -> bytes:
    path = self._folder / location.shard
    if self._format == "array_record":
      if location.shard not in self._files:
        self._files[location.shard] = _array_reader(path)
      return _array_read(self._files[location.shard], location)
    if location.shard not in self._files:
      file = self._open.enter_context(path.open("rb"))
      self._files[location.shard] = file
    file = self._files[location.shard]
    file.seek(location.offset)
    data = _read_record(file.read, location)
    if data is None:
      raise _damaged(location, "it is missing")
    return data


def _records(
  folder: pathlib.Path, shard: dict[str, Any], file_format: str
) -> Iterator[tuple[Location, bytes]]:
  path = folder / shard["file"]
  if file_format == "array_record":
    # Its reader verifies chunks, not every byte of the file.
    whole = google_crc32c.Checksum()
    with path.open("rb") as file:
      while block := file.read(1 << 20):
        whole.update(block)
    _check_whole_file(whole, shard)
    reader = _array_reader(path)
    for record in range(reader.num_records()):
      location = Location(shard["file"], record, 0)
      yield location, _array_read(reader, location)
    return
  whole = google_crc32c.Checksum()
  with path.open("rb") as file:

    def read(size: int) -> bytes:
      data = file.read(size)
      whole.update(data)
      return data

    record = 0
    while True:
      location = Location(shard["file"], record, file.tell())
      data = _read_record(read, location)
      if data is None:
        break
      yield location, data
      record += 1
  # Sound records may still be those of another shard.
  _check_whole_file(whole, shard)


def _read_record(
  read: Callable[[int], bytes], location: Location
) -> bytes | None:
  """Reads one TFRecord; None at the end of the file."""
  header = read(_HEADER.size)
  if not header:
    return None
  if len(header) < _HEADER.size:
    raise _damaged(location, "its header is cut short")
  length, length_crc = _HEADER.unpack(header)
  if _masked_crc(header[:8]) != length_crc:
    raise _damaged(location, "the checksum of its length does not match")
  data = read(length)
  footer = read(_FOOTER.size)
  if len(data) < length or len(footer) < _FOOTER.size:
    raise _damaged(location, "it is cut short")
  if _masked_crc(data) != _FOOTER.unpack(footer)[0]:
    raise _damaged(location, "its checksum does not match")
  return data


def _masked_crc(data: bytes) -> int:
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _damaged(location: Location, what: str) -> errors.UserError:
  return errors.UserError(
    f"shard {location.shard}, record {location.record}: {what}; the file is"
    " damaged, copy or convert it again"
  )


def _why(error: Exception) -> str:
  """What a library said, on one line."""
  return " ".join(str(error).split()) or type(error).__name__


def _check_whole_file(
  whole: google_crc32c.Checksum, shard: dict[str, Any]
) -> None:
  if _digits(whole) != shard["crc32c"]:
    raise errors.UserError(
      f"shard {shard['file']}: the file's checksum does not match the"
      " manifest's; it is damaged or not the shard of that name, copy or"
      " convert it again"
    )


def _digits(checksum: google_crc32c.Checksum) -> str:
  """Returns the 8 hexadecimal digits of the manifest."""
  return checksum.digest().hex()


def _array_reader(path: pathlib.Path) -> Any:
  try:
    from array_record.python import array_record_module
  except ImportError:
    raise errors.UserError(
      f"{path} is an ArrayRecord file and the package array_record is not"
      " installed; pip install mmer_jax[prep]"
    ) from None
  return array_record_module.ArrayRecordReader(str(path))


def _array_read(reader: Any, location: Location) -> bytes:
  try:
    (data,) = reader.read([location.record])
  except (RuntimeError, IndexError, ValueError) as error:
    raise _damaged(location, f"it cannot be read ({_why(error)})") from None
  return data


def _features(
  folder: pathlib.Path, manifest: dict[str, Any]
) -> tfds.features.FeaturesDict:
  """The features that the manifest's examples have."""
  path = folder / FEATURES
  try:
    features = tfds.features.FeaturesDict.from_config(str(folder))
  except (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    json_format.ParseError,
  ) as error:
    raise errors.UserError(
      f"{path} cannot be read ({_why(error)}); copy or convert it again"
    ) from None
  expected = {*TEXT, *manifest["modalities"], "labels", "labelled"}
  lacking = sorted(expected - set(features))
  if lacking:
    raise errors.UserError(
      f"{path} lacks {', '.join(lacking)}, which {MANIFEST} expects; copy or"
      " convert it again"
    )
  return features


class _Decoder:
  """Bytes of a record to arrays, as the manifest describes them."""

  def __init__(self, folder: pathlib.Path, manifest: dict[str, Any]):
    self._features = _features(folder, manifest)
    self._modalities = {
      name: (entry["dim"], entry["columns"])
      for name, entry in manifest["modalities"].items()
    }
    self._emotions = len(manifest["emotions"])

  def __call__(self, location: Location, data: bytes) -> dict[str, Any]:
    try:
      example = self._features.deserialize_example_np(data)
    except (ValueError, KeyError, TypeError) as error:
      raise _damaged(
        location, f"it is not an example of features.json ({_why(error)})"
      ) from None
    for key in TEXT:
      value = example[key]
      example[key] = value.decode() if isinstance(value, bytes) else str(value)
    for modality, (dim, columns) in self._modalities.items():
      frames = example[modality]
      if frames.ndim != 2 or frames.shape[1] != dim:
        raise _damaged(
          location,
          f"its {modality} stream has shape {frames.shape}, expected"
          f" (t, {dim})",
        )
      if not np.isfinite(frames).all():
        column = columns[int(np.argwhere(~np.isfinite(frames))[0, 1])]
        raise _damaged(
          location, f"its {modality} column {column} is not finite"
        )
    labels = example["labels"]
    if labels.shape != (self._emotions,) or not np.isin(labels, (0, 1)).all():
      raise _damaged(
        location,
        f"its labels are {labels.tolist()}, expected {self._emotions} of 0"
        " or 1",
      )
    return example
