"""Names the files of an export, numbers their format and signs the spec."""

import hashlib
import json
import pathlib
from typing import Any, NamedTuple

MODEL = "model.stablehlo"
TENSORS = "model.safetensors"
SPEC = "feature_spec.json"
# Only where it was asked for.
WORD_VECTORS = "word_vectors.txt"
# Raised when the meaning of `feature_spec.json` changes.
SPEC_FORMAT = 2

_CHECKSUM = "checksum"


class Ways(NamedTuple):
  """Says where a model finds what its features of text are made with.

  Attributes:
    word_vectors: A file that the user gave; None for none.
    text_encoder: The encoder that the user gave, a folder or a name; None for
      that of the training.
    shipped: The vectors in the export; None where it has none.
    shards: The shards of a workdir; None for an export.
  """

  word_vectors: pathlib.Path | None = None
  text_encoder: str | None = None
  shipped: pathlib.Path | None = None
  shards: pathlib.Path | None = None


def sign(spec: dict[str, Any]) -> dict[str, Any]:
  """Adds the checksum of a spec, by which `is_intact` knows it."""
  return {**spec, _CHECKSUM: _checksum(spec)}


def is_intact(spec: dict[str, Any]) -> bool:
  """Tells whether a spec is as it was signed; earlier ones were not."""
  return spec.get(_CHECKSUM, None) in (None, _checksum(spec))


def _checksum(spec: dict[str, Any]) -> str:
  """Computes the SHA-256 of what a spec says, not of how it is written."""
  content = {key: value for key, value in spec.items() if key != _CHECKSUM}
  text = json.dumps(content, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()
