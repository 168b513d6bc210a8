r"""Trains and fills a whole table of a paper: all rows, emotions, folds, seeds.

Example:
  python -m mmer_jax.table --config=configs/mtee/few_shot_mosei.py:synthetic \
    --config.data.dir=data/synthetic --workdir=runs/table_4

The config says which programs the rows need (a system and a method each; all
emotions, settings, folds and seeds are the runs of one program) and what the
paper printed. Overrides of the config reach every program. The same command
again resumes. Writes WORKDIR/<program>/, a workdir of `mmer_jax.train`, and
WORKDIR/table.json and table.md, figures beside them, and prints the table.
"""

import pathlib
from collections.abc import Sequence

import rich.console
from absl import flags
from ml_collections import config_flags

from mmer_jax.base import cli, shipped
from mmer_jax.evaluation import baseline_rows, evaluate
from mmer_jax.reporting import figures, plots, run_table, tables


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  config_flags.DEFINE_config_file(
    "config", None, "The config of a table: FILE[:VARIANT] or NAME[:VARIANT]."
  )
  flags.DEFINE_string(
    "workdir", None, "The folder where everything is written."
  )
  flags.DEFINE_enum("split", "test", evaluate.SPLITS, "The split to score.")
  flags.DEFINE_bool(
    "baselines",
    True,
    "Add the majority and linear models of TF-IDF and of functionals, on the"
    " same folds (extra `baselines`).",
  )
  flags.mark_flags_as_required(["config", "workdir"])


def main(argv: Sequence[str]) -> int | None:
  """Fills the table as the flags say."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  name = config_flags.get_config_filename(flags.FLAGS["config"])
  file, _, variant = name.partition(":")
  table = run_table.load(
    shipped.find(file, "config"), flags.FLAGS.config, variant
  )
  if flags.FLAGS.baselines:
    table = baseline_rows.add(table)
  content = run_table.run_table(
    table,
    folder,
    split=flags.FLAGS.split,
    console=rich.console.Console(stderr=True),
  )
  if content is None:
    return None
  # Names of folders and rows may hold brackets, which rich takes for markup.
  out = rich.console.Console(markup=False, highlight=False)
  for section in tables.to_rich(content):
    out.print(section)
  out.soft_wrap = True
  for line in tables.failures(content):
    out.print(line)
  out.print(
    "The mean over the runs of a row, on rows that training did not see, beside"
    " what the paper printed of one run; where intervals overlap, rows may be"
    f" equally good. The table: {folder / 'table.md'}; as a page: mmer report"
    f" --workdirs={folder} --out=report"
  )
  for name in table.figures:
    contents = figures.of_workdir(folder / name)
    for drawn in plots.save_all(contents, folder / "figures" / name):
      out.print(f"figure: {drawn}")
  return cli.ALL_RUNS_FAILED if run_table.every_run_failed(content) else None


if __name__ == "__main__":
  define_flags()
  cli.run(main)
