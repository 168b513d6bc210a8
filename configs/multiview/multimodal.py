r"""Multimodal models by words: Aguilar et al. 2019, Table 2.

  python -m mmer_jax.table --config=configs/multiview/multimodal.py:utterances \
    --config.data.dir=DIR --workdir=runs/multimodal

The table trains all rows; `mmer_jax.train` with the same config trains H-MM-4,
and any other model of section 4.2 with `--config.model.view`. 10 folds that
each leave a speaker out, the session's other speaker validates.

The paper's numbers, UA on validation and, where printed, on test, stand in the
table. Its features are not public, so they are not checked here.

Shards of the real corpus, with the word of every frame: `--source=iemocap
--acoustic=compare2013`.

Variants: `full`, `utterances` (the public utterance file, converted with
`data_prep/specs/iemocap.py:4`: one acoustic frame an utterance, so that the
rows which differ in the frames of words are left out), `synthetic` (preset
`words`), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.multiview import common as multiview_common
from mmer_jax.evaluation import published

VARIANTS = multiview_common.VARIANTS
# Row, view, UA on validation and on test.
ROWS = (
  ("B-ACO-1", "b_aco_1", 58.58, None),
  ("B-ACO-2", "b_aco_2", 57.29, None),
  ("B-LEX", "b_lex", 67.06, None),
  ("B-MM-1", "b_mm_1", 71.95, None),
  ("B-MM-2", "b_mm_2", 72.65, None),
  ("H-ACO-1", "h_aco_1", 56.97, None),
  ("H-MM-1", "h_mm_1", 73.16, None),
  ("H-MM-2", "h_mm_2", 73.41, None),
  ("H-MM-3", "h_mm_3", 73.54, None),
  ("H-MM-4", "h_mm_4", 73.83, 71.69),
)
# Of one frame an utterance these are the model before them.
_OF_FRAMES = ("b_aco_2", "b_mm_2", "h_aco_1")


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return multiview_common.get(variant).lock()


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes Table 2, without rows that one frame cannot tell apart."""
  one_frame = config.data.max_length.acoustic == 1
  rows = [row for row in ROWS if not (one_frame and row[1] in _OF_FRAMES)]
  return published.Table(
    title="Aguilar et al. 2019, Table 2",
    notes="B: baselines, H: hierarchical by words; +GMU is H-MM-2, +attention"
    " H-MM-3, both H-MM-4.",
    programs={
      view: common.changed(config, model__view=view) for _, view, _, _ in rows
    },
    sections=(
      published.Section(
        "Multimodal models",
        multiview_common.COLUMNS,
        (
          *(multiview_common.row(*row) for row in rows),
          multiview_common.row("Poria et al. (2018)", "", None, 70.79),
        ),
        against="B-MM-1",
      ),
    ),
    figures=tuple(view for _, view, _, _ in rows),
  )
