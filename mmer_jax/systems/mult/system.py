"""MulT: the multimodal transformer for streams that need not be aligned.

Source: Tsai, Bai, Liang, Kolter, Morency and Salakhutdinov, "Multimodal
Transformer for Unaligned Multimodal Language Sequences", ACL 2019.
"""

import ml_collections

from mmer_jax.systems import interface, plain
from mmer_jax.systems.mult import model


def build(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the system of a config."""
  parts = config.model.to_dict()
  parts["kernel"] = {
    name: parts["kernel"][name] for name in config.data.modalities
  }
  return plain.build(config, model.MulT(**parts, dtype=config.compute_dtype))
