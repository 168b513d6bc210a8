r"""Check and proxies in front of systems that know nothing of them.

  python -m mmer_jax.table --config=configs/m3er/robust.py:synthetic \
    --config.data.dir=DIR --workdir=runs/robust

Mittal et al. 2020 say that the method works on top of existing networks and
show none. MTEE, DAE + MMD and the memory fusion network are trained on clean
data as they are, and M3ER, also with beta 0 and as printed, behind its check;
then noise, the check and the proxies are put in front of their test rows. Of no
table.

Variants: `full` (CMU-MOSEI), `utterances` (IEMOCAP's public utterance file),
`synthetic` (preset `tiny_mosei`), `smoke`.
"""

from typing import Any

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.dae_mmd import common as dae_mmd_common
from mmer_jax.configs.m3er import common as m3er_common
from mmer_jax.configs.mtee import common as mtee_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "utterances", "synthetic", "smoke")
# Variant to the layers of each auto-encoder: the paper's, and ours.
DENSE = {
  "full": (512, 256, 128),
  "utterances": (64, 32),
  "synthetic": (64, 32),
  "smoke": (4, 3),
}
# Programs of M3ER's folder: what it is built on, and what stands beside it.
SHOWN = {
  "mfn": "MFN",
  "m3er": "M3ER",
  "beta_0": m3er_common.BETA_0,
  "m3er_printed": m3er_common.PRINTED,
}
NOISY = {"noise.kind": "gaussian"}
UNCHECKED = {"repair.inference": "none"}
CHECKED = {**NOISY, "repair.inference": "check"}
PROXIED = {**NOISY, "repair.inference": "proxy"}
CONDITIONS: dict[str, dict[str, Any]] = {
  "clean": UNCHECKED,
  "noisy": {**NOISY, **UNCHECKED},
  "noisy + check": CHECKED,
  "noisy + check + proxy": {**PROXIED, "repair.proxy": "linear"},
  "noisy + check + proxy of neighbours": {**PROXIED, "repair.proxy": "knn"},
}


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes MTEE in a variant; the table trains DAE + MMD on the same rows."""
  common.check_variant(variant, VARIANTS)
  config = common.base()
  mtee_common.model(config)
  mtee_common.mosei(config)
  config.seeds = (0, 1, 2, 3, 4)
  config.protocol.split = "random"
  config.protocol.allow_speaker_overlap = True
  if variant == "utterances":
    mtee_common.utterances(config)
    config.protocol.split = "random"
    config.model.hidden.update(lexical=25, acoustic=16, visual=12)
  if variant == "synthetic":
    mtee_common.synthetic(config)
  if variant == "smoke":
    common.smoke(config)
    config.model.hidden.update(lexical=8, acoustic=4, visual=4)
    config.repair.update(m3er_common.SMOKE_REPAIR)
  return config.lock()


def get_table(
  config: ml_collections.ConfigDict, variant: str = "full"
) -> published.Table:
  """Makes a table of systems by condition; DAE + MMD is sized by variant."""
  programs = {
    "mtee": config,
    "dae_mmd": _dae_mmd(config, variant),
    **_m3er(config, variant),
  }
  rows = [
    published.Row(f"{name}: {condition}", name, input_transform=front)
    for name in programs
    for condition, front in CONDITIONS.items()
  ]
  repaired = [row for row in rows if "repair.inference" in row.input_transform]
  return published.Table(
    title="The check and the proxies of Mittal et al. 2020 before any system",
    notes=(
      "Trained on clean rows; noise on 75 % of the test rows. Proxies are"
      " linear where a row says nothing else." + m3er_common.about(variant)
    ),
    programs=programs,
    sections=(
      *(
        published.Section(
          f"{SHOWN.get(name, name)} ({m3er_common.split(variant)})",
          m3er_common.OVERALL,
          tuple(row for row in rows if row.program == name),
          against=f"{name}: noisy",
        )
        for name in programs
      ),
      published.Section(
        "What the check finds", m3er_common.measured(config), tuple(repaired)
      ),
    ),
  )


def _m3er(
  config: ml_collections.ConfigDict, variant: str
) -> dict[str, ml_collections.ConfigDict]:
  """Makes M3ER and its comparators on a config's rows."""
  own = m3er_common.get(variant).to_dict()
  # What a command line may have changed of the corpus and of the runs.
  for key in ("seeds", "protocol", "noise"):
    own[key] = config.to_dict()[key]
  own["data"] = {
    **config.data.to_dict(),
    "normalise": tuple(config.data.modalities),
  }
  programs = m3er_common.comparators(ml_collections.ConfigDict(own))
  return {name: programs[name] for name in SHOWN}


def _dae_mmd(
  config: ml_collections.ConfigDict, variant: str
) -> ml_collections.ConfigDict:
  """Makes DAE + MMD on a config's rows: dense auto-encoders throughout."""
  other = dae_mmd_common.base()
  model = other.model.to_dict()
  model["dense"] = dict.fromkeys(config.data.modalities, DENSE[variant])
  model["sequence"] = {}
  changed = {
    **config.to_dict(),
    "system": "dae_mmd",
    "model": model,
    "optimizer": other.optimizer.to_dict(),
    "schedule": other.schedule.to_dict(),
  }
  changed["data"] = {
    **config.data.to_dict(),
    "normalise": tuple(config.data.modalities),
  }
  return ml_collections.ConfigDict(changed).lock()
