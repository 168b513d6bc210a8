r"""M3ER and what it is without its parts: Mittal et al. 2020, Table 2.

  python -m mmer_jax.table --config=configs/m3er/ablation.py \
    --config.data.dir=DIR --workdir=runs/m3er_ablation

`mmer_jax.train` with the same config trains the full system on clean data. The
paper's rows are of clean data, and of white noise at a ratio of powers of 0.01
on some modalities of 75 % of the utterances, in training as in test; beside
them stand MFN, MFN behind the same check, M3ER with beta 0 and M3ER as printed.
"With proxies" is the network of the row above it, with linear proxies at
inference. The last section says what the check finds, how far proxies are from
what they replace, and what modalities weigh before and after they fail (section
5.3). Section 5.4 gives F1 and mean accuracy of one seed on features that are
not public; they stand in the table and are not checked here.

Variants: `full` (CMU-MOSEI), `utterances` (IEMOCAP's public utterance file, L
and A, the paper's random split), `speakers` (the same, a session left out, as
the paper does not), `youtube` (modalities absent by themselves), `synthetic`
(preset `tiny_mosei`), `smoke`.
"""

from collections.abc import Sequence
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
ORIGINAL = {
  "model__multiplicative__form": "suppress",
  "model__multiplicative__detach_weight": False,
}
PROXIES = {"repair.inference": "proxy", "repair.proxy": "linear"}
# Row, program, and which of the paper's rows it is.
CLEAN = (
  ("clean: original multiplicative fusion", "original", 0),
  ("clean: M3ER", "m3er", 1),
  (f"clean: {m3er_common.PRINTED}", "m3er_printed", 1),
  (f"clean: {m3er_common.BETA_0}", "beta_0", None),
  (f"clean: {m3er_common.CHECKED_MFN}", "mfn_checked", None),
  ("clean: MFN", "mfn", None),
)
NOISY_ROWS = (
  ("noisy: M3ER without check and proxy", "noisy_unchecked", 2),
  ("noisy: M3ER (check, no proxy)", "noisy_m3er", 3),
  ("noisy: M3ER with proxies", "noisy_m3er", 4),
  (f"noisy: {m3er_common.PRINTED}, without proxy", "noisy_m3er_printed", 3),
  (f"noisy: {m3er_common.PRINTED}", "noisy_m3er_printed", 4),
  (f"noisy: {m3er_common.BETA_0}", "noisy_beta_0", None),
  (f"noisy: {m3er_common.CHECKED_MFN}", "noisy_mfn_checked", None),
  ("noisy: MFN", "noisy_mfn", None),
)
FRONTS: dict[str, dict[str, Any]] = {
  "noisy: M3ER with proxies": PROXIES,
  f"noisy: {m3er_common.PRINTED}, without proxy": {"repair.inference": "check"},
}
# F1 and MA of Table 2b by emotion and overall, row by row: original
# multiplicative fusion and M3ER on clean data; under noise M3ER without check
# and proxy, without proxy, and whole.
MOSEI = (
  (
    (88.9, 79.9, 94.5, 89.6, 96.3, 93.1, 58.7, 55.8, 92.6, 85.3, 94.9, 90.0),
    (87.8, 82.3),
  ),
  (
    (91.9, 86.3, 92.7, 92.1, 90.4, 88.9, 83.6, 82.1, 89.9, 89.8, 95.2, 95.0),
    (90.2, 89.0),
  ),
  (
    (78.8, 73.3, 79.4, 80.0, 84.3, 85.0, 54.6, 55.7, 83.2, 79.5, 79.5, 80.1),
    (76.4, 75.6),
  ),
  (
    (78.5, 77.8, 79.9, 83.2, 73.4, 77.5, 74.0, 77.1, 84.0, 86.0, 78.1, 83.5),
    (78.3, 80.9),
  ),
  (
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
  emotions = common.MOSEI_EMOTIONS if variant in MOSEI_VARIANTS else ()
  columns = tuple(
    published.of_emotion(f"{name} {short}", name, metric)
    for name in emotions
    for short, metric in (("F1", "weighted_f1"), ("MA", "mean_accuracy"))
  )
  columns += m3er_common.OVERALL
  clean, noisy = _rows(CLEAN, variant), _rows(NOISY_ROWS, variant)
  of = m3er_common.split(variant)
  return published.Table(
    title="Mittal et al. 2020, Table 2",
    notes=(
      "F1 is the support-weighted one of each decision, MA its accuracy."
      + m3er_common.about(variant)
    ),
    programs=_programs(config),
    sections=(
      published.Section(
        f"Clean data ({of})", columns, clean, against="clean: MFN"
      ),
      published.Section(
        f"Under noise, in training and test ({of})",
        columns,
        noisy,
        against="noisy: MFN",
      ),
      published.Section(
        "What the check finds, and what the proxies are worth",
        m3er_common.measured(config),
        tuple(
          row._replace(paper=()) for row in noisy if row.name != "noisy: MFN"
        ),
      ),
    ),
    figures=("m3er", "noisy_m3er"),
  )


def _programs(
  config: ml_collections.ConfigDict,
) -> dict[str, ml_collections.ConfigDict]:
  """Makes what is trained: each comparator on clean and on noisy data."""
  clean = m3er_common.comparators(config)
  noisy = m3er_common.comparators(config, **NOISY)
  return {
    "original": common.changed(config, **ORIGINAL),
    **clean,
    "noisy_unchecked": common.changed(config, **NOISY, **UNCHECKED),
    **{f"noisy_{name}": each for name, each in noisy.items()},
  }


def _rows(
  rows: Sequence[tuple[str, str, int | None]], variant: str
) -> tuple[published.Row, ...]:
  """Makes rows with the numbers that the paper prints for a corpus."""
  made = []
  for name, program, at in rows:
    printed: tuple[float | None, ...] = ()
    if at is not None and variant in MOSEI_VARIANTS:
      each, overall = MOSEI[at]
      printed = (*each, *overall, None, None)
    elif at is not None and variant in ("utterances", "speakers"):
      printed = (*IEMOCAP[at], None, None)
    front = FRONTS.get(name, {})
    made.append(published.Row(name, program, printed, input_transform=front))
  return tuple(made)
