"""Names the files of an export, numbers their format and signs the spec."""

import hashlib
import json
from typing import Any

MODEL = "model.stablehlo"
TENSORS = "model.safetensors"
SPEC = "feature_spec.json"
# Raised when the meaning of `feature_spec.json` changes.
SPEC_FORMAT = 2

_CHECKSUM = "checksum"


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
