"""Describes a file of features or a folder of shards.

Reads .npz, .csv, .csv.gz, .jsonl, .h5, .pkl (arrays only), word vectors in
GloVe's text format, folders in the layout of CMU's processed data, and shards,
whose sizes and checksums it compares with the manifest.

Example:
  python -m data_prep.inspect shards/iemocap4
  python -m data_prep.inspect --json cmu-mosei
"""

import json
import pathlib
import sys
from collections.abc import Sequence

import rich.console
import rich.markup
import rich.table
from absl import flags

from data_prep.readers import describe, describe_tables
from mmer_jax.base import cli
from mmer_jax.base.errors import UserError


def main(argv: Sequence[str]) -> None:
  """Describes one path; damaged shards end it with an error."""
  del argv
  values = flags.FLAGS
  if len(values.path) != 1:
    raise UserError(
      f"expected one path, got {len(values.path)}; see --help for an example"
    )
  description = describe.describe(pathlib.Path(values.path[0]))
  if values.json:
    sys.stdout.write(json.dumps(description, indent=1) + "\n")
  else:
    console = rich.console.Console()
    for table in describe_tables.tables_of(description):
      console.print(table)
  if description.get("damaged"):
    raise UserError(
      f"{values.path[0]} is damaged: {'; '.join(description['damaged'])};"
      " convert the corpus again"
    )


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_multi_string(
    "path", [], "The file or folder; the flag's name may be left out."
  )
  flags.DEFINE_bool("json", False, "JSON on standard output.")


if __name__ == "__main__":
  # The path comes without a flag's name.
  sys.argv[1:] = [
    argument if argument.startswith("-") else f"--path={argument}"
    for argument in sys.argv[1:]
  ]
  define_flags()
  cli.run(main)
