r"""MTL on IEMOCAP: Akhtar et al. 2019, four emotions one by one.

  python -m mmer_jax.train --config=configs/baselines/mtl_iemocap.py \
    --config.data.dir=DIR --workdir=runs/mtl_iemocap

Shards: as for `configs/mtee/iemocap.py`. Of no table: Dai et al. 2020 have
MTL on CMU-MOSEI alone. Hyper-parameters: see `common.py`.

Variants: `full`, `utterances` (the public utterance file, four classes under a
softmax, 5 folds x 3 seeds), `smoke`.
"""

import ml_collections

from mmer_jax.configs.baselines import common

VARIANTS = common.VARIANTS["iemocap"]


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.get("mtl", "iemocap", variant)
