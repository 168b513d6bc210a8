r"""Semi-supervised on IEMOCAP: Liang et al. 2020, Table 5.

  python -m mmer_jax.table --config=configs/dae_mmd/semi.py:utterances \
    --config.data.dir=DIR --workdir=runs/dae_semi

A classifier is trained first and predicts the unlabelled rows, of which the
second stage takes as many of each class; shards of AMI go to
`--config.unlabelled.dir=DIR`. The paper's numbers, WAP and UA of
five folds and one seed with 20,000 unlabelled rows of AMI, stand in the table.
They are not checked here.

Shards of the real corpora: `--source=iemocap --acoustic=is10`, and of AMI, by
its words' times, `--source=ami --crop=7.2 --acoustic=is10`.

Variants: `full` (5,000 of each class), `utterances` (the public utterance
file; the rows without one of the four classes are the unlabelled ones, about
3,600 in a fold's training sessions, and 900 of each class are taken),
`quantity` (the same, Figure 7a: 0 to all unlabelled rows as runs of one
program), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.dae_mmd import common as dae_mmd_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "utterances", "quantity", "smoke")
SEMI = {"A+V": (63.7, 61.2), "A+L": (72.6, 72.1), "A+V+L": (75.6, 74.5)}


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  config = dae_mmd_common.get(variant, VARIANTS)
  config.unlabelled.use = True
  if variant == "quantity":
    config.sweep.unlabelled = (0, 900, 1800, 2700, 3600)
  return config.lock()


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes Table 5, or Figure 7a where unlabelled rows are swept."""
  if config.sweep.unlabelled:
    return _quantities(config)
  fully = dae_mmd_common.subsets(
    common.changed(config, unlabelled__use=False), "fully"
  )
  semi = dae_mmd_common.subsets(config, "semi")
  rows, programs = [], {}
  for name, printed in SEMI.items():
    if name in semi:
      rows += [
        dae_mmd_common.row(
          f"{name}: Ours-fully", fully[name][0], dae_mmd_common.FULLY[name]
        ),
        dae_mmd_common.row(f"{name}: Ours-semi", semi[name][0], printed),
      ]
      programs |= dict((fully[name], semi[name]))
  return published.Table(
    title="Liang et al. 2020, Table 5",
    notes="Ours-semi has unlabelled utterances beside the labelled ones.",
    programs=programs,
    sections=(
      published.Section(
        "Semi-supervised",
        dae_mmd_common.COLUMNS,
        tuple(rows),
        against=rows[-2].name,
      ),
    ),
    figures=tuple(programs),
  )


def _quantities(config: ml_collections.ConfigDict) -> published.Table:
  counts = config.sweep.unlabelled
  return published.Table(
    title="Liang et al. 2020, Figure 7a",
    notes="By the unlabelled utterances there are; the paper prints no number.",
    programs={"semi": config},
    sections=(
      published.Section(
        "Unlabelled utterances",
        dae_mmd_common.COLUMNS,
        tuple(
          published.Row(
            f"{count}", "semi", setting={"unlabelled": float(count)}
          )
          for count in counts
        ),
        against=f"{counts[0]}",
      ),
    ),
    figures=("semi",),
  )
