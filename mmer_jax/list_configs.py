r"""Lists the configs that come with the package, or describes one of them.

Example:
  python -m mmer_jax.list_configs
  python -m mmer_jax.list_configs mtee/mosei:readme

The first shows every config with its table and row, the second the size of one
and every key with its value. Also: mmer configs.

A config is trained by its name, `mmer train --config=mtee/mosei:readme`; every
key can be overridden, `--config.optimizer.learning_rate=3e-4`. One's own is a
Python file with a function get_config().
"""

import pathlib
from collections.abc import Sequence

import rich.console
import rich.table

from mmer_jax.base import cli
from mmer_jax.reporting import config_list


def define_flags() -> None:
  """Defines the command line: there are no flags."""


def main(argv: Sequence[str]) -> None:
  """Prints the list, or what is known of the configs that are named."""
  console = rich.console.Console(markup=False, highlight=False, soft_wrap=True)
  if len(argv) > 1:
    for name in argv[1:]:
      console.print(config_list.describe(name))
    return
  table = rich.table.Table("config", "what", "seeds", "epochs", "programs")
  for entry in config_list.entries():
    table.add_row(
      "\n".join((entry.name, *(f"  :{v}" for v in entry.variants))),
      entry.title,
      str(entry.seeds),
      str(entry.epochs),
      str(entry.programs or "-"),
    )
  rich.console.Console(markup=False, highlight=False).print(table)
  console.print(
    "mmer configs NAME[:VARIANT] shows its size and every key; mmer train"
    " --config=NAME:VARIANT trains it, mmer table fills a table of several"
    f" programs. The files are in {pathlib.Path(__file__).parent / 'configs'}"
  )


if __name__ == "__main__":
  define_flags()
  cli.run(main, arguments="NAME[:VARIANT]")
