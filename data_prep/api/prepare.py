"""Converts and inspects from Python and notebooks, without a command line.

Example:
  from data_prep.api import prepare

  prepare.inspect("recordings.csv")
  prepare.convert(
    source="recordings", input="recordings.csv", output="shards/mine",
    word_vectors="glove.txt", acoustic="is10",
  )
"""

import csv
import io
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import rich.console
from absl import flags

from data_prep.corpus import classes, columns
from data_prep.corpus import corpus as corpus_lib
from data_prep.features import alignment
from data_prep.readers import (
  describe,
  describe_tables,
  other_formats,
)
from data_prep.readers import suggest_spec as suggest_spec_lib
from data_prep.sources import flags as source_flags
from data_prep.sources import registry
from data_prep.sources import source as source_lib
from data_prep.writing import beam, closing, identity, options, workspace, write
from mmer_jax.base import drawn, errors
from mmer_jax.base import progress as progress_lib


class Conversion:
  """Holds what a conversion has made; it shows itself as its closing lines.

  Attributes:
    output: The folder of shards.
    manifest: The content of `manifest.json`.
    tally: What was dropped, skipped, cut or guessed, in words, to how many.
    warnings: What to look at before training, a sentence each.
  """

  def __init__(
    self,
    output: pathlib.Path,
    corpus: corpus_lib.Corpus,
    manifest: dict[str, Any],
  ):
    """Takes the folder, what it was made of and its manifest."""
    self.output = output
    self.manifest = manifest
    self.tally = dict(corpus.tally)
    self.warnings = closing.warnings(corpus, manifest)
    self.summary = closing.summarise(output, corpus, manifest)

  @property
  def fingerprint(self) -> str:
    """The checksum of the content, which every result quotes."""
    return self.manifest["fingerprint"]

  @property
  def emotions(self) -> tuple[str, ...]:
    """The emotions, in the order of the labels."""
    return tuple(self.manifest["emotions"])

  def __repr__(self) -> str:
    lines = [
      self.summary,
      f"emotions: {', '.join(self.emotions)}",
      *(f"warning: {each}" for each in self.warnings),
    ]
    return "\n".join(lines)


class Description:
  """Holds what is in a file or folder; it shows itself as tables.

  Attributes:
    content: What `mmer inspect --json` prints.
  """

  def __init__(self, content: dict[str, Any]):
    """Takes what `describe` returns."""
    self.content = content

  @property
  def damaged(self) -> list[str]:
    """Lists the files of shards that do not agree with their manifest."""
    return list(self.content.get("damaged", ()))

  def __rich__(self) -> rich.console.Group:
    return rich.console.Group(*describe_tables.tables_of(self.content))

  def __repr__(self) -> str:
    return drawn.text(self)

  def _repr_html_(self) -> str:
    return drawn.html(self)


def convert(
  *,
  source: str,
  output: str | os.PathLike[str],
  progress: bool = True,
  **keywords: Any,
) -> Conversion:
  """Converts a corpus into a folder of shards, as `mmer convert` does.

  Args:
    source: What the input is, as `utterances` or `recordings`.
    output: The folder to create.
    progress: Whether to show progress.
    **keywords: The flags of `mmer convert`, as `input="rows.csv"`; lists are
      lists. `mmer convert --help` says what each is.

  Returns:
    What was made, and what was lost on the way.

  Raises:
    UserError: The corpus is not sound, or a keyword does not fit it. Nothing is
      left at the output then.
  """
  keywords = {"source": source, "output": output, **keywords}
  values = read_keywords(keywords)
  console = rich.console.Console(stderr=True, quiet=not progress)
  with progress_lib.shown(console):
    return run(values, console)


def inspect(path: str | os.PathLike[str]) -> Description:
  """Describes a file of features or a folder, as `mmer inspect` does.

  Raises:
    UserError: There is nothing at the path, or nothing that can be read.
  """
  return Description(describe.describe(pathlib.Path(path)))


def suggest_spec(path: str | os.PathLike[str]) -> str:
  """Writes a spec for a table: a Python file, each guess with its reason.

  Raises:
    UserError: The file is no table, or nothing in it looks like a label.
  """
  return suggest_spec_lib.suggest(pathlib.Path(path))


def run(values: flags.FlagValues, console: rich.console.Console) -> Conversion:
  """Converts the corpus that some flags name.

  Args:
    values: The flags, as `sources.flags` defines them.
    console: Is told what is gone on with.

  Raises:
    UserError: The corpus is not sound, or the flags do not fit it.
  """
  source = source_lib.required(values, "source")
  output = pathlib.Path(source_lib.required(values, "output"))
  registry.refuse_foreign(values)
  for path in (values.input, values.word_vectors):
    other_formats.refuse(pathlib.Path(path or "."))
  if source != "pickle":
    other_formats.refuse_pickle(pathlib.Path(values.input or "."))
  workspace.refuse_existing(output)
  with progress_lib.doing(f"reading {values.input or 'the corpus'}"):
    corpus = registry.build(values)
  if values.acoustic_rows == alignment.WORDS:
    corpus = alignment.by_word(corpus)
  if source != "synthetic":
    corpus = columns.drop(corpus, values.drop_columns or [], values.drop_preset)
  manifest = write.write(
    corpus,
    output,
    options.Options(
      values.nonfinite,
      values.num_shards,
      values.file_format,
      values.workers,
      beam.Beam(values.runner, values.beam_options or ())
      if values.runner
      else None,
    ),
    console,
    identity=identity.of(values, corpus),
    accept=classes.require_two if source != "synthetic" else None,
  )
  return Conversion(output, corpus, manifest)


def read_keywords(keywords: dict[str, Any]) -> flags.FlagValues:
  """Reads keywords as the command line reads flags.

  Raises:
    UserError: There is no such keyword, or its value is of another type.
  """
  values = flags.FlagValues()
  source_flags.define(values)
  for name in keywords:
    if name not in values:
      raise errors.UserError(
        f"convert() has no keyword {name!r}, expected a flag of `mmer convert`"
        f"{errors.did_you_mean(name, values)}"
      )
  words = [
    f"--{name}={_as_word(value)}"
    for name, value in keywords.items()
    if value is not None
  ]
  try:
    values(["convert", *words])
  except flags.Error as error:
    text = str(error).replace("flag --", "convert() was given ")
    raise errors.UserError(text) from None
  return values


def _as_word(value: Any) -> str:
  """Writes a value as it would stand on a command line."""
  if isinstance(value, Sequence) and not isinstance(value, str):
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(map(str, value))
    return line.getvalue()
  return str(value)
