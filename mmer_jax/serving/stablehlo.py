"""Writes a served function as portable StableHLO."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from mmer_jax.base import errors, progress
from mmer_jax.serving import function


@progress.doing("lowering to StableHLO")
def to_stablehlo(served: function.Served, platforms: Sequence[str]) -> bytes:
  """Lowers the function once for all platforms, batch and time symbolic.

  Streams that the system needs aligned share one symbol for their time.

  Args:
    served: The function.
    platforms: Names that `jax.export` knows.

  Raises:
    UserError: The package flatbuffers is not installed.
  """
  spec = served.spec
  times = {m: "t" if spec["aligned"] else f"t_{m}" for m in spec["modalities"]}
  symbols = dict.fromkeys(["b", "k", *times.values()])
  scope = dict(
    zip(symbols, jax_export.symbolic_shape(",".join(symbols)), strict=True)
  )
  inputs: dict[str, Any] = {"features": {}, "mask": {}}
  for modality, entry in spec["modalities"].items():
    shape = scope["b"], scope[times[modality]]
    if spec["aligned"] and entry["max_length"] == 1:
      shape = scope["b"], 1
    inputs["mask"][modality] = jax.ShapeDtypeStruct(shape, jnp.bool)
    inputs["features"][modality] = jax.ShapeDtypeStruct(
      (*shape, entry["dim"]), jnp.float32
    )
  if spec["open_vocabulary"]:
    width = len(spec["emotions"][0]["vector"])
    inputs["emotions"] = jax.ShapeDtypeStruct((scope["k"], width), jnp.float32)
  if spec["acoustic_word"]:
    shape = inputs["mask"]["acoustic"].shape
    inputs["acoustic_word"] = jax.ShapeDtypeStruct(shape, jnp.int32)
  tensors = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), served.tensors
  )
  lowered = jax_export.export(jax.jit(served.call), platforms=tuple(platforms))
  try:
    return bytes(lowered(tensors, inputs).serialize())
  except ImportError:
    raise errors.UserError(
      "exporting needs the package flatbuffers, which is not installed;"
      " pip install 'mmer_jax[export]'"
    ) from None
