"""MTEE on CMU-MOSEI: Dai et al. 2020, Table 1, row "Ours".

  python -m mmer_jax.train --config=configs/mtee/mosei.py \
    --config.data.dir=DIR --workdir=runs/mtee_mosei

Shards: `data_prep.convert --source=cmu_processed`, with GloVe 840B, COVAREP and
FACET features.

Target: mean weighted accuracy 66.2 %, mean AUC 71.4 %, one seed in the paper.
The features are not public, so the target is not checked here. FACET's 35
columns hold scores of the emotions themselves: convert with
`--drop_preset=facet_emotion_scores` for numbers without them.

Variants: `full` (Table 3), `readme` (the published repository's README: batch
64, learning rate 1e-3, clip 1), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.mtee import common as mtee_common

VARIANTS = ("full", "readme", "smoke")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = common.base()
  mtee_common.mosei(config)
  mtee_common.model(config)
  if variant == "readme":
    config.training.batch_size = 64
    config.optimizer.learning_rate = 1e-3
    config.optimizer.clip_norm = 1.0
  if variant == "smoke":
    mtee_common.smoke(config)
  return config.lock()
