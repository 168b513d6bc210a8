"""Reads and verifies the manifest and the emotion vectors of shard folders."""

import hashlib
import io
import json
import pathlib
import zipfile
from typing import Any

import google_crc32c
import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import schema, tfrecord

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


def fingerprint(manifest: dict[str, Any]) -> str:
  """Computes the SHA-256 of a manifest's canonical JSON, without its own."""
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
      f"{path} is not JSON ({tfrecord.reason(error)}); convert the corpus again"
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
    and tfrecord.checksum_hex(google_crc32c.Checksum(content)) != expected
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
      f"{path} cannot be read ({tfrecord.reason(error)}); convert the corpus"
      " again"
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
