r"""DAE + MMD on one's own corpus.

  python -m mmer_jax.train --config=configs/own/dae_mmd.py \
    --config.data.dir=DIR --workdir=runs/own_dae_mmd

Shards: any, of one modality or more. Modalities, emotions, decision, protocol
and batch size are taken from them, and printed. Frames of sound and faces are
averaged; texts of several words have the paper's convolutions. With
--config.unlabelled.use=True rows without a label are learnt from too.

Variants: `full`, `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.dae_mmd import common as dae_mmd_common
from mmer_jax.configs.own import common as own_common

VARIANTS = own_common.VARIANTS


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = own_common.base()
  paper = dae_mmd_common.base()
  config.system = paper.system
  config.model = paper.model
  config.data.normalise = common.MODALITIES
  config.data.max_length.lexical = 20
  config.loss.class_weight = "none"
  config.schedule.factor = 1.0
  config.optimizer.learning_rate = 1e-3
  config.unlabelled.per_class = 0
  config.model.dense = ml_collections.ConfigDict(
    {"acoustic": (256, 64), "visual": (256, 64)}
  )
  del config.model.sequence.visual
  # 0: as many as the longest text has words, up to max_length.
  config.model.sequence.lexical.update(steps=0, sizes=(128, 64))
  config.model.blocks = 1
  config.model.classifier = 64
  if variant == "smoke":
    own_common.smoke(config)
    config.model.dense.update(acoustic=(12, 8), visual=(12, 8))
    config.model.sequence.lexical.sizes = (16, 8)
    config.model.update(heads=2, classifier=8)
  return config.lock()
