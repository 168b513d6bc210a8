r"""What each part of the loss brings: Liang et al. 2020, Table 7.

  python -m mmer_jax.train --config=configs/dae_mmd/ablation.py:mmd \
    --config.data.dir=DIR --workdir=runs/dae_mmd_alone

Targets, WAP and UA in percent, for A+V+L: fully supervised without both 72.7
and 71.5, MMD alone 72.0 and 71.5, reconstruction alone 72.5 and 71.7, both
73.0 and 72.5; semi-supervised with MMD alone 72.9 and 71.5, with both 75.6 and
74.5. They are not checked here. Whether the latent vectors collapse with MMD
alone (section 5) is in `train_latent_variance_*` of `metrics.jsonl`.

Variants: `none`, `mmd`, `reconstruction`, `both`, `semi_mmd`, `semi_both`; each
on the public utterance file as `utterances_none` and so on; `smoke`.
"""

import ml_collections

from configs import common
from configs.dae_mmd import common as shared

# Whether there is reconstruction, whether there is matching.
ROWS = {
  "none": (False, False),
  "mmd": (False, True),
  "reconstruction": (True, False),
  "both": (True, True),
  "semi_mmd": (False, True),
  "semi_both": (True, True),
}
VARIANTS = (*ROWS, *(f"utterances_{row}" for row in ROWS), "smoke")


def get_config(variant: str = "both") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  if variant not in VARIANTS:
    raise common.unknown(variant, VARIANTS)
  config = shared.base()
  row = variant.removeprefix("utterances_")
  if row.startswith("semi"):
    shared.semi(config, per_class=5000)
  if row != variant:
    shared.utterances(config)
    config.unlabelled.per_class = min(config.unlabelled.per_class, 900)
  if variant == "smoke":
    shared.smoke(config)
    row = "mmd"
  reconstruction, matching = ROWS[row]
  if not reconstruction:
    config.model.weights.alpha = 0.0
  if not matching:
    config.model.weights.beta = 0.0
  return config.lock()
