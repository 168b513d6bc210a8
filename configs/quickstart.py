r"""MTEE on the synthetic corpus: the whole road in a minute or two.

  make quickstart

Five sessions of two speakers, four emotions, three modalities, some of them
absent. Three folds that leave a session out, two seeds: six runs in one
program. There is no published number to meet; chance is 25 %.

Variants: `full`, `smoke`.
"""

import ml_collections

from configs import common

VARIANTS = ("full", "smoke")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  if variant not in VARIANTS:
    raise common.unknown(variant, VARIANTS)
  config = common.base()
  config.system = "mtee"
  config.seeds = (0, 1)
  # The corpus's longest.
  config.data.max_length.update(lexical=0, acoustic=0, visual=0)
  config.protocol.split = "leave_one_session_out"
  config.protocol.folds = (1, 2, 3)
  config.protocol.decision = "softmax"
  config.training.epochs = 15
  config.training.early_stopping = 5
  config.training.select = "unweighted_accuracy"
  config.benchmark.dims.update(lexical=25, acoustic=20, visual=12)
  config.benchmark.emotions = 4
  config.benchmark.vector_dim = 25
  config.model = ml_collections.ConfigDict()
  config.model.hidden = ml_collections.ConfigDict(
    {"lexical": 25, "acoustic": 16, "visual": 12}
  )
  config.model.layers = 2
  config.model.dropout = 0.15
  config.model.readout = "last"
  config.model.absent = "drop"
  config.model.fusion = "weighted_sum"
  config.model.multiplicative = common.multiplicative()
  if variant == "smoke":
    common.smoke(config)
    config.model.hidden.update(lexical=8, acoustic=4, visual=3)
  return config.lock()
