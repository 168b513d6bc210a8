r"""Subsets of modalities on CMU-MOSEI: Dai et al. 2020, Table 6.

  python -m mmer_jax.table --config=configs/mtee/ablation_mosei.py \
    --config.data.dir=DIR --workdir=runs/ablation_mosei

Shards: as for `configs/mtee/mosei.py`. Every subset is trained and judged
without the other modalities; all subsets and seeds are runs of one program.

The paper's numbers, weighted accuracy of one seed, stand in the table. The
features are not public, so they are not checked here.

Variants: `full` (Table 3), `synthetic` (preset `tiny_mosei` of the synthetic
corpus), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.mtee import common as mtee_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "synthetic", "smoke")
# Row, modalities, W-Acc of each emotion.
ROWS = (
  ("T+A+V", common.MODALITIES, (67.0, 72.5, 65.4, 67.9, 62.6, 62.1)),
  ("T+A", ("lexical", "acoustic"), (65.0, 71.9, 64.8, 66.0, 63.0, 59.9)),
  ("T+V", ("lexical", "visual"), (64.9, 71.2, 66.7, 67.6, 61.0, 60.4)),
  ("A+V", ("acoustic", "visual"), (63.8, 71.1, 65.5, 64.5, 61.3, 55.2)),
  ("Only T", ("lexical",), (61.5, 69.0, 64.3, 64.2, 59.7, 61.2)),
  ("Only A", ("acoustic",), (61.9, 71.5, 66.9, 62.7, 61.0, 54.8)),
  ("Only V", ("visual",), (63.4, 69.7, 63.2, 63.2, 58.5, 53.3)),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = common.base()
  mtee_common.mosei(config)
  mtee_common.model(config)
  config.training.curve_thresholds = (0.1, 0.3, 0.5, 0.7, 0.9)
  config.sweep.modalities = tuple(modalities for _, modalities, _ in ROWS)
  if variant == "synthetic":
    mtee_common.synthetic(config)
  if variant == "smoke":
    mtee_common.smoke(config)
  return config.lock()


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes Table 6."""
  return published.Table(
    title="Dai et al. 2020, Table 6",
    notes="The runs of a row never saw the other modalities.",
    programs={"mtee": config},
    sections=(
      published.Section(
        "Weighted accuracy",
        (
          *(
            published.of_emotion(emotion, emotion, "weighted_accuracy")
            for emotion in common.MOSEI_EMOTIONS
          ),
          published.of_all("average", "weighted_accuracy"),
        ),
        tuple(
          published.Row(
            name,
            "mtee",
            (*numbers, None),
            setting={"modalities": "+".join(modalities)},
          )
          for name, modalities, numbers in ROWS
        ),
        against="T+A+V",
      ),
    ),
    figures=("mtee",),
  )
