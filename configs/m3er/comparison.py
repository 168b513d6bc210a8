r"""M3ER against others: Mittal et al. 2020, Table 1.

  python -m mmer_jax.table --config=configs/m3er/comparison.py \
    --config.data.dir=DIR --workdir=runs/m3er

Other systems have the paper's numbers alone; MFN, alone and behind the check,
and M3ER with beta 0 and as printed are trained here beside M3ER. Features are
not public, so the paper's numbers are not checked here.

Variants: as of `ablation.py`; `full` is CMU-MOSEI, `utterances` IEMOCAP.
"""

import ml_collections

from mmer_jax.configs.m3er import common as m3er_common
from mmer_jax.evaluation import published

VARIANTS = m3er_common.VARIANTS
MOSEI = (
  ("Sahay et al. (2018)", (66.8, None)),
  ("Zadeh et al. (2018c)", (76.3, None)),
  ("Choi et al. (2018)", (89.5, None)),
)
IEMOCAP = (
  ("Kim et al. (2013)", (None, 72.8)),
  ("Majumdar et al. (2018)", (None, 76.5)),
  ("Yoon et al. (2019)", (None, 77.6)),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return m3er_common.get(variant).lock()


def get_table(
  config: ml_collections.ConfigDict, variant: str = "full"
) -> published.Table:
  """Makes Table 1, of the corpus that the variant is for."""
  others, printed = MOSEI, (90.2, 89.0)
  if variant in ("utterances", "speakers"):
    others, printed = IEMOCAP, (82.4, 82.7)
  numbers = (*printed, None, None)
  rows = [published.Row(name, "", (*each, None, None)) for name, each in others]
  rows += [
    published.Row("MFN", "mfn"),
    published.Row(m3er_common.CHECKED_MFN, "mfn_checked"),
    published.Row(m3er_common.BETA_0, "beta_0"),
    published.Row(m3er_common.PRINTED, "m3er_printed", numbers),
    published.Row("M3ER", "m3er", numbers),
  ]
  return published.Table(
    title="Mittal et al. 2020, Table 1",
    notes=(
      "F1 is support-weighted; MA is the mean over emotions of accuracy."
      + m3er_common.about(variant)
    ),
    programs=m3er_common.comparators(config),
    sections=(
      published.Section(
        f"Emotion recognition ({m3er_common.split(variant)})",
        m3er_common.OVERALL,
        tuple(rows),
        against="MFN",
      ),
    ),
    figures=("m3er",),
  )
