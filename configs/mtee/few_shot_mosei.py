r"""1 % few-shot on CMU-MOSEI: Dai et al. 2020, Table 4, all of it.

  python -m mmer_jax.table --config=configs/mtee/few_shot_mosei.py \
    --config.data.dir=DIR --workdir=runs/few_shot_mosei

Shards: as for `configs/mtee/mosei.py`. The table has the zero-shot rows too.
`python -m mmer_jax.train` with this config trains row CL alone, gradient
episodic memory; `--config.few_shot.method=fine_tune` is FT, `joint` is JT.

The paper's numbers, weighted accuracy and AUC of one seed, stand in the table.
The features are not public, so they are not checked here. The paper gives no
epochs, learning rate or size of the memory for these rows: ours.

Variants: `full` (Table 3), `synthetic` (preset `tiny_mosei` of the synthetic
corpus; all six emotions are left out in turn), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.mtee import common as mtee_common
from mmer_jax.configs.mtee import zero_shot_mosei
from mmer_jax.evaluation import published

VARIANTS = zero_shot_mosei.VARIANTS
# Row, few_shot.method, the unseen emotions' numbers, the others' average.
ROWS = (
  (
    "FT (Ours)",
    "fine_tune",
    (58.9, 61.9, 67.9, 71.5, 43.1, 43.1, 51.8, 53.9),
    (64.4, 69.8, 63.7, 68.5, 65.4, 70.7, 65.1, 71.4),
  ),
  (
    "CL (Ours)",
    "gem",
    (58.9, 61.5, 68.7, 72.8, 42.6, 42.7, 50.6, 52.5),
    (64.6, 69.8, 63.8, 68.9, 65.6, 70.9, 65.5, 71.5),
  ),
  (
    "JT (Ours)",
    "joint",
    (59.0, 61.1, 69.2, 74.2, 41.9, 41.7, 55.2, 58.1),
    (64.3, 69.3, 63.5, 68.8, 65.9, 70.8, 66.1, 71.5),
  ),
)

# Shown without early stopping too: the paper has to stop FT early, because it
# loses the source emotions (section 6.3).
UNSTOPPED = ("fine_tune", "gem")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return common.changed(
    zero_shot_mosei.get_config(variant), few_shot__method="gem"
  )


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes Table 4, and sections on what was forgotten."""
  zero_shot = zero_shot_mosei.get_table(
    common.changed(config, few_shot__method="none")
  )
  unseen, others = zero_shot.sections

  def with_few_shots(
    section: published.Section, place: int
  ) -> published.Section:
    rows = tuple(
      published.Row(row[0], row[1], zero_shot_mosei.printed(config, row[place]))
      for row in ROWS
    )
    return section._replace(rows=section.rows + rows, against="Ours")

  few_shot = {
    method: common.changed(config, few_shot__method=method)
    for _, method, _, _ in ROWS
  }
  for method in UNSTOPPED:
    few_shot[f"{method}_last"] = common.changed(
      few_shot[method], few_shot__select="last"
    )
  return published.Table(
    title="Dai et al. 2020, Table 4",
    notes=f"{zero_shot.notes} {mtee_common.FEW_SHOT_NOTES}",
    programs={
      **zero_shot.programs,
      **few_shot,
    },
    sections=(
      with_few_shots(unseen, 2),
      with_few_shots(others, 3),
      mtee_common.forgetting(
        tuple(published.Row(name, method) for name, method, _, _ in ROWS)
      ),
      mtee_common.forgetting(
        tuple(
          published.Row(name, f"{method}_last")
          for name, method, _, _ in ROWS
          if method in UNSTOPPED
        )
      )._replace(title="The same after the last epoch, without selection"),
    ),
    figures=zero_shot.figures,
    begin_with=dict.fromkeys(few_shot, "mtee"),
  )
