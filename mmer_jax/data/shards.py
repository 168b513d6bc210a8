"""Shard folders to decoded examples: no TensorFlow, every checksum verified.

A TFRecord file is a sequence of: length (8 bytes, little endian), masked
CRC32C of the length (4), data, masked CRC32C of the data (4). The mask is a
rotation to the right by 15 bits plus 0xa282ead8.
"""

import hashlib
import json
import pathlib
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import google_crc32c
import numpy as np
import tensorflow_datasets as tfds

from mmer_jax import errors
from mmer_jax.data import schema

MANIFEST = "manifest.json"
EMOTIONS = "emotions.npz"

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_KEYS = (
  "format",
  "name",
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
      f"{path} is not JSON ({error}); convert the corpus again"
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
  """Reads `emotions.npz`; None where the shards have no word vectors."""
  path = folder / EMOTIONS
  if not path.exists():
    return None
  try:
    with np.load(path, allow_pickle=False) as file:
      names = tuple(str(name) for name in file["names"])
      words = tuple(str(word) for word in file["words"])
      vectors = np.asarray(file["vectors"], np.float32)
  except (OSError, KeyError, ValueError) as error:
    raise errors.UserError(
      f"{path} cannot be read ({error}); convert the corpus again"
    ) from None
  if vectors.shape[:1] != (len(names),) or not np.isfinite(vectors).all():
    raise errors.UserError(
      f"{path} holds {vectors.shape} vectors of {len(names)} emotions,"
      " expected a finite one each; convert the corpus again"
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
  """Reads single records by location, checksums verified each time."""

  def __init__(self, folder: pathlib.Path):
    """Opens nothing yet."""
    self._folder = folder
    manifest = load_manifest(folder)
    self._decode = _Decoder(folder, manifest)
    self._format = manifest["file_format"]
    self._files: dict[str, Any] = {}

  def read(self, location: Location) -> dict[str, Any]:
    """Returns the decoded example."""
    path = self._folder / location.shard
    if self._format == "array_record":
      if location.shard not in self._files:
        self._files[location.shard] = _array_reader(path)
      data = _array_read(self._files[location.shard], location)
    else:
      if location.shard not in self._files:
        self._files[location.shard] = path.open("rb")
      file = self._files[location.shard]
      file.seek(location.offset)
      data = _read_record(file, location)
      assert data is not None
    return self._decode(location, data)


def _records(
  folder: pathlib.Path, shard: dict[str, Any], file_format: str
) -> Iterator[tuple[Location, bytes]]:
  path = folder / shard["file"]
  if file_format == "array_record":
    _check_whole_file(path, shard)
    reader = _array_reader(path)
    for record in range(reader.num_records()):
      location = Location(shard["file"], record, 0)
      yield location, _array_read(reader, location)
    return
  with path.open("rb") as file:
    record = 0
    while True:
      location = Location(shard["file"], record, file.tell())
      data = _read_record(file, location)
      if data is None:
        return
      yield location, data
      record += 1


def _read_record(file: BinaryIO, location: Location) -> bytes | None:
  """Reads one TFRecord; None at the end of the file."""
  header = file.read(_HEADER.size)
  if not header:
    return None
  if len(header) < _HEADER.size:
    raise _damaged(location, "its header is cut short")
  length, length_crc = _HEADER.unpack(header)
  if _masked_crc(header[:8]) != length_crc:
    raise _damaged(location, "the checksum of its length does not match")
  data = file.read(length)
  footer = file.read(_FOOTER.size)
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


def _check_whole_file(path: pathlib.Path, shard: dict[str, Any]) -> None:
  """ArrayRecord's reader verifies chunks, not every byte of the file."""
  checksum = google_crc32c.Checksum()
  with path.open("rb") as file:
    while block := file.read(1 << 20):
      checksum.update(block)
  if checksum.digest().hex() != shard["crc32c"]:
    raise errors.UserError(
      f"shard {shard['file']}: its checksum does not match the manifest's; the"
      " file is damaged, copy or convert it again"
    )


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
    raise _damaged(location, f"it cannot be read ({error})") from None
  return data


class _Decoder:
  """Bytes of a record to arrays, as the manifest describes them."""

  def __init__(self, folder: pathlib.Path, manifest: dict[str, Any]):
    self._features = tfds.features.FeaturesDict.from_config(str(folder))
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
        location, f"it is not an example of features.json ({error})"
      ) from None
    for key in ("id", "speaker", "session", "dialogue", "split"):
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
