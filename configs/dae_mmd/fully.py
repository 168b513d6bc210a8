r"""Fully supervised on IEMOCAP: Liang et al. 2020, Table 4.

  python -m mmer_jax.table --config=configs/dae_mmd/fully.py:utterances \
    --config.data.dir=DIR --workdir=runs/dae_fully

Shards: five sessions, four classes with excited merged into happy. The table
trains every subset of the modalities; `mmer_jax.train` with the same config
trains all modalities together.

The paper's numbers, WAP and UA of five folds and one seed, stand in the table.
Its features are not public, so they are not checked here.

Variants: `full` (Table 3), `utterances` (the public utterance file converted
with `data_prep/specs/iemocap.py:4`; A and L, target for A+L 60 % UA over 5
folds x 3 seeds), `smoke`.
"""

import ml_collections

from mmer_jax.configs.dae_mmd import common as dae_mmd_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "utterances", "smoke")
# Other papers' rows, WAP and UA.
OTHERS = {
  "A": (("ARE", 54.6, 58.0), ("LSTM+Att", 55.5, 57.4)),
  "L": (("TRE", 63.5, 59.1), ("LSTM+Att", 59.0, 57.8)),
  "A+L": (
    ("MDRE", 71.8, 67.2),
    ("MDRE+Att", 69.0, 68.1),
    ("Concat", 67.1, 67.7),
    ("Alignment", 68.4, 70.9),
  ),
}


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return dae_mmd_common.get(variant, VARIANTS).lock()


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes Table 4."""
  subsets = dae_mmd_common.subsets(config, "fully")
  rows = []
  for name, (program, _) in subsets.items():
    rows += [
      published.Row(f"{name}: {other}", "", (wap, ua, None, None))
      for other, wap, ua in OTHERS.get(name, ())
    ]
    rows.append(
      dae_mmd_common.row(f"{name}: Ours", program, dae_mmd_common.FULLY[name])
    )
  programs = dict(subsets.values())
  return published.Table(
    title="Liang et al. 2020, Table 4",
    notes="Every subset is trained and judged without the other modalities.",
    programs=programs,
    sections=(
      published.Section(
        "Fully supervised",
        dae_mmd_common.COLUMNS,
        tuple(rows),
        against=f"{list(subsets)[-1]}: Ours",
      ),
    ),
    figures=tuple(programs),
  )
