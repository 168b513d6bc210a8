r"""MTEE on one's own corpus.

  python -m mmer_jax.train --config=configs/own/mtee.py \
    --config.data.dir=DIR --workdir=runs/own_mtee

Shards: any, of one modality or more, with word vectors of the emotions
(`data_prep.convert --word_vectors=FILE`). Modalities, emotions, decision,
protocol and batch size are taken from them, and printed.

Variants: `full`, `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.mtee import common as mtee_common
from mmer_jax.configs.own import common as own_common

VARIANTS = own_common.VARIANTS


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = own_common.base()
  mtee_common.model(config)
  # 0: as wide as the word vectors.
  config.model.hidden.update(lexical=0, acoustic=32, visual=32)
  config.model.layers = 1
  config.model.dropout = 0.3
  if variant == "smoke":
    own_common.smoke(config)
    config.model.hidden.update(acoustic=4, visual=3)
  return config.lock()
