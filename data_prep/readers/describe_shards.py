"""Describes a folder of shards and compares it with its manifest."""

import pathlib
from typing import Any

from data_prep.writing import manifest as manifest_writer
from mmer_jax.data import manifest as manifest_lib


def describe_shards(folder: pathlib.Path) -> dict[str, Any]:
  """Describes a shard folder: its manifest, its vectors, what is damaged."""
  manifest = manifest_lib.load_manifest(folder)
  damaged = []
  for shard in manifest["shards"]:
    checksum = manifest_writer.checksum(folder / shard["file"])
    if checksum != shard["crc32c"]:
      damaged.append(
        f"shard {shard['file']} has CRC32C {checksum}, expected"
        f" {shard['crc32c']}"
      )
  vectors = manifest_lib.load_emotion_vectors(folder)
  return {
    "kind": "shards",
    **manifest,
    "emotion_vectors": {
      "words": list(vectors.words),
      "dim": int(vectors.vectors.shape[1]),
    }
    if vectors
    else None,
    "damaged": damaged,
  }
