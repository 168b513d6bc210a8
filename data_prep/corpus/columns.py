"""Names the columns of known features, and drops columns of a corpus."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError

# FACET's scores of emotions: the labels, guessed by another classifier.
FACET_EMOTIONS = (
  "Anger",
  "Contempt",
  "Disgust",
  "Joy",
  "Fear",
  "Sadness",
  "Surprise",
  "Confusion",
  "Frustration",
)
_ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24)
# FACET 4.2 as in CMU-MOSEI, in the order that the authors of the corpus give
# (A2Zadeh/CMU-MultimodalSDK, issues 93 and 239). "Baseline" is between the
# scores of emotions and counts as none of them.
FACET_35 = (
  *FACET_EMOTIONS[:5],
  "Baseline",
  *FACET_EMOTIONS[5:],
  *(f"AU{unit}" for unit in (*_ACTION_UNITS, 25, 26, 28, 43)),
  "Has_Glasses",
  "Is_Male",
  "Pitch",
  "Yaw",
  "Roll",
)
# The same authors, issue 208.
COVAREP_74 = (
  *("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope"),
  *("Rd", "Rd_conf", "creak"),
  *(f"MCEP_{i}" for i in range(25)),
  *(f"HMPDM_{i}" for i in range(25)),
  *(f"HMPDD_{i}" for i in range(13)),
)

# Names by modality, for corpora whose files have none, given on request: other
# features have as many columns (OpenFace's action units are 35, too).
NAMED = {"facet_42": ("visual", FACET_35)}
# No other known features have as many columns.
KNOWN = {("acoustic", 74): COVAREP_74}
# The names that a set of features to leave out belongs to.
PRESET_NAMES = {"facet_emotion_scores": "facet_42"}

PRESETS = {
  "facet_emotion_scores": tuple(f"visual:{name}" for name in FACET_EMOTIONS),
}


def named(
  modality: str, dim: int, wanted: Sequence[str]
) -> tuple[str, ...] | None:
  """Returns the names of a modality's columns; None where they are not known.

  Raises:
    UserError: The modality has another number of columns.
  """
  for key in wanted:
    if key not in NAMED:
      raise UserError(
        f"--name_columns names {key!r}, expected {' or '.join(NAMED)}"
      )
    of, names = NAMED[key]
    if of != modality:
      continue
    if len(names) != dim:
      raise UserError(
        f"--name_columns={key} names {len(names)} {modality} columns, and there"
        f" are {dim}; leave it out"
      )
    return names
  return KNOWN.get((modality, dim))


def drop(
  corpus: corpus_lib.Corpus, names: Sequence[str], preset: str | None
) -> corpus_lib.Corpus:
  """Drops columns of a corpus.

  Args:
    corpus: What a source has built.
    names: `modality:column` each.
    preset: A key of `PRESETS`, or None.

  Raises:
    UserError: A named column is not in the corpus. Columns that the layout
      does not establish have numbers for names, so a preset finds nothing in
      them and says so rather than guess.
  """
  wanted = [*names, *(PRESETS[preset] if preset else ())]
  if not wanted:
    return corpus
  dropped = _dropped(corpus, wanted)
  kept = {name: _kept(corpus, name, gone) for name, gone in dropped.items()}
  dropper = _Dropper(corpus.modalities, kept)
  modalities = dict(corpus.modalities)
  for name, indices in kept.items():
    columns = tuple(modalities[name].columns[i] for i in indices)
    modalities[name] = dataclasses.replace(modalities[name], columns=columns)
  return dataclasses.replace(
    corpus,
    modalities=modalities,
    examples=lambda: map(dropper, corpus.examples()),
    make=None if corpus.make is None else _Made(corpus.make, dropper),
    options={
      **corpus.options,
      "dropped": {name: sorted(columns) for name, columns in dropped.items()},
    },
  )


class _Dropper(NamedTuple):
  """Leaves columns of an example out.

  Attributes:
    modalities: The corpus's, with all columns.
    kept: Modality to the columns that stay; those of all stay elsewhere.
  """

  modalities: Mapping[str, corpus_lib.Modality]
  kept: Mapping[str, Sequence[int]]

  def __call__(self, example: corpus_lib.Example) -> corpus_lib.Example:
    streams = dict(example.streams)
    for name in self.kept.keys() & streams.keys():
      frames = streams[name]
      # Here: afterwards wrong dims might look right.
      at = example.stream_where.get(name, example.where)
      corpus_lib.check_dim(self.modalities[name], name, frames, at)
      streams[name] = frames[:, self.kept[name]]
    return dataclasses.replace(example, streams=streams)


class _Made(NamedTuple):
  """Makes examples by number without some of their columns."""

  make: Callable[[int], corpus_lib.Example]
  dropper: _Dropper

  def __call__(self, number: int) -> corpus_lib.Example:
    return self.dropper(self.make(number))


def _dropped(
  corpus: corpus_lib.Corpus, wanted: Sequence[str]
) -> dict[str, set[str]]:
  """Finds the columns to drop, by modality."""
  dropped: dict[str, set[str]] = {}
  for name in wanted:
    modality, _, column = name.partition(":")
    if modality not in corpus.modalities:
      raise UserError(
        f"cannot drop {name!r}: {corpus.name} has"
        f" {', '.join(corpus.modalities)}; write MODALITY:COLUMN"
      )
    known = corpus.modalities[modality].columns
    if column not in known:
      raise UserError(
        f"cannot drop {name!r}: the {len(known)} {modality} columns of"
        f" {corpus.name} are named {known[0]} to {known[-1]};"
        " python -m data_prep.inspect lists a conversion's columns"
      )
    dropped.setdefault(modality, set()).add(column)
  return dropped


def _kept(
  corpus: corpus_lib.Corpus, modality: str, dropped: set[str]
) -> list[int]:
  """Lists the columns of a modality that stay."""
  columns = corpus.modalities[modality].columns
  kept = [i for i, column in enumerate(columns) if column not in dropped]
  if not kept:
    raise UserError(
      f"every {modality} column of {corpus.name} is to be dropped"
    )
  return kept
