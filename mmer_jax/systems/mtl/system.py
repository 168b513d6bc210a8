"""MTL: contextual inter-modal attention, here for emotions alone.

Source: Akhtar, Chauhan, Ghosal, Poria, Ekbal and Bhattacharyya, "Multi-task
Learning for Multi-modal Emotion Recognition and Sentiment Analysis", NAACL
2019.
"""

import ml_collections

from mmer_jax.systems import interface, plain
from mmer_jax.systems.mtl import model


def build(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the system of a config."""
  return plain.build(
    config, model.Mtl(**config.model.to_dict(), dtype=config.compute_dtype)
  )
