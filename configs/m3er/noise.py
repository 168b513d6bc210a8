r"""M3ER under noise, with a check that finds it: ours, of no table.

  python -m mmer_jax.table --config=configs/m3er/noise.py:synthetic \
    --config.data.dir=DIR --workdir=runs/m3er_noise

Noise as in Table 2 of Mittal et al. 2020; and other readings of what they leave
open, all described in docs/papers.md: the check is by likelihood, the weights
of the loss have no gradient, the weights of the fusion are by entropy, proxies
are linear. Trained without a check, with the check alone (as in the paper), or
with proxies too. The last section says what the check finds and what modalities
weigh before and after they fail.

Variants: as of `ablation.py`.
"""

from typing import Any

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.m3er import common as m3er_common
from mmer_jax.evaluation import published

VARIANTS = m3er_common.VARIANTS
# Training in front of which it stands, by program.
PROGRAMS = {"unchecked": "none", "checked": "check", "proxied": "proxy"}
NONE: dict[str, Any] = {"repair.inference": "none"}
CHECK: dict[str, Any] = {
  "repair.inference": "check",
  "repair.score": "likelihood",
}
NEIGHBOURS: dict[str, Any] = {"repair.proxy": "knn"}
ROWS = (
  ("no check", "unchecked", {}),
  ("check at inference alone", "unchecked", CHECK),
  ("check", "checked", CHECK),
  ("check, proxies at inference", "checked", {}),
  ("check, proxies of neighbours at inference", "checked", NEIGHBOURS),
  ("check and proxies", "proxied", {}),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant: check and proxies in training as well."""
  config = m3er_common.get(variant)
  config.noise.kind = "gaussian"
  config.repair.training = "proxy"
  config.repair.score = "likelihood"
  config.repair.proxy = "linear"
  config.model.multiplicative.detach_weight = True
  config.model.multiplicative.confidence = "entropy"
  return config.lock()


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes the table of what check and proxies bring under noise."""
  programs = {
    name: common.changed(
      config,
      repair__training=training,
      repair__inference="none" if training == "none" else "proxy",
    )
    for name, training in PROGRAMS.items()
  }
  rows = tuple(
    published.Row(name, program, input_transform=front)
    for name, program, front in ROWS
  )
  clean = published.Row(
    "check, judged without noise",
    "checked",
    input_transform={**NONE, "noise.kind": "none"},
  )
  return published.Table(
    title="M3ER under noise",
    notes=(
      "White noise on some modalities of 75 % of the utterances, in training"
      " and test, at a ratio of powers of 0.01. Proxies are linear where a row"
      " says nothing else."
    ),
    programs=programs,
    sections=(
      published.Section(
        "Emotion recognition",
        m3er_common.OVERALL,
        (*rows, clean),
        against="no check",
      ),
      published.Section(
        "What the check finds, and what the proxies are worth",
        m3er_common.measured(config),
        rows,
      ),
    ),
    figures=("unchecked", "proxied"),
  )
