r"""Zero-shot on CMU-MOSEI: Dai et al. 2020, Table 4, the rows "Zero-Shot".

  python -m mmer_jax.table --config=configs/mtee/zero_shot_mosei.py \
    --config.data.dir=DIR --workdir=runs/zero_shot_mosei

Shards: as for `configs/mtee/mosei.py`. Anger, disgust, fear and surprise are
left out in turn; every one is a run of the same program, for each seed.
`python -m mmer_jax.train` with the same config trains MTEE's row alone.

The paper's numbers, weighted accuracy and AUC of one seed, stand in the table.
The features are not public, so they are not checked here.

Variants: `full` (Table 3), `synthetic` (preset `tiny_mosei` of the synthetic
corpus; all six emotions are left out in turn), `smoke`.
"""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.mtee import common as mtee_common
from mmer_jax.evaluation import published

VARIANTS = ("full", "synthetic", "smoke")
UNSEEN = ("anger", "disgust", "fear", "surprise")
METRICS = (("W-Acc", "weighted_accuracy"), ("AUC", "auc"))
# W-Acc and AUC of each emotion of UNSEEN.
EF_LSTM = (50.6, 50.9, 50.3, 48.2, 45.8, 42.3, 50.2, 46.9)
LF_LSTM = (48.4, 49.2, 49.7, 44.2, 47.4, 47.3, 48.6, 48.3)
MTEE = (55.9, 61.6, 67.5, 72.7, 41.8, 40.6, 53.4, 55.5)
MTEE_OTHERS = (65.6, 70.6, 64.4, 69.3, 65.9, 70.9, 67.2, 71.4)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  common.check_variant(variant, VARIANTS)
  config = common.base()
  mtee_common.mosei(config)
  mtee_common.model(config)
  unseen = UNSEEN
  if variant == "synthetic":
    mtee_common.synthetic(config)
    unseen = common.MOSEI_EMOTIONS
  if variant == "smoke":
    mtee_common.smoke(config)
  config.protocol.unseen = tuple((emotion,) for emotion in unseen)
  return config.lock()


def get_table(config: ml_collections.ConfigDict) -> published.Table:
  """Makes the zero-shot rows of Table 4."""
  return published.Table(
    title="Dai et al. 2020, Table 4, zero-shot on CMU-MOSEI",
    notes=(
      "Each pair of columns is of the runs that never saw a label of its"
      " emotion. The baselines read no emotion: their output for it is as it"
      " was initialised."
    ),
    programs={
      "ef_lstm": mtee_common.ef_lstm(config),
      "lf_lstm": mtee_common.lf_lstm(config),
      "mtee": config,
    },
    sections=(
      published.Section(
        "The unseen emotion",
        columns(config, published.of_unseen, "{} (unseen)")
        + tuple(
          published.of_all_unseen(f"average (unseen), {name}", metric)
          for name, metric in METRICS
        ),
        (
          published.Row("EF-LSTM", "ef_lstm", printed(config, EF_LSTM)),
          published.Row("LF-LSTM", "lf_lstm", printed(config, LF_LSTM)),
          published.Row("Ours", "mtee", printed(config, MTEE)),
        ),
        against="LF-LSTM",
      ),
      published.Section(
        "Average on all categories",
        columns(config, published.of_others, "except {}")
        + tuple(
          published.of_seen(f"average, {name}", metric)
          for name, metric in METRICS
        ),
        (published.Row("Ours", "mtee", printed(config, MTEE_OTHERS)),),
      ),
    ),
    figures=("mtee",),
  )


def columns(
  config: ml_collections.ConfigDict, make, heading: str
) -> tuple[published.Column, ...]:
  """Makes columns of W-Acc and AUC for every emotion that is left out."""
  return tuple(
    make(f"{heading.format(emotion)}, {name}", emotion, metric)
    for (emotion,) in config.protocol.unseen
    for name, metric in METRICS
  )


def printed(
  config: ml_collections.ConfigDict, numbers: tuple[float, ...]
) -> tuple[float | None, ...]:
  """Puts the paper's numbers into those columns; None where it has none."""
  known = {
    emotion: numbers[2 * place : 2 * place + 2]
    for place, emotion in enumerate(UNSEEN)
  }
  return (
    *(
      number
      for (emotion,) in config.protocol.unseen
      for number in known.get(emotion, (None, None))
    ),
    # The averages.
    None,
    None,
  )
