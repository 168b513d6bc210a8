r"""Lists the configs that come with the package, or describes one of them.

Example:
  python -m mmer_jax.list_configs
  python -m mmer_jax.list_configs mtee/mosei:readme

The first shows every config with its table and row, and of every variant the
corpus and what training it costs; the second the size of one and every key with
its value. Also: mmer configs.

A config is trained by its name, `mmer train --config=mtee/mosei:readme`; every
key can be overridden, `--config.optimizer.learning_rate=3e-4`. One's own is a
Python file with a function get_config().
"""

import pathlib
from collections.abc import Sequence

import rich.console

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
  entries = list(config_list.entries())
  variants = [variant for entry in entries for variant in entry.variants]
  names = max(len(variant.name) for variant in variants)
  corpora = max(len(variant.corpus) for variant in variants)
  costs = max(len(_cost(variant)) for variant in variants)
  for entry in entries:
    console.print(f"{entry.name}: {entry.title}", style="bold")
    for variant in entry.variants:
      console.print(
        f"  :{variant.name:{names}} {variant.corpus:{corpora}}"
        f" {_cost(variant):{costs}} {variant.measured}".rstrip()
      )
  console.print(
    "Variant, corpus, cost: the runs of a program, all trained together, and"
    " the most epochs of each; a table has several programs. Last, what it"
    " took on two CPU cores, where that was measured.\n"
    "mmer configs NAME[:VARIANT] shows its size and every key; mmer train"
    " --config=NAME:VARIANT trains it, mmer table fills a table of several"
    f" programs. The files are in {pathlib.Path(__file__).parent / 'configs'}"
  )


def _cost(variant: config_list.Variant) -> str:
  """Says what training a variant costs."""
  runs = "seeds x folds"
  if variant.runs is not None:
    runs = f"{variant.runs} {'run' if variant.runs == 1 else 'runs'}"
  programs = f"{variant.programs} x " if variant.programs > 1 else ""
  epochs = {0: "a fit each", 1: "1 epoch"}.get(
    variant.epochs, f"{variant.epochs} epochs"
  )
  return f"{programs}{runs}, {epochs}"


if __name__ == "__main__":
  define_flags()
  cli.run(main, arguments="NAME[:VARIANT]")
