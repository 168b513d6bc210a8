r"""M3ER and what it is without its parts: Mittal et al. 2020, Table 2.

  python -m mmer_jax.table --config=configs/m3er/ablation.py \
    --config.data.dir=DIR --workdir=runs/m3er_ablation

`mmer_jax.train` with the same config trains the full system on clean data. The
first section has the paper's rows: clean data, and white noise at a ratio of
powers of 0.01 on some modalities of 75 % of the utterances, in training as in
test. "Without proxy" is the network of the full system, without proxies at
inference. The second says what the check finds, how far proxies are from what
they replace, and what modalities weigh before and after they fail (section
5.3). Section 5.4 gives F1 and mean accuracy of one seed on features that are
not public; they stand in the table and are not checked here. What other
readings of the check and of the weights come to is in `noise.py`.

Variants: `full` (CMU-MOSEI), `utterances` (IEMOCAP's public utterance file, L
and A), `youtube` (modalities absent by themselves), `synthetic` (preset
`tiny_mosei`), `smoke`.
"""

from typing import Any

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.m3er import common as m3er_common
from mmer_jax.evaluation import published

VARIANTS = m3er_common.VARIANTS
# Of the six emotions of CMU-MOSEI: Table 2b stands beside them.
MOSEI_VARIANTS = ("full", "synthetic", "smoke")
NOISY = {"noise__kind": "gaussian"}
UNCHECKED = {"repair__training": "none", "repair__inference": "none"}
# Program to what it changes.
PROGRAMS: dict[str, dict[str, Any]] = {
  "m3er": {},
  "original": {"model__multiplicative__form": "suppress"},
  "noisy": {**NOISY, **UNCHECKED},
  "noisy_m3er": NOISY,
}
CHECK = {"repair.inference": "check"}
# Row, program, F1 and MA of Table 2b by emotion and overall.
PAPER = (
  (
    "clean: original multiplicative fusion",
    "original",
    (88.9, 79.9, 94.5, 89.6, 96.3, 93.1, 58.7, 55.8, 92.6, 85.3, 94.9, 90.0),
    (87.8, 82.3),
  ),
  (
    "clean: M3ER",
    "m3er",
    (91.9, 86.3, 92.7, 92.1, 90.4, 88.9, 83.6, 82.1, 89.9, 89.8, 95.2, 95.0),
    (90.2, 89.0),
  ),
  (
    "noisy: M3ER without check and proxy",
    "noisy",
    (78.8, 73.3, 79.4, 80.0, 84.3, 85.0, 54.6, 55.7, 83.2, 79.5, 79.5, 80.1),
    (76.4, 75.6),
  ),
  (
    "noisy: M3ER without proxy",
    "noisy_m3er",
    (78.5, 77.8, 79.9, 83.2, 73.4, 77.5, 74.0, 77.1, 84.0, 86.0, 78.1, 83.5),
    (78.3, 80.9),
  ),
  (
    "noisy: M3ER",
    "noisy_m3er",
    (81.6, 81.3, 84.4, 86.8, 91.8, 89.4, 78.0, 75.7, 87.3, 86.1, 93.2, 91.3),
    (85.6, 85.0),
  ),
)
# Table 2a, IEMOCAP: overall.
IEMOCAP = (
  (75.1, 76.6),
  (82.4, 82.7),
  (70.6, 71.6),
  (74.1, 75.1),
  (76.1, 78.2),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant."""
  return m3er_common.get(variant).lock()


def get_table(
  config: ml_collections.ConfigDict, variant: str = "full"
) -> published.Table:
  """Makes Table 2, beside the paper's numbers for the variant's corpus."""
  mosei = variant in MOSEI_VARIANTS
  iemocap = variant == "utterances"
  emotions = common.MOSEI_EMOTIONS if mosei else ()
  columns = [
    published.of_emotion(f"{name} {short}", name, metric)
    for name in emotions
    for short, metric in (("F1", "weighted_f1"), ("MA", "mean_accuracy"))
  ]
  columns += m3er_common.OVERALL
  rows = []
  for at, (name, program, each, overall) in enumerate(PAPER):
    printed: tuple[float | None, ...] = ()
    if mosei:
      printed = (*each, *overall, None, None)
    elif iemocap:
      printed = (*IEMOCAP[at], None, None)
    front = CHECK if name == "noisy: M3ER without proxy" else {}
    rows.append(published.Row(name, program, printed, input_transform=front))
  programs = {
    name: common.changed(config, **changes)
    for name, changes in PROGRAMS.items()
  }
  return published.Table(
    title="Mittal et al. 2020, Table 2",
    notes=(
      "F1 is the support-weighted one of each decision, MA its accuracy. The"
      " check is by Pearson's correlation, proxies are of nearest neighbours."
    ),
    programs=programs,
    sections=(
      published.Section(
        "The paper's rows",
        tuple(columns),
        tuple(rows),
        against="noisy: M3ER without check and proxy",
      ),
      published.Section(
        "What the check finds, and what the proxies are worth",
        m3er_common.measured(config),
        tuple(row._replace(paper=()) for row in rows[2:]),
      ),
    ),
    figures=("m3er", "noisy_m3er"),
  )
