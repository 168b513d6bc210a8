r"""LF-LSTM on IEMOCAP: Dai et al. 2020, Table 2, row "LF-LSTM".

  python -m mmer_jax.train --config=configs/baselines/lf_lstm_iemocap.py \
    --config.data.dir=DIR --workdir=runs/lf_lstm_iemocap

Shards: as for `configs/mtee/iemocap.py`. Target: mean accuracy 78.7 %, mean
AUC 78.8 % over the emotions, one seed in the paper; the features are not
public, so it is not checked here. The paper gives no hyper-parameters for its
baselines: those of MTEE's Table 3 stand in.

Variants: `full`, `utterances` (the public utterance file, four classes under a
softmax, 5 folds x 3 seeds; target 61 % mean unweighted accuracy), `smoke`.
"""

import ml_collections

from configs import common

VARIANTS = ("full", "utterances", "smoke")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  if variant not in VARIANTS:
    raise common.unknown(variant, VARIANTS)
  config = common.base()
  common.iemocap(config)
  config.system = "lf_lstm"
  config.model = ml_collections.ConfigDict()
  config.model.hidden = ml_collections.ConfigDict(
    {"lexical": 300, "acoustic": 200, "visual": 100}
  )
  config.model.layers = 2
  config.model.dropout = 0.15
  config.model.bidirectional = True
  if variant == "utterances":
    common.utterances(config)
    config.model.hidden.update(lexical=32, acoustic=64, visual=16)
    config.model.dropout = 0.3
  if variant == "smoke":
    common.smoke(config)
    config.model.hidden.update(lexical=8, acoustic=4, visual=3)
  return config.lock()
