r"""MulT on CMU-MOSEI: Tsai et al. 2019, six emotions one by one.

  python -m mmer_jax.train --config=configs/baselines/mult_mosei.py \
    --config.data.dir=DIR --workdir=runs/mult_mosei

Shards: as for `configs/mtee/mosei.py`; streams of different lengths too. Of no
table: Tsai et al. 2019 report the sentiment of CMU-MOSEI, Dai et al. 2020 have
MulT on IEMOCAP alone. Hyper-parameters: see `common.py`.

Variants: `full`, `synthetic` (preset `tiny_mosei` of the synthetic corpus),
`smoke`.
"""

import ml_collections

from mmer_jax.configs.baselines import common

VARIANTS = common.VARIANTS["mosei"]


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.get("mult", "mosei", variant)
