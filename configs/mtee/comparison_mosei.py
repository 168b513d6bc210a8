r"""The systems of CMU-MOSEI's table: Dai et al. 2020, Table 1, all rows.

  python -m mmer_jax.table --config=configs/mtee/comparison_mosei.py \
    --config.data.dir=DIR --workdir=runs/comparison_mosei

Shards: as for `configs/mtee/mosei.py`. `python -m mmer_jax.train` with the same
config trains MTEE's row alone. The paper's numbers, of one seed, stand in the
table; the features are not public, so they are not checked here.

Variants: `full` (Table 3), `synthetic` (preset `tiny_mosei` of the synthetic
corpus), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.baselines import common as baselines_common
from mmer_jax.configs.mtee import common as mtee_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "synthetic", "smoke")
METRICS = (("W-Acc", "weighted_accuracy"), ("AUC", "auc"))
# Row, system, W-Acc and AUC of each emotion and of their average.
ROWS = (
  (
    "EF-LSTM",
    "ef_lstm",
    (58.5, 62.2, 59.9, 63.9, 50.1, 69.8, 65.1, 68.9, 55.1, 58.6, 50.6, 54.3)
    + (56.6, 63.0),
  ),
  (
    "LF-LSTM",
    "lf_lstm",
    (57.7, 66.5, 61.0, 71.9, 50.7, 61.1, 63.9, 68.6, 54.3, 59.6, 51.4, 61.5)
    + (56.5, 64.9),
  ),
  (
    "Graph-MFN",
    "graph_mfn",
    (62.6, None, 69.1, None, 62.0, None, 66.3, None, 60.4, None, 53.7, None)
    + (62.3, None),
  ),
  (
    "MTL",
    "mtl",
    (66.8, 68.0, 72.7, 76.7, 62.2, 42.9, 53.6, 71.4, 61.4, 57.6, 60.6, 65.1)
    + (62.8, 63.6),
  ),
  (
    "Ours",
    "mtee",
    (67.0, 71.7, 72.5, 78.3, 65.4, 71.6, 67.9, 73.9, 62.6, 66.7, 62.1, 66.4)
    + (66.2, 71.4),
  ),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = common.base()
  mtee_common.mosei(config)
  mtee_common.model(config)
  if variant == "synthetic":
    mtee_common.synthetic(config)
  if variant == "smoke":
    mtee_common.smoke(config)
  return config.lock()


def get_table(
  config: ml_collections.ConfigDict, variant: str = "full"
) -> published.Table:
  """Makes Table 1."""
  return published.Table(
    title="Dai et al. 2020, Table 1",
    notes=(
      "Graph-MFN's and MTL's printed W-Acc are those of their own papers, MTL's"
      " printed AUC is Dai et al.'s run of it. MTL reads an utterance's own"
      " words here, in place of a video's utterances, and has one task:"
      " docs/papers.md."
    ),
    programs={
      system: config
      if system == "mtee"
      else baselines_common.beside(config, system, "mosei", variant)
      for _, system, _ in ROWS
      if system
    },
    sections=(
      published.Section(
        "Emotions one by one",
        (
          *(
            published.of_emotion(f"{emotion}, {name}", emotion, metric)
            for emotion in common.MOSEI_EMOTIONS
            for name, metric in METRICS
          ),
          *(
            published.of_all(f"average, {name}", metric)
            for name, metric in METRICS
          ),
        ),
        tuple(published.Row(*row) for row in ROWS),
        against="Ours",
      ),
    ),
    figures=("mtee",),
  )
