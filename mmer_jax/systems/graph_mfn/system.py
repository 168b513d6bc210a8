"""Graph-MFN: the memory fusion network with a dynamic fusion graph.

Source: Zadeh, Liang, Poria, Cambria and Morency, "Multimodal Language Analysis
in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic Fusion Graph", ACL 2018
(2018b).
"""

import ml_collections

from mmer_jax.systems import interface, memory_fusion, plain
from mmer_jax.systems.graph_mfn import model


def build(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the system of a config."""
  parts = config.model.to_dict()
  classifier = parts.pop("classifier")
  encoder = model.GraphFusion(**parts, dtype=config.compute_dtype)
  return plain.build(
    config, memory_fusion.Mfn(encoder=encoder, classifier=classifier)
  )
