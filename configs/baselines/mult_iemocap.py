r"""MulT on IEMOCAP: Tsai et al. 2019; Dai et al. 2020, Table 2, row "MulT".

  python -m mmer_jax.train --config=configs/baselines/mult_iemocap.py \
    --config.data.dir=DIR --workdir=runs/mult_iemocap

Shards: as for `configs/mtee/iemocap.py`; streams of different lengths too.
Target: mean accuracy 81.3 %, mean AUC 82.5 % over the emotions, one seed in
Dai et al. 2020, who ran the published code; the features are not public, so it
is not checked here. Hyper-parameters: see `common.py`.

Variants: `full`, `utterances` (the public utterance file, four classes under a
softmax, 5 folds x 3 seeds), `smoke`.
"""

import ml_collections

from mmer_jax.configs.baselines import common

VARIANTS = common.VARIANTS["iemocap"]


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.get("mult", "iemocap", variant)
