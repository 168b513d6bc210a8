r"""EF-LSTM on IEMOCAP: Dai et al. 2020, Table 2, row "EF-LSTM".

  python -m mmer_jax.train --config=configs/baselines/ef_lstm_iemocap.py \
    --config.data.dir=DIR --workdir=runs/ef_lstm_iemocap

Shards: as for `configs/mtee/iemocap.py`. Target: mean accuracy 78.1 %, mean
AUC 80.2 % over the emotions, one seed in the paper; the features are not
public, so it is not checked here. The paper gives no hyper-parameters for its
baselines: those of MTEE's Table 3 stand in.

Variants: `full`, `utterances` (the public utterance file, four classes under a
softmax, 5 folds x 3 seeds), `smoke`.
"""

import ml_collections

from mmer_jax.configs.baselines import common

VARIANTS = common.VARIANTS["iemocap"]


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.get("ef_lstm", "iemocap", variant)
