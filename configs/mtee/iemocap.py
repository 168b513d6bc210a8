r"""MTEE on IEMOCAP: Dai et al. 2020, Table 2, row "Ours".

  python -m mmer_jax.train --config=configs/mtee/iemocap.py \
    --config.data.dir=DIR --workdir=runs/mtee_iemocap

Shards: `data_prep.convert --source=cmu_processed`, four emotions.

Target: mean accuracy 82.7 %, mean AUC 83.1 % over the four emotions, one seed
in the paper. The features are not public, so the target is not checked here.

Variants: `full` (Table 3), `utterances` (the public utterance file, four
classes under a softmax, 5 folds x 3 seeds; target 59 % mean unweighted
accuracy), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.mtee import common as mtee_common

VARIANTS = ("full", "utterances", "smoke")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = common.base()
  mtee_common.iemocap(config)
  mtee_common.model(config)
  if variant == "utterances":
    mtee_common.utterances(config)
    mtee_common.utterance_model(config)
  if variant == "smoke":
    mtee_common.smoke(config)
  return config.lock()
