r"""MELD: Liang et al. 2020, Table 6, rows "Ours-fully" and "Ours-semi".

  python -m mmer_jax.train --config=configs/dae_mmd/meld.py \
    --config.data.dir=DIR --workdir=runs/dae_meld

Shards: `data_prep/specs/meld.py`. Targets, weighted F1 in percent: A 40.2, L
53.0, A+L 56.1, and A+L 57.1 semi-supervised, one seed. The paper's features
are not public, so the targets are not checked here.

Variants: `full`, `semi`, `smoke`.
"""

import ml_collections

from configs import common
from configs.dae_mmd import common as shared

VARIANTS = ("full", "semi", "smoke")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  if variant not in VARIANTS:
    raise common.unknown(variant, VARIANTS)
  config = shared.base()
  shared.meld(config)
  if variant == "semi":
    shared.semi(config, per_class=5000)
  if variant == "smoke":
    shared.smoke(config)
  return config.lock()
