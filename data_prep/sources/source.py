"""Says what a source of the command line is, and reads the flags they share."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

from absl import flags

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError


class Source(NamedTuple):
  """Describes a source of the command line.

  Attributes:
    build: Builds its corpus from the flags.
    flags: The flags that belong to some sources only, those that it reads.
    define: Defines the flags that it alone reads; None where there are none.
  """

  build: Callable[[flags.FlagValues], corpus_lib.Corpus]
  flags: frozenset[str]
  define: Callable[[flags.FlagValues], None] | None = None


def required(values: flags.FlagValues, name: str) -> str:
  """Returns a flag's value; a `UserError` where it was not given."""
  if not values[name].value:
    raise UserError(f"--{name} is missing; see --help for examples")
  return values[name].value


def input_path(values: flags.FlagValues) -> pathlib.Path:
  """Returns the path of `--input`, which exists."""
  path = pathlib.Path(required(values, "input"))
  if not path.exists():
    raise UserError(f"--input={path} does not exist")
  return path


def word_vectors(values: flags.FlagValues) -> pathlib.Path | None:
  """Returns the file of `--word_vectors`; None to go without."""
  return pathlib.Path(values.word_vectors) if values.word_vectors else None
