r"""Draws the figures of a finished workdir: PNG, SVG, and the data as JSON.

Example:
  python -m mmer_jax.figures --workdir=runs/mtee_mosei

`distances`: how far the emotions are from one another in the lexical space and
in the spaces they are mapped to (Dai et al. 2020, Figure 3), and the rank
correlation of the latter with the former. `threshold_curves`: weighted F1 and
weighted accuracy on validation at several thresholds, epoch by epoch (their
Figures 4 and 5), where config.training.curve_thresholds asked for them.
`losses`: every logged term of the loss, epoch by epoch. `confusion`: what was
predicted for each true emotion; `decisions`: the same for each emotion that is
decided on its own; `sweep`: metrics over a swept number; all of
WORKDIR/results/test.json where there is one. `regenerated`: a vector, what
noise made of it, and its proxy (Mittal et al. 2020, Figure 7), of a result of
the test split under noise with proxies.
Needs matplotlib: pip install 'mmer_jax[report]'.
"""

import pathlib
from collections.abc import Sequence

import jax
import rich.console
from absl import flags

from mmer_jax.base import cli
from mmer_jax.reporting import figures, plots


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("workdir", None, "A workdir of `mmer_jax.train`.")
  flags.DEFINE_string(
    "out", "", "The folder of the figures; WORKDIR/figures by default."
  )
  flags.mark_flag_as_required("workdir")


def main(argv: Sequence[str]) -> int | None:
  """Draws as the flags say."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  out = pathlib.Path(flags.FLAGS.out) if flags.FLAGS.out else folder / "figures"
  console = rich.console.Console(markup=False, highlight=False, soft_wrap=True)
  contents = figures.of_workdir(folder)
  if not contents:
    console.print(f"no figure: every run of {folder} failed", markup=False)
    return cli.ALL_RUNS_FAILED
  if jax.process_index():
    return None
  for path in plots.save_all(contents, out):
    console.print(f"figure: {path}", markup=False)
  return None


if __name__ == "__main__":
  define_flags()
  cli.run(main)
