r"""The modality check on faults that it was not tuned on: ours, of no table.

  python -m mmer_jax.table --config=configs/m3er/faults.py:synthetic \
    --config.data.dir=DIR --workdir=runs/m3er_faults

tau is chosen on validation rows under white noise at a ratio of powers of 0.01
(`repair.tau_snr`) and then meets, on the test rows, noise of other powers and
faults of sensors. The check needs no system; what it is worth is shown with the
memory fusion network, trained on clean rows, and with M3ER, also with beta 0.

Variants: as of `ablation.py`.
"""

from typing import Any

import ml_collections

from mmer_jax.configs.m3er import common as m3er_common
from mmer_jax.evaluation import published

VARIANTS = m3er_common.VARIANTS
# Fault to the keys of `config.noise`.
FAULTS: dict[str, dict[str, Any]] = {
  "white noise, 20 dB above (tuned on)": {"kind": "gaussian", "snr": 0.01},
  "white noise, 10 dB above": {"kind": "gaussian", "snr": 0.1},
  "white noise, as loud": {"kind": "gaussian", "snr": 1.0},
  "white noise, 10 dB below": {"kind": "gaussian", "snr": 10.0},
  "stuck at the first frame": {"kind": "stuck", "strength": 1.0},
  "stuck from the middle on": {"kind": "stuck", "strength": 0.5},
  "another utterance's stream": {"kind": "swapped"},
  "clipped at the root mean square": {"kind": "clipped", "strength": 0.5},
  "half of the frames lost": {"kind": "gaps", "strength": 0.5},
  "all frames lost, unmarked": {"kind": "gaps", "strength": 1.0},
  "shifted by half of the length": {"kind": "shifted", "strength": 0.5},
}
FOUND = ("precision", "recall", "false_alarm", "none_effective")
# Name, program and what it meets at inference.
SYSTEMS = (
  ("MFN", "mfn", "none"),
  (m3er_common.CHECKED_MFN, "mfn", "check"),
  ("M3ER", "m3er", "check"),
  (m3er_common.BETA_0, "beta_0", "check"),
)


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
  """Makes the config of a variant: M3ER, on clean rows."""
  return m3er_common.get(variant).lock()


def get_table(
  config: ml_collections.ConfigDict, variant: str = "full"
) -> published.Table:
  """Makes a table of faults, with and without the check."""
  programs = m3er_common.comparators(config)
  programs = {name: programs[name] for _, name, _ in SYSTEMS}
  columns = tuple(
    published.of_robustness(name.replace("_", " "), f"check_{name}")
    for name in FOUND
  )
  of = m3er_common.split(variant)
  return published.Table(
    title="The modality check on faults that it was not tuned on",
    notes=(
      "tau is chosen under white noise at a ratio of powers of 0.01; each fault"
      " is on some modalities of 75 % of the test rows, systems are trained on"
      " clean rows. A modality that a fault leaves as it was does not count as"
      " failed." + m3er_common.about(variant)
    ),
    programs=programs,
    sections=(
      published.Section(
        f"What the check by likelihood finds ({of})",
        columns,
        _rows("mfn", "check", ""),
      ),
      published.Section(
        f"What the check by cosine finds ({of})",
        columns,
        _rows("mfn", "check", "cosine"),
      ),
      *(
        published.Section(
          f"{name} ({of})", m3er_common.OVERALL, _rows(program, method, "")
        )
        for name, program, method in SYSTEMS
      ),
    ),
  )


def _rows(program: str, method: str, score: str) -> tuple[published.Row, ...]:
  """Makes a row for no fault and for each of them."""
  front = {"repair.inference": method}
  if score:
    front["repair.score"] = score
  faults = {"no fault": {"kind": "none"}, **FAULTS}
  return tuple(
    published.Row(
      fault,
      program,
      input_transform={
        **front,
        **{f"noise.{key}": value for key, value in values.items()},
      },
    )
    for fault, values in faults.items()
  )
