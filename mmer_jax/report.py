r"""Writes one HTML page of the results of workdirs, for people to read.

Example:
  python -m mmer_jax.report --workdirs=runs/mtee_iemocap,runs/table_4 \
    --out=report

A workdir is one of `mmer_jax.train` or of `mmer_jax.table`, whose programs are
shown after its table. Writes DIR/index.html, which needs no other file and no
network, and the figures in it as PNG, SVG and JSON below DIR/figures.
Needs jinja2 and matplotlib: pip install 'mmer_jax[report]'.
"""

import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags

from mmer_jax.base import cli
from mmer_jax.reporting import page as page_lib


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_list(
    "workdirs", None, "Workdirs of `mmer_jax.train` or `mmer_jax.table`."
  )
  flags.DEFINE_string("out", None, "The folder of the page.")
  flags.mark_flags_as_required(["workdirs", "out"])


def main(argv: Sequence[str]) -> None:
  """Writes the page as the flags say."""
  del argv
  page = page_lib.write(
    [pathlib.Path(folder) for folder in flags.FLAGS.workdirs],
    pathlib.Path(flags.FLAGS.out),
  )
  console = rich.console.Console(markup=False, highlight=False, soft_wrap=True)
  console.print(f"page: {page}", markup=False)


if __name__ == "__main__":
  define_flags()
  cli.run(main)
