"""Describes a folder of shards and compares it with its manifest."""

import pathlib
from typing import Any

from data_prep.writing import manifest as manifest_writer
from mmer_jax.data import duplicates, shards
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
    "duplicates": {} if damaged else _duplicates(folder, manifest),
    "damaged": damaged,
  }


def _duplicates(
  folder: pathlib.Path, manifest: dict[str, Any]
) -> dict[str, dict[str, list[int]]]:
  """Counts texts and features that stand on two sides of a split.

  Where the corpus has no split, sessions are the sides, as the protocols have
  it that leave one out.
  """
  keys, splits, sessions = [], [], []
  modalities = list(manifest["modalities"])
  for _, example in shards.read_examples(folder):
    keys.append(duplicates.keys_of(example, modalities))
    splits.append(example["split"])
    sessions.append(example["session"])
  if any(splits):
    return duplicates.count_shared(keys, splits)
  elsewhere = duplicates.count_elsewhere(keys, sessions)
  return {
    what: {"a session in another": counts} for what, counts in elsewhere.items()
  }
