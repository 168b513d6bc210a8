"""EF-LSTM and LF-LSTM: the baselines of Dai et al. 2020, Tables 1 and 2."""

import ml_collections

from mmer_jax.systems import interface, plain
from mmer_jax.systems.baselines import model


def build_ef_lstm(config: ml_collections.ConfigDict) -> interface.System:
  """Makes early fusion: one LSTM over the modalities side by side."""
  module = model.EarlyFusion(
    **config.model.to_dict(),
    modalities=tuple(config.data.modalities),
    dtype=config.compute_dtype,
  )
  return plain.build(config, module, aligned=True)


def build_lf_lstm(config: ml_collections.ConfigDict) -> interface.System:
  """Makes late fusion: one LSTM per modality, their read-outs side by side."""
  parts = config.model.to_dict()
  parts["hidden"] = {
    name: parts["hidden"][name] for name in config.data.modalities
  }
  module = model.LateFusion(**parts, dtype=config.compute_dtype)
  return plain.build(config, module)
