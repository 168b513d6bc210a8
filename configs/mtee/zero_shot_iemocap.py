r"""Zero-shot on IEMOCAP: Dai et al. 2020, Table 5, rows "Ours".

  python -m mmer_jax.train \
    --config=configs/mtee/zero_shot_iemocap.py:utterances \
    --config.data.dir=DIR --workdir=runs/zero_shot_iemocap
  python -m mmer_jax.evaluate --workdir=runs/zero_shot_iemocap --split=test
  python -m mmer_jax.evaluate --workdir=runs/zero_shot_iemocap --split=test \
    --modalities=acoustic

Happy, sad, angry and neutral are trained on; excited, surprised and frustrated
are left out together. Targets, accuracy and F1, one seed in the paper: excited
82.0 and 56.1, surprised 78.8 and 13.1, frustrated 73.6 and 57.9 %. The paper's
features are not public, so the targets are not checked here.

Variants: `full` (Table 3, the corpus's own split), `utterances` (the public
utterance file converted with `data_prep/specs/iemocap.py:all`, 5 folds x 3
seeds, without frustrated, whose word the 25-dimensional vectors lack), `smoke`.
"""

import ml_collections

from configs import common

VARIANTS = ("full", "utterances", "smoke")
SOURCE = ("neutral", "happy", "sad", "angry")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  if variant not in VARIANTS:
    raise common.unknown(variant, VARIANTS)
  config = common.base()
  common.iemocap(config)
  common.mtee(config)
  unseen: tuple[str, ...] = ("excited", "surprised", "frustrated")
  if variant == "utterances":
    common.utterances(config)
    config.model.hidden.update(lexical=25, acoustic=64, visual=16)
    config.model.dropout = 0.3
    unseen = ("excited", "surprised")
  config.data.emotions = SOURCE + unseen
  config.protocol.decision = "binary"
  config.protocol.unseen = (unseen,)
  config.training.select = "weighted_accuracy"
  config.benchmark.emotions = len(config.data.emotions)
  if variant == "smoke":
    common.smoke(config)
    config.model.hidden.update(lexical=8, acoustic=4, visual=3)
  return config.lock()
