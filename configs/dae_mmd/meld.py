r"""MELD: Liang et al. 2020, Table 6.

  python -m mmer_jax.table --config=configs/dae_mmd/meld.py:semi \
    --config.data.dir=DIR --workdir=runs/dae_meld

Shards: `data_prep/specs/meld.py`; of variant `semi` with unlabelled rows, which
the row "Ours-semi" needs, such as AMI's of `--source=ami --crop=3.5`. The
paper's numbers, weighted F1 of one seed, stand in the table. Its features are
not public, so they are not checked here.

Variants: `full`, `semi`, `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.dae_mmd import common as dae_mmd_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "semi", "smoke")
# Other papers' weighted F1 of A, L and A+L.
OTHERS = (
  ("MFN", (None, None, 54.7)),
  ("CMN", (38.3, 54.5, 55.5)),
  ("ICON", (37.7, 54.6, 56.3)),
  ("BC-LSTM", (36.4, 54.3, 56.8)),
  ("DialogueRNN", (34.0, 55.1, 57.0)),
  ("ConGCN without context", (39.2, 54.3, 57.1)),
  ("ConGCN without speaker", (37.3, 55.3, 57.4)),
  ("ConGCN", (42.2, 57.4, 59.4)),
)
FULLY = (40.2, 53.0, 56.1)
SEMI = (None, None, 57.1)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = dae_mmd_common.base()
  dae_mmd_common.meld(config)
  if variant == "semi":
    config.unlabelled.use = True
  if variant == "smoke":
    dae_mmd_common.smoke(config)
  return config.lock()


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes Table 6; its last row where the config uses unlabelled rows."""
  subsets = {name: dae_mmd_common.SUBSETS[name] for name in ("A", "L", "A+L")}
  both = "A+L"
  columns = tuple(
    published.of_all(name, "weighted_f1", modalities="+".join(each))
    for name, each in subsets.items()
  )
  rows = [published.Row(name, "", printed) for name, printed in OTHERS]
  rows.append(published.Row("Ours-fully", "fully", FULLY))
  programs = {
    "fully": common.changed(
      config,
      unlabelled__use=False,
      sweep__modalities=tuple(subsets.values()),
    )
  }
  if config.unlabelled.use:
    programs["semi"] = common.changed(
      config, sweep__modalities=(subsets[both],)
    )
    rows.append(published.Row("Ours-semi", "semi", SEMI))
  return published.Table(
    title="Liang et al. 2020, Table 6",
    notes="Every subset is trained and judged without the other modality.",
    programs=programs,
    sections=(
      published.Section(
        "Weighted F1", columns, tuple(rows), against="Ours-fully"
      ),
    ),
    figures=tuple(programs),
  )
