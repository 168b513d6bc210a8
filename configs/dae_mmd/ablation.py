r"""What each part of the loss brings: Liang et al. 2020, Table 7.

  python -m mmer_jax.table --config=configs/dae_mmd/ablation.py:utterances \
    --config.data.dir=DIR --workdir=runs/dae_ablation

The table trains all six rows; `mmer_jax.train` with the same config trains the
fourth, fully supervised with both parts. The paper's numbers, WAP and UA for
A+V+L, stand in the table. They are not checked here. Whether the latent vectors
collapse with MMD alone (section 5) is in the figures of the losses, as
`latent_variance_*`.

Variants: `full`, `utterances` (the public utterance file, A+L), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.dae_mmd import common as dae_mmd_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "utterances", "smoke")
# Row, program, unlabelled rows, reconstruction, MMD, WAP and UA.
ROWS = (
  ("fully: neither", "none", False, False, False, (72.7, 71.5)),
  ("fully: MMD", "mmd", False, False, True, (72.0, 71.5)),
  ("fully: reconstruction", "dae", False, True, False, (72.5, 71.7)),
  ("fully: both", "both", False, True, True, (73.0, 72.5)),
  ("semi: MMD", "semi_mmd", True, False, True, (72.9, 71.5)),
  ("semi: both", "semi_both", True, True, True, (75.6, 74.5)),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return dae_mmd_common.get(variant, VARIANTS).lock()


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes Table 7."""
  weights = config.model.weights
  return published.Table(
    title="Liang et al. 2020, Table 7",
    notes="Without a part its weight is 0.",
    programs={
      program: common.changed(
        config,
        unlabelled__use=unlabelled,
        model__weights__alpha=weights.alpha * reconstruction,
        model__weights__beta=weights.beta * matching,
      )
      for _, program, unlabelled, reconstruction, matching, _ in ROWS
    },
    sections=(
      published.Section(
        "Reconstruction and distribution matching",
        dae_mmd_common.COLUMNS,
        tuple(dae_mmd_common.row(row[0], row[1], row[-1]) for row in ROWS),
        against="fully: neither",
      ),
    ),
    figures=tuple(row[1] for row in ROWS),
  )
