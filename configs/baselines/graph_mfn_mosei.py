r"""Graph-MFN on CMU-MOSEI: Dai et al. 2020, Table 1, row "Graph-MFN".

  python -m mmer_jax.train --config=configs/baselines/graph_mfn_mosei.py \
    --config.data.dir=DIR --workdir=runs/graph_mfn_mosei

Shards: as for `configs/mtee/mosei.py`. Target: mean weighted accuracy 62.3 %
over the emotions, as Zadeh et al. 2018b reported it; the features are not
public, so it is not checked here. Hyper-parameters: see `common.py`.

Variants: `full`, `synthetic` (preset `tiny_mosei` of the synthetic corpus),
`smoke`.
"""

import ml_collections

from mmer_jax.configs.baselines import common

VARIANTS = common.VARIANTS["mosei"]


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.get("graph_mfn", "mosei", variant)
