"""Names the files of an export and numbers their format."""

MODEL = "model.stablehlo"
TENSORS = "model.safetensors"
SPEC = "feature_spec.json"
# Raised when the meaning of `feature_spec.json` changes.
SPEC_FORMAT = 2
