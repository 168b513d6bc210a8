r"""The multimodal models by words (Aguilar et al. 2019) on one's own corpus.

  python -m mmer_jax.train --config=configs/own/multiview.py \
    --config.data.dir=DIR --workdir=runs/own_multiview

Shards: any with words or sound. Modalities, emotions, decision, protocol and
batch size are taken from them, and printed, and so is the model: `h_mm_4` where
the shards say which word a frame is in or have one frame an utterance, `b_mm_1`
where they do not, and the like for one modality alone.

Variants: `full`, `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.multiview import common as multiview_common
from mmer_jax.configs.own import common as own_common

VARIANTS = own_common.VARIANTS


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = own_common.base()
  paper = multiview_common.base()
  config.system = paper.system
  config.model = paper.model
  config.data.max_length.acoustic = 400
  config.loss.class_weight = "none"
  config.schedule.factor = 1.0
  config.model.view = "auto"
  config.model.reading = "segment"
  config.model.contrast.confusable = ()
  config.model.words = config.data.max_length.lexical
  config.model.word_frames = 60
  config.model.update(layers=1, hidden=32, gate=32, attention=32, dropout=0.3)
  if variant == "smoke":
    own_common.smoke(config)
    config.model.update(hidden=5, gate=4, attention=3, words=4, word_frames=3)
  return config.lock()
