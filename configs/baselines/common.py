"""Makes the configs of the LSTM baselines of Dai et al. 2020.

The paper gives no hyper-parameters for its baselines: those of MTEE's Table 3
stand in, on the corpora of MTEE's configs.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.mtee import common as mtee_common

# Corpus to the variants that it has.
VARIANTS = {
  "mosei": ("full", "smoke"),
  "iemocap": ("full", "utterances", "smoke"),
}


def get(system: str, corpus: str, variant: str) -> ml_collections.ConfigDict:
  """Makes the config of a baseline on a corpus.

  Args:
    system: `ef_lstm` (early fusion) or `lf_lstm` (late fusion).
    corpus: A key of `VARIANTS`.
    variant: One of the corpus's variants.

  Raises:
    ValueError: There is no such variant.
  """
  common.check_variant(variant, VARIANTS[corpus])
  config = common.base()
  getattr(mtee_common, corpus)(config)
  config.system = system
  config.model = ml_collections.ConfigDict()
  config.model.hidden = _hidden(system, variant)
  config.model.layers = 2
  config.model.dropout = 0.15
  config.model.bidirectional = True
  if variant == "utterances":
    mtee_common.utterances(config)
    config.model.dropout = 0.3
  if variant == "smoke":
    common.smoke(config)
  return config.lock()


def _hidden(system: str, variant: str) -> int | ml_collections.ConfigDict:
  """Gives one size for early fusion, one of each modality for late fusion."""
  if system == "ef_lstm":
    return {"full": 300, "utterances": 64, "smoke": 8}[variant]
  sizes = {
    "full": {"lexical": 300, "acoustic": 200, "visual": 100},
    "utterances": {"lexical": 32, "acoustic": 64, "visual": 16},
    "smoke": {"lexical": 8, "acoustic": 4, "visual": 3},
  }
  return ml_collections.ConfigDict(sizes[variant])
