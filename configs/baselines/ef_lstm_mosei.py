r"""EF-LSTM on CMU-MOSEI: Dai et al. 2020, Table 1, row "EF-LSTM".

  python -m mmer_jax.train --config=configs/baselines/ef_lstm_mosei.py \
    --config.data.dir=DIR --workdir=runs/ef_lstm_mosei

Shards: as for `configs/mtee/mosei.py`. Target: mean weighted accuracy 56.6 %,
mean AUC 63.0 % over the emotions, one seed in the paper; the features are not
public, so it is not checked here. The paper gives no hyper-parameters for its
baselines: those of MTEE's Table 3 stand in.

Variants: `full`, `synthetic` (preset `tiny_mosei` of the synthetic corpus),
`smoke`.
"""

import ml_collections

from mmer_jax.configs.baselines import common

VARIANTS = common.VARIANTS["mosei"]


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.get("ef_lstm", "mosei", variant)
