"""Describes a file of features or a folder of shards, or compares two.

Reads .npz, .csv, .tsv, .arff, also .gz, .jsonl, .h5, .pkl (arrays only), .csd,
word vectors in GloVe's text format, folders of CMU's processed data or of .csd,
IEMOCAP's release, AMI's annotations, MELD, folders of recordings whose names
are labels, and shards, whose sizes and checksums it compares with the manifest.
Of shards it counts the texts and features that stand on two sides of a split.
With --diff it shows two shard folders or exports side by side.

Example:
  python -m data_prep.inspect shards/iemocap4
  python -m data_prep.inspect --json cmu-mosei
  python -m data_prep.inspect --diff shards/iemocap4 shards/iemocap6
  python -m data_prep.inspect --suggest_spec rows.csv
"""

import json
import pathlib
import sys
from collections.abc import Sequence

import rich.console
import rich.markup
import rich.table
from absl import flags

from data_prep.readers import compare, describe, describe_tables, suggest_spec
from mmer_jax.base import cli, progress
from mmer_jax.base.errors import UserError

_WIDEST = 10_000


def main(argv: Sequence[str]) -> None:
  """Describes one path or compares two; damaged shards end in an error."""
  del argv
  values = flags.FLAGS
  count = 2 if values.diff else 1
  if len(values.path) != count:
    expected = "two paths" if values.diff else "one path"
    raise UserError(
      f"expected {expected}, got {len(values.path)}; see --help for an example"
    )
  paths = [pathlib.Path(path) for path in values.path]
  if values.suggest_spec:
    if values.diff or values.json:
      raise UserError(
        "--suggest_spec writes a Python file, without --diff and --json"
      )
    sys.stdout.write(suggest_spec.suggest(*paths))
  elif values.diff:
    _show_difference(*paths, as_json=values.json)
  else:
    _show_description(*paths, as_json=values.json)


def _show_difference(
  a: pathlib.Path, b: pathlib.Path, *, as_json: bool
) -> None:
  with progress.doing("comparing"):
    facts = compare.compare(a, b)
  if as_json:
    sys.stdout.write(json.dumps(facts, indent=1) + "\n")
  else:
    rich.console.Console().print(compare.table_of(a, b, facts))


def _show_description(path: pathlib.Path, *, as_json: bool) -> None:
  with progress.doing(f"reading {path}"):
    description = describe.describe(path)
  if as_json:
    sys.stdout.write(json.dumps(description, indent=1) + "\n")
  else:
    console = rich.console.Console()
    for table in describe_tables.tables_of(description):
      if not console.is_terminal:
        # A row stays one line in a file or a pipe, which have no width.
        widest = console.options.update(width=_WIDEST)
        natural = console.measure(table, options=widest).maximum
        console.width = max(console.width, natural)
      console.print(table)
  if description.get("damaged"):
    raise UserError(
      f"{path} is damaged: {'; '.join(description['damaged'])};"
      " convert the corpus again"
    )


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_multi_string(
    "path", [], "The file or folder; the flag's name may be left out."
  )
  flags.DEFINE_bool("json", False, "JSON on standard output.")
  flags.DEFINE_bool(
    "diff", False, "Two folders of shards or exports, side by side."
  )
  flags.DEFINE_bool(
    "suggest_spec",
    False,
    "A spec for a table, as a Python file on standard output; every guess with"
    " its reason.",
  )


if __name__ == "__main__":
  # The path comes without a flag's name.
  sys.argv[1:] = [
    argument if argument.startswith("-") else f"--path={argument}"
    for argument in sys.argv[1:]
  ]
  define_flags()
  cli.run(main)
