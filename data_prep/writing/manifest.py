"""Makes the manifest of a conversion: what was read, how, and what came out."""

import itertools
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
from mmer_jax.data import schema, word_vectors

# Words, beside those of emotions, whose vectors tell corpora apart.
_SAMPLED_WORDS = 256


def make_manifest(
  corpus: corpus_lib.Corpus,
  options: options_lib.Options,
  policy: nonfinite.Nonfinite,
  statistics: statistics_lib.Statistics,
  folder: pathlib.Path,
) -> dict[str, Any]:
  """Makes the manifest of a folder whose shards are written."""
  ratings = _ratings(corpus)
  # Part of what the fingerprint covers: a model reads them as its input.
  vectors = folder / manifest_lib.EMOTIONS
  manifest = {
    "format": schema.SHARD_FORMAT,
    "fingerprint_version": manifest_lib.FINGERPRINT_VERSION,
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
    **ratings,
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
    "tally": dict(corpus.tally),
    "nonfinite": {"policy": options.nonfinite, "counts": policy.counts()},
    "text": corpus.text,
    "normalisation": statistics.normalisation(),
    "identity": identity(corpus),
    "content": {
      "records_sha256": statistics.content_sha256(),
      "emotion_vectors_sha256": _vectors_sha256(corpus.vectors),
      # For the fingerprint, which covers this entry as a whole.
      **ratings,
    },
    "shards": _shards(folder),
  }
  return manifest_lib.sign(manifest)


def _ratings(corpus: corpus_lib.Corpus) -> dict[str, Any]:
  """Describes the ratings; nothing for a corpus without."""
  if not corpus.ratings:
    return {}
  return {"ratings": [rating._asdict() for rating in corpus.ratings]}


def identity(corpus: corpus_lib.Corpus) -> dict[str, Any]:
  """Describes what features must have in common to mean the same."""
  emotions = corpus.vectors
  vectors = dict(corpus.word_vectors)
  frequent = dict(itertools.islice(vectors.items(), _SAMPLED_WORDS))
  if emotions is not None:
    of_emotions = zip(emotions.words, emotions.vectors, strict=True)
    named = {word: vector for word, vector in of_emotions if word}
    vectors.update(named)
    frequent.update(named)
  text = corpus.text or {}
  words = {
    "word_vectors_sha256": word_vectors.digest(vectors) if vectors else None,
    "word_vectors_sample": word_vectors.sample(frequent),
  }
  if "encoder_identity" in text:
    # A word has no vector of its own, and the last bits of an emotion's are
    # those of the machine: the encoder tells corpora apart.
    words = {"text_encoder": text["encoder_identity"]}
  return {
    "columns": {m: list(e.columns) for m, e in corpus.modalities.items()},
    "padding": {m: e.padding for m, e in corpus.modalities.items()},
    "frame_rate_hz": {
      m: e.frame_rate_hz
      for m, e in corpus.modalities.items()
      if e.frame_rate_hz is not None
    },
    # Features lie in shards as they are; a model normalises what it reads.
    "normalisation": "none",
    "tokeniser": text.get("tokeniser"),
    "oov": text.get("oov_policy"),
    **words,
  }


def _vectors_sha256(vectors: schema.EmotionVectors | None) -> str | None:
  if vectors is None:
    return None
  named = zip(vectors.names, vectors.words, vectors.vectors, strict=True)
  return word_vectors.digest({f"{n}\n{w}": vector for n, w, vector in named})


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
