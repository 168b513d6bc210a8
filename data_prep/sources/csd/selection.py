"""Chooses what a corpus reads: its sequences, its recordings, its labels."""

import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_prep.corpus import scales
from data_prep.features import text_features
from data_prep.sources.csd import align, read, roles, segments
from data_prep.sources.csd import lexical as lexical_lib
from data_prep.sources.csd import unify as unify_lib
from mmer_jax.base.errors import UserError

FRAMES = (roles.ACOUSTIC, roles.VISUAL)
NO_FOLD = "of labels of recordings in no fold left out"


class Choice(NamedTuple):
  """Holds what shapes the corpus, besides its files; see the flags.

  Attributes:
    options: How recordings become segments.
    sp: One of `lexical.SP`.
    unify: One of `unify.UNIFY`.
    splits: Recording to split; None where no folds were given.
    text: How words become vectors.
    name_columns: Keys of `columns.NAMED`.
    files: Those that `splits` were read from.
    ratings: The columns of labels that are ratings.
  """

  options: segments.Options
  sp: str = lexical_lib.DROP
  unify: str = unify_lib.EXACT
  splits: Mapping[str, str] | None = None
  text: text_features.Choice = text_features.Choice()
  name_columns: Sequence[str] = ()
  files: tuple[pathlib.Path, ...] = ()
  ratings: scales.Wanted = scales.OF_LAYOUT


class Labelled(NamedTuple):
  """Holds the labels of the recordings that are kept.

  Attributes:
    entries: Recording to the entries of its labels, in the order of the file.
    tally: What was found wrong in them.
  """

  entries: dict[str, dict[str, align.Rows]]
  tally: Counter[str]

  @property
  def total(self) -> int:
    """The number of segments."""
    return sum(
      len(rows.features)
      for entries in self.entries.values()
      for rows in entries.values()
    )


def used(
  sequences: Mapping[str, read.Sequence], choice: Choice
) -> dict[str, read.Sequence]:
  """Chooses the sequences that are read."""
  found = dict(sequences)
  if roles.LABELS not in found:
    raise UserError(
      f"--input has {', '.join(found)} and no labels; add the .csd of labels"
    )
  by_words = choice.options.align == segments.BY_WORDS
  if by_words and not {roles.WORDS, roles.VECTORS} & found.keys():
    raise UserError(
      "--align=words needs a .csd of words or of word vectors, --input has"
      f" {', '.join(found)}; add one or use --align=labels"
    )
  if roles.WORDS in found and not choice.text.is_none:
    found.pop(roles.VECTORS, None)
  if not by_words and choice.text.is_none and roles.VECTORS not in found:
    # Nothing makes rows of them.
    found.pop(roles.WORDS, None)
  rows = {*FRAMES, roles.VECTORS} & found.keys()
  if not rows and (roles.WORDS not in found or choice.text.is_none):
    raise UserError(
      "--input has neither frames nor word vectors; add files, or give"
      " --word_vectors=FILE for the words"
    )
  return found


def kept(sequences: Mapping[str, read.Sequence], choice: Choice) -> list[str]:
  """Lists the recordings to convert, in the order of the labels."""
  recordings = {
    name: sequence.recordings for name, sequence in sequences.items()
  }
  common = unify_lib.common(recordings)
  if choice.unify == unify_lib.REFERENCE:
    common -= set(unify_lib.dropped_by_prefix(recordings))
  if not common:
    shown = ", ".join(
      f"{each.path.name} {next(iter(each.recordings))!r}"
      for each in sequences.values()
    )
    raise UserError(
      f"--input: no recording is in all files; they begin with {shown}"
    )
  return [name for name in sequences[roles.LABELS].recordings if name in common]


def labelled(
  sequence: read.Sequence, recordings: Sequence[str], choice: Choice
) -> Labelled:
  """Reads the labels of recordings, without those that are in no fold."""
  tally: Counter[str] = Counter()
  entries = {}
  with sequence.opened(tally) as rows_of:
    for recording in recordings:
      rows = rows_of(recording)
      if choice.splits is not None and recording not in choice.splits:
        tally[NO_FOLD] += sum(len(e.features) for e in rows.values())
      else:
        entries[recording] = rows
  if not entries:
    raise UserError(
      f"--folds names none of the {len(recordings)} recordings, such as"
      f" {recordings[0]!r}"
    )
  return Labelled(entries, tally)
