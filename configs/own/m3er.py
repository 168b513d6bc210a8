r"""M3ER on one's own corpus.

  python -m mmer_jax.train --config=configs/own/m3er.py \
    --config.data.dir=DIR --workdir=runs/own_m3er

Shards: any, of one modality or more. Modalities, emotions, decision, protocol
and batch size are taken from them, and printed. The check scores by likelihood
and discards; `repair.inference=proxy` regenerates too, by linear maps. All of
that is ours, see docs/papers.md.

Variants: `full`, `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.m3er import common as m3er_common
from mmer_jax.configs.own import common as own_common

VARIANTS = own_common.VARIANTS


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = own_common.base()
  paper = m3er_common.base()
  config.system = paper.system
  config.model = paper.model
  config.data.normalise = common.MODALITIES
  config.model.update(memory=32, attention=64, proposal=32, gate=32)
  # Safe for two of the modalities and 20 emotions: Eq. 3.
  config.model.multiplicative.beta = 0.3
  config.repair.update(
    training="check",
    inference="check",
    # What can be exported.
    proxy="linear",
    components=30,
  )
  config.loss.class_weight = "none"
  config.schedule.factor = 1.0
  if variant == "smoke":
    own_common.smoke(config)
    config.model.update(
      hidden=4, memory=5, attention=6, proposal=6, gate=6, classifier=6
    )
    config.repair.update(m3er_common.SMOKE_REPAIR)
  return config.lock()
