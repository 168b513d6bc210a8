r"""The systems of IEMOCAP's table: Dai et al. 2020, Table 2, all rows.

  python -m mmer_jax.table --config=configs/mtee/comparison_iemocap.py \
    --config.data.dir=DIR --workdir=runs/comparison_iemocap

Shards: as for `configs/mtee/iemocap.py`. `python -m mmer_jax.train` with the
same config trains MTEE's row alone. The paper's numbers, of one seed, stand in
the table; the features are not public, so they are not checked here. RMFN,
RAVEN and MCTN are not built here: their printed numbers stand alone.

Variants: `full` (Table 3), `utterances` (the public utterance file, four
classes under a softmax, 5 folds x 3 seeds), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.baselines import common as baselines_common
from mmer_jax.configs.mtee import common as mtee_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "utterances", "smoke")
EMOTIONS = ("happy", "sad", "angry", "neutral")
METRICS = (("Acc", "accuracy"), ("AUC", "auc"))
# Row, system, accuracy and AUC of each emotion.
ROWS = (
  ("EF-LSTM", "ef_lstm", (85.8, 70.7, 83.7, 85.8, 75.8, 90.3, 67.1, 74.1)),
  ("LF-LSTM", "lf_lstm", (85.2, 71.7, 83.4, 84.4, 79.5, 86.8, 66.5, 72.2)),
  ("RMFN", "", (87.5, None, 83.8, None, 85.1, None, 69.5, None)),
  ("RAVEN", "", (87.3, None, 83.4, None, 87.3, None, 69.7, None)),
  ("MCTN", "", (84.9, None, 80.5, None, 79.7, None, 62.3, None)),
  ("MulT", "mult", (83.5, 71.2, 85.0, 89.3, 85.5, 92.4, 71.0, 77.2)),
  ("Ours", "mtee", (85.0, 74.2, 86.6, 88.4, 88.1, 93.2, 71.1, 76.7)),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = common.base()
  mtee_common.iemocap(config)
  mtee_common.model(config)
  if variant == "utterances":
    mtee_common.utterances(config)
    mtee_common.utterance_model(config)
  if variant == "smoke":
    mtee_common.smoke(config)
  return config.lock()


def get_table(
  config: ml_collections.ConfigDict, variant: str = "full"
) -> published.Table:
  """Makes Table 2; the averages are not in the paper."""
  return published.Table(
    title="Dai et al. 2020, Table 2",
    notes=(
      "RMFN's, RAVEN's and MCTN's printed numbers are those of their own"
      " papers, MulT's are Dai et al.'s run of it."
    ),
    programs={
      system: config
      if system == "mtee"
      else baselines_common.beside(config, system, "iemocap", variant)
      for _, system, _ in ROWS
      if system
    },
    sections=(
      published.Section(
        "Emotions",
        (
          *(
            published.of_emotion(f"{emotion}, {name}", emotion, metric)
            for emotion in EMOTIONS
            for name, metric in METRICS
          ),
          published.of_all("average, AUC", "auc"),
        ),
        tuple(
          published.Row(name, system, (*printed, None))
          for name, system, printed in ROWS
        ),
        against="Ours",
      ),
    ),
    figures=("mtee",),
  )
