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
from typing import Any

import rich.console
import rich.table
from absl import flags
from ml_collections import config_flags

from mmer_jax.base import cli
from mmer_jax.evaluation import evaluate, published
from mmer_jax.reporting import figures, run_table


def to_rich(content: dict[str, Any]) -> list[rich.table.Table]:
  """The filled sections as tables for the terminal."""
  tables = []
  for section in content["sections"]:
    table = rich.table.Table(
      title=f"{content['title']}: {section['title']}",
      caption="percent ± half of the 95 % interval [paper]",
    )
    heading, rows = published.cells(section, "ours")
    lines = [heading, *rows]
    if len(heading) > len(lines):
      # A terminal is narrow, and long.
      lines = [list(line) for line in zip(*lines, strict=True)]
    for index, title in enumerate(lines[0]):
      table.add_column(title, justify="left" if index == 0 else "right")
    for line in lines[1:]:
      table.add_row(*line)
    tables.append(table)
  return tables


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  config_flags.DEFINE_config_file("config", None, "FILE[:variant] of a table.")
  flags.DEFINE_string("workdir", None, "Where everything is written.")
  flags.DEFINE_enum("split", "test", evaluate.SPLITS, "Which rows are judged.")
  flags.mark_flags_as_required(["config", "workdir"])


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  name = config_flags.get_config_filename(flags.FLAGS["config"])
  path = pathlib.Path(name.split(":")[0])
  table = run_table.load(path, flags.FLAGS.config)
  console = rich.console.Console(stderr=True)
  content = run_table.run_table(
    table, folder, split=flags.FLAGS.split, console=console
  )
  if content is None:
    return
  out = rich.console.Console()
  for each in to_rich(content):
    out.print(each)
  out.print(f"table: {folder / 'table.md'}")
  for name in table.figures:
    for drawn in figures.draw_workdir(folder / name, folder / "figures" / name):
      out.print(f"figure: {drawn}")


if __name__ == "__main__":
  define_flags()
  cli.run(main)
