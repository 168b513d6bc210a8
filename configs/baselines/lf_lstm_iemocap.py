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

from mmer_jax.configs.baselines import common

VARIANTS = common.VARIANTS["iemocap"]


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.get("lf_lstm", "iemocap", variant)
