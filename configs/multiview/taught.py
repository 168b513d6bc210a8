r"""An acoustic model that learns from text: Aguilar et al. 2019, Table 3.

  python -m mmer_jax.table --config=configs/multiview/taught.py:utterances \
    --config.data.dir=DIR --workdir=runs/taught

The table trains all rows; `mmer_jax.train` with the same config trains the last
one. What is judged is the acoustic view alone: it reads no word, and
`mmer_jax.evaluate --data_dir=DIR2` runs it on shards that have none.

The paper's numbers, UA on validation and, where printed, on test, stand in the
table. Its features are not public, so they are not checked here.

Variants: `full`, `utterances` (the public utterance file), `synthetic` (preset
`words`), `smoke`.
"""

from typing import Any

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.multiview import common as multiview_common
from mmer_jax.evaluation import published

VARIANTS = multiview_common.VARIANTS

# Row, program, UA on validation and on test, changes.
ROWS: tuple[tuple[str, str, float, float | None, dict[str, Any]], ...] = (
  (
    "B-ACO-1",
    "alone",
    58.58,
    54.43,
    {"model__view": "b_aco_1", "model__second": ""},
  ),
  (
    "B-ACO-1, B-LEX: Lc + La + Lm",
    "lexical",
    59.71,
    None,
    {"model__view": "b_aco_1", "model__second": "b_lex"},
  ),
  (
    "B-ACO-1, H-MM-4: Lc + La + Lm",
    "multimodal",
    59.76,
    None,
    {"model__view": "b_aco_1", "model__second": "h_mm_4"},
  ),
  (
    "B-ACO-1, H-MM-4 frozen: Lc + La",
    "frozen",
    59.69,
    None,
    {"model__view": "b_aco_1", "model__second_view": "frozen"},
  ),
  (
    "B-ACO-1, H-MM-4 frozen: Lc + LKL",
    "student",
    60.60,
    58.59,
    {
      "model__view": "b_aco_1",
      "model__second_view": "frozen",
      "model__weights__first": 0.0,
      "model__weights__teacher": 1.0,
    },
  ),
  (
    "B-ACO-1 + attention, H-MM-4 frozen: Lc + LKL",
    "student_attention",
    61.00,
    59.76,
    {
      "model__view": "b_aco_1_attention",
      "model__second_view": "frozen",
      "model__weights__first": 0.0,
      "model__weights__teacher": 1.0,
    },
  ),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  config = multiview_common.get(variant)
  config.model.second = "h_mm_4"
  return common.changed(config, **ROWS[-1][-1])


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes Table 3."""
  base = {
    "model__second_view": "trainable",
    "model__weights__first": 1.0,
    "model__weights__teacher": 0.0,
  }
  return published.Table(
    title="Aguilar et al. 2019, Table 3",
    notes="What is judged is the first view, without a word.",
    programs={
      program: common.changed(config, **(base | changes))
      for _, program, _, _, changes in ROWS
    },
    sections=(
      published.Section(
        "Acoustic models and what teaches them",
        multiview_common.COLUMNS,
        tuple(
          multiview_common.row(name, program, dev, test)
          for name, program, dev, test, _ in ROWS
        ),
        against="B-ACO-1",
      ),
    ),
    figures=tuple(program for _, program, _, _, _ in ROWS),
  )
