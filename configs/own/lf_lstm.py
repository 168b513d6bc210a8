r"""LF-LSTM on one's own corpus: an LSTM a modality, side by side.

  python -m mmer_jax.train --config=configs/own/lf_lstm.py \
    --config.data.dir=DIR --workdir=runs/own_lf_lstm

Shards: any, of one modality or more. Modalities, emotions, decision, protocol
and batch size are taken from them, and printed.

Variants: `full`, `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.own import common as own_common

VARIANTS = own_common.VARIANTS


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = own_common.base()
  config.system = "lf_lstm"
  config.model = ml_collections.ConfigDict()
  config.model.hidden = ml_collections.ConfigDict(
    {"lexical": 32, "acoustic": 32, "visual": 32}
  )
  config.model.layers = 1
  config.model.dropout = 0.3
  config.model.bidirectional = True
  if variant == "smoke":
    own_common.smoke(config)
    config.model.hidden.update(lexical=8, acoustic=4, visual=3)
  return config.lock()
