r"""MTL on CMU-MOSEI: Dai et al. 2020, Table 1, row "MTL".

  python -m mmer_jax.train --config=configs/baselines/mtl_mosei.py \
    --config.data.dir=DIR --workdir=runs/mtl_mosei

Shards: as for `configs/mtee/mosei.py`. Target: mean weighted accuracy 62.8 %
as Akhtar et al. 2019 reported it, mean AUC 63.6 % as Dai et al. 2020 ran it;
the features are not public, so it is not checked here. One task and the context
of words instead of utterances: see `mmer_jax/systems/mtl/model.py`.
Hyper-parameters: see `common.py`.

Variants: `full`, `synthetic` (preset `tiny_mosei` of the synthetic corpus),
`smoke`.
"""

import ml_collections

from mmer_jax.configs.baselines import common

VARIANTS = common.VARIANTS["mosei"]


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.get("mtl", "mosei", variant)
