"""Reads and verifies the manifest and the emotion vectors of shard folders."""

import hashlib
import io
import json
import pathlib
from typing import Any

import google_crc32c
import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import npz_files, schema, tfrecord

MANIFEST = "manifest.json"
EMOTIONS = "emotions.npz"
FEATURES = "features.json"
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


# The fingerprints that are written; version 1 covered the whole manifest, names
# of files among it.
FINGERPRINT_VERSION = 2
# What a fingerprint of version 2 covers.
_CONTENT = ("format", "emotions", "label_type", "identity", "content")


def fingerprint(manifest: dict[str, Any]) -> str:
  """Computes the SHA-256 by which results name the data that a folder holds.

  It covers content: values, columns, labels, splits, policies and vectors, not
  the names of files nor how shards are cut. Folders without
  `fingerprint_version` are of version 1, which covers the whole manifest.
  """
  if manifest.get("fingerprint_version", 1) == 1:
    return _digest({k: v for k, v in manifest.items() if k != "fingerprint"})
  content = {key: manifest[key] for key in _CONTENT}
  content["nonfinite"] = manifest["nonfinite"]["policy"]
  return _digest(content)


def sign(manifest: dict[str, Any]) -> dict[str, Any]:
  """Adds the fingerprint of a manifest, and from version 2 its checksum."""
  signed = {**manifest, "fingerprint": fingerprint(manifest)}
  if manifest.get("fingerprint_version", 1) > 1:
    signed["checksum"] = _checksum(signed)
  return signed


def _checksum(manifest: dict[str, Any]) -> str:
  """Computes the SHA-256 of all entries, which finds an edited manifest."""
  return _digest({k: v for k, v in manifest.items() if k != "checksum"})


def _digest(value: Any) -> str:
  text = json.dumps(value, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()


def load_manifest(folder: pathlib.Path) -> dict[str, Any]:
  """Reads and checks `manifest.json`, and that its shards are there.

  Raises:
    UserError: The folder is not a complete, unedited shard folder of a format
      that this version reads.
  """
  path = folder / MANIFEST
  manifest = _read_manifest(folder, path)
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
  _check_signature(path, manifest)
  for shard in manifest["shards"]:
    _check_shard(folder, shard)
  return manifest


def _read_manifest(folder: pathlib.Path, path: pathlib.Path) -> Any:
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
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.UserError(
      f"{path} is not JSON ({tfrecord.reason(error)}); convert the corpus again"
    ) from None


def _check_signature(path: pathlib.Path, manifest: dict[str, Any]) -> None:
  """Compares a manifest with its fingerprint and its checksum."""
  version = manifest.get("fingerprint_version", 1)
  if version not in (1, FINGERPRINT_VERSION):
    raise errors.UserError(
      f"{path} has fingerprint_version {version}, expected at most"
      f" {FINGERPRINT_VERSION}; install a newer mmer_jax, or convert the corpus"
      " again"
    )
  try:
    signed = sign(manifest)
  except (KeyError, TypeError):
    signed = {}
  for key in ("fingerprint", "checksum")[:version]:
    if signed.get(key) != manifest.get(key) or not signed:
      raise errors.UserError(
        f"{path} does not match its own {key}: it was edited or damaged;"
        " convert the corpus again"
      )


def _check_shard(folder: pathlib.Path, shard: dict[str, Any]) -> None:
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
    and tfrecord.checksum_hex(google_crc32c.Checksum(content)) != expected
  ):
    raise errors.UserError(
      f"{path} does not match the manifest's checksum; the file is damaged,"
      " copy or convert it again"
    )
  vectors = _parse_vectors(path, content)
  _check_vectors(path, vectors, manifest["emotions"])
  return vectors


def _parse_vectors(path: pathlib.Path, content: bytes) -> schema.EmotionVectors:
  try:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
      return schema.EmotionVectors(
        tuple(str(name) for name in file["names"]),
        tuple(str(word) for word in file["words"]),
        np.asarray(file["vectors"], np.float32),
      )
  except npz_files.DAMAGE as error:
    raise errors.UserError(
      f"{path} cannot be read ({tfrecord.reason(error)}); convert the corpus"
      " again"
    ) from None


def _check_vectors(
  path: pathlib.Path, vectors: schema.EmotionVectors, emotions: list[str]
) -> None:
  names = vectors.names
  if names != tuple(emotions) or len(vectors.words) != len(names):
    raise errors.UserError(
      f"{path} is of the emotions {', '.join(names)}, expected"
      f" {', '.join(emotions)}; convert the corpus again"
    )
  table = vectors.vectors
  if table.ndim != 2 or len(table) != len(names):
    raise errors.UserError(
      f"{path} holds vectors of shape {table.shape}, expected"
      f" ({len(names)}, e); convert the corpus again"
    )
  if not np.isfinite(table).all():
    raise errors.UserError(
      f"{path} holds a vector that is not finite; convert the corpus again"
    )
