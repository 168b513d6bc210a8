r"""M3ER under noise, with other readings of its parts: ours, of no table.

  python -m mmer_jax.table --config=configs/m3er/noise.py:synthetic \
    --config.data.dir=DIR --workdir=runs/m3er_noise

Noise as in Table 2 of Mittal et al. 2020, and readings of what they leave open,
described in docs/papers.md: the weights of the fusion are by entropy, proxies
are linear. Trained without a check, with the check alone (as in the paper), or
with proxies too; beside M3ER as it stands in Table 2, as printed and with beta
0, and MFN alone and behind the check. The last section says what the check
finds and what modalities weigh before and after they fail.

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
CHECK: dict[str, Any] = {"repair.inference": "check"}
NEIGHBOURS: dict[str, Any] = {"repair.proxy": "knn"}
ROWS = (
  ("no check", "unchecked", {}),
  ("check at inference alone", "unchecked", CHECK),
  ("check", "checked", CHECK),
  ("check, proxies at inference", "checked", {}),
  ("check, proxies of neighbours at inference", "checked", NEIGHBOURS),
  ("check and proxies", "proxied", {}),
)
OTHERS = (
  ("M3ER (weights by the likeliest class)", "m3er", {}),
  (m3er_common.PRINTED, "m3er_printed", {}),
  (m3er_common.BETA_0, "beta_0", {}),
  (m3er_common.CHECKED_MFN, "mfn_checked", {}),
  ("MFN", "mfn", {}),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant: check and proxies in training as well."""
  config = m3er_common.get(variant)
  config.noise.kind = "gaussian"
  config.repair.training = "proxy"
  config.repair.inference = "proxy"
  config.repair.proxy = "linear"
  config.model.multiplicative.confidence = "entropy"
  return config.lock()


def get_table(
  config: ml_collections.ConfigDict, variant: str = "full"
) -> published.Table:
  """Makes the table of what check and proxies bring under noise."""
  programs = {
    name: common.changed(
      config,
      repair__training=training,
      repair__inference="none" if training == "none" else "proxy",
    )
    for name, training in PROGRAMS.items()
  }
  programs |= m3er_common.comparators(
    config,
    repair__training="check",
    repair__inference="check",
    model__multiplicative__confidence="likeliest",
  )
  rows = tuple(
    published.Row(name, program, input_transform=front)
    for name, program, front in (*ROWS, *OTHERS)
  )
  clean = published.Row(
    "check, judged without noise",
    "checked",
    input_transform={"repair.inference": "none", "noise.kind": "none"},
  )
  return published.Table(
    title="M3ER under noise",
    notes=(
      "White noise on some modalities of 75 % of the utterances, in training"
      " and test, at a ratio of powers of 0.01. Proxies are linear where a row"
      " says nothing else." + m3er_common.about(variant)
    ),
    programs=programs,
    sections=(
      published.Section(
        f"Emotion recognition ({m3er_common.split(variant)})",
        m3er_common.OVERALL,
        (*rows, clean),
        against="MFN",
      ),
      published.Section(
        "What the check finds, and what the proxies are worth",
        m3er_common.measured(config),
        tuple(row for row in rows if row.name != "MFN"),
      ),
    ),
    figures=("unchecked", "proxied"),
  )
