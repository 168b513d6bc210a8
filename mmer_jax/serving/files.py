"""Predicting with an export or a workdir, from plain NumPy arrays.

  model = mmer_jax.load("models/mtee")
  model.predict({"lexical": words, "acoustic": frames}).probs

Reads an export with jax, numpy and safetensors alone; a workdir needs the rest
of the package, and the shards that it was trained on.
"""

MODEL, TENSORS = "model.stablehlo", "model.safetensors"
SPEC = "feature_spec.json"
# Raised when the meaning of `feature_spec.json` changes.
SPEC_FORMAT = 2
