"""Makes the manifest of a conversion: what was read, how, and what came out."""

import json
import pathlib
from typing import Any

import google_crc32c

from data_prep.corpus import corpus as corpus_lib
from data_prep.corpus import nonfinite
from data_prep.writing import options as options_lib
from data_prep.writing import statistics as statistics_lib
from mmer_jax.base import version
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import schema


def make_manifest(
  corpus: corpus_lib.Corpus,
  options: options_lib.Options,
  policy: nonfinite.Nonfinite,
  statistics: statistics_lib.Statistics,
  folder: pathlib.Path,
) -> dict[str, Any]:
  """Makes the manifest of a folder whose shards are written."""
  # Part of what the fingerprint covers: a model reads them as its input.
  vectors = folder / manifest_lib.EMOTIONS
  manifest = {
    "format": schema.SHARD_FORMAT,
    "name": corpus.name,
    "source": corpus.source,
    "layout": corpus.layout,
    "converter": {
      "version": version.__version__,
      "options": {
        **corpus.options,
        "nonfinite": options.nonfinite,
        "num_shards": options.num_shards,
        "file_format": options.file_format,
        "emotion_vectors_crc32c": checksum(vectors)
        if vectors.is_file()
        else None,
      },
    },
    "file_format": options.file_format,
    "emotions": list(corpus.emotions),
    "label_type": corpus.label_type,
    "modalities": {
      name: {
        "dim": modality.dim,
        "columns": list(modality.columns),
        "max_length": statistics.max_length[name],
        "padding": modality.padding,
      }
      for name, modality in corpus.modalities.items()
    },
    "counts": statistics.counts(),
    "nonfinite": {"policy": options.nonfinite, "counts": policy.counts()},
    "text": corpus.text,
    "normalisation": statistics.normalisation(),
    "shards": _shards(folder),
  }
  return {**manifest, "fingerprint": manifest_lib.fingerprint(manifest)}


def _shards(folder: pathlib.Path) -> list[dict[str, Any]]:
  info = json.loads((folder / "dataset_info.json").read_text())
  (split,) = info["splits"]
  lengths = [int(length) for length in split["shardLengths"]]
  paths = sorted(folder.glob(f"*-{schema.TFDS_SPLIT}.*-of-*"))
  return [
    {
      "file": path.name,
      "bytes": path.stat().st_size,
      "crc32c": checksum(path),
      "examples": length,
    }
    for path, length in zip(paths, lengths, strict=True)
  ]


def checksum(path: pathlib.Path) -> str:
  """Computes the CRC32C of a whole file, 8 hexadecimal digits."""
  crc = google_crc32c.Checksum()
  with path.open("rb") as file:
    while block := file.read(1 << 20):
      crc.update(block)
  return crc.hexdigest().decode()
