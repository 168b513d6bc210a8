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

from configs import common

VARIANTS = ("full", "utterances", "smoke")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  if variant not in VARIANTS:
    raise common.unknown(variant, VARIANTS)
  config = common.base()
  common.iemocap(config)
  common.mtee(config)
  if variant == "utterances":
    common.utterances(config)
    config.model.hidden.update(lexical=25, acoustic=64, visual=16)
    config.model.dropout = 0.3
  if variant == "smoke":
    common.smoke(config)
    config.model.hidden.update(lexical=8, acoustic=4, visual=3)
  return config.lock()
