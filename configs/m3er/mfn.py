r"""The memory fusion network (Zadeh et al. 2018a), sized as in M3ER.

  python -m mmer_jax.train --config=configs/m3er/mfn.py \
    --config.data.dir=DIR --workdir=runs/mfn

Of no table of Mittal et al. 2020: what M3ER is without its fusion, its losses,
its check and its proxies. Variants: as of `ablation.py`.
"""

import ml_collections

from mmer_jax.configs.m3er import common as m3er_common

VARIANTS = m3er_common.VARIANTS


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return m3er_common.mfn(m3er_common.get(variant))
