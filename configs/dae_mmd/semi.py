r"""Semi-supervised on IEMOCAP: Liang et al. 2020, Table 5, rows "Ours-semi".

  python -m mmer_jax.train --config=configs/dae_mmd/semi.py:utterances \
    --config.data.dir=DIR --workdir=runs/dae_semi

A classifier is trained first and predicts the unlabelled rows, of which the
second stage takes as many of each class. Targets, WAP and UA in percent: A+V
63.7 and 61.2, A+L 72.6 and 72.1, A+V+L 75.6 and 74.5, five folds, one seed,
with 20,000 unlabelled rows of AMI. They are not checked here.

Variants: `full` (5,000 of each class), `utterances` (the public utterance
file; the rows without one of the four classes are the unlabelled ones, about
3,600 in a fold's training sessions, and 900 of each class are taken),
`quantity` (the same, Figure 7a: 0 to all unlabelled rows as runs of one
program), `smoke`.
"""

import ml_collections

from configs import common
from configs.dae_mmd import common as shared

VARIANTS = ("full", "utterances", "quantity", "smoke")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  if variant not in VARIANTS:
    raise common.unknown(variant, VARIANTS)
  config = shared.base()
  shared.semi(config, per_class=5000)
  if variant in ("utterances", "quantity"):
    shared.utterances(config)
    config.unlabelled.per_class = 900
  if variant == "quantity":
    config.sweep.unlabelled = (0, 900, 1800, 2700, 3600)
  if variant == "smoke":
    shared.smoke(config)
  return config.lock()
