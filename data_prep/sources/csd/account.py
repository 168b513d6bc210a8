"""Says what became of the recordings and segments of a conversion."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.sources.csd import labels as labels_lib
from data_prep.sources.csd import read, roles, selection
from data_prep.sources.csd import unify as unify_lib

UNLABELLED = "of labels with none of the emotions or no number: unlabelled"
# Segments of the standard folds of CMU-MOSEI, as published with its aligned
# data (CMU-MultiComp-Lab/CMU-MultimodalSDK).
PUBLISHED = {"train": 16327, "validation": 1871, "test": 4662}
# Names of recordings that a note lists.
_SHOWN = 20


def in_split(split: str, corpus: str) -> str:
  """Names the count of a split's segments, beside the published one."""
  published = ""
  if corpus == roles.MOSEI:
    published = f" (published: {PUBLISHED[split]})"
  return f"of labels in {split}{published}"


def finish(tally: Counter[str], corpus: str) -> None:
  """Leaves out of a tally what nothing became of; splits stand first."""
  counts = {what: count for what, count in tally.items() if count}
  splits = [in_split(split, corpus) for split in PUBLISHED]
  tally.clear()
  for what in (*splits, *counts):
    if what in counts:
      tally[what] = counts[what]


def options(
  sequences: Mapping[str, read.Sequence],
  labels: labels_lib.Labels,
  choice: selection.Choice,
) -> dict[str, Any]:
  """Returns what shaped the result, for the manifest."""
  return {
    **choice.options._asdict(),
    "sp": choice.sp,
    "unify": choice.unify,
    # What the exact names and the SDK's way differ on.
    "dropped_by_prefix": unify_lib.dropped_by_prefix(_names(sequences)),
    "folds": choice.splits is not None,
    "sequences": {
      role: f"{each.path.name}: {each.root}" for role, each in sequences.items()
    },
    "label_columns": list(labels.columns),
    "emotions": list(labels.names),
    "label_type": labels.label_type,
    "sentiment_bins": labels.bins,
    "positive_above": labels.positive_above,
    **choice.text.options(),
    **choice.ratings.options(),
  }


def notes(
  found: Mapping[str, read.Sequence],
  used: Mapping[str, read.Sequence],
  choice: selection.Choice,
  recordings: Sequence[str],
) -> list[str]:
  """Lists what a user should know, a sentence each.

  Args:
    found: The sequences that `--input` names.
    used: Those of them that are read.
    choice: What shapes the corpus.
    recordings: Those that are converted.
  """
  lines = [
    f"{each.path.name} is not read: {_why(role)}"
    for role, each in found.items()
    if role not in used
  ]
  lines += _of_recordings(used, choice)
  if choice.splits is not None:
    absent = len(choice.splits.keys() - set(recordings))
    if absent:
      lines.append(
        f"{absent} of {len(choice.splits)} recordings of --folds are not in all"
        " files"
      )
  if roles.VECTORS not in used and choice.text.is_none:
    lines.append(
      "no lexical modality: words have no vectors; give --word_vectors=FILE, or"
      " the .csd of word vectors"
    )
  lines.append(
    "speaker, session and dialogue are the recording: nothing else is known"
  )
  return lines


def _why(role: str) -> str:
  if role == roles.VECTORS:
    return "the words get other vectors"
  return "nothing makes rows of its words"


def _names(
  sequences: Mapping[str, read.Sequence],
) -> dict[str, Mapping[str, Sequence[str]]]:
  return {role: each.recordings for role, each in sequences.items()}


def _of_recordings(
  used: Mapping[str, read.Sequence], choice: selection.Choice
) -> list[str]:
  """Says which recordings are dropped, and which the SDK would drop, too."""
  recordings = _names(used)
  common = unify_lib.common(recordings)
  gone = set().union(*map(set, recordings.values())) - common
  lines = []
  if gone:
    lines.append(
      f"{len(gone)} recordings that are not in all files are left out:"
      f" {_list(sorted(gone))}"
    )
  by_prefix = unify_lib.dropped_by_prefix(recordings)
  if by_prefix and choice.unify == unify_lib.EXACT:
    lines.append(
      f"{len(by_prefix)} recordings are kept that the SDK drops, since their"
      f" names begin as those left out (--unify=reference drops them):"
      f" {_list(by_prefix)}"
    )
  elif by_prefix:
    lines.append(
      f"{len(by_prefix)} recordings are left out as the SDK does, since their"
      f" names begin as others' (--unify=exact keeps them): {_list(by_prefix)}"
    )
  return lines


def _list(names: Sequence[str]) -> str:
  shown = ", ".join(names[:_SHOWN])
  more = len(names) - _SHOWN
  return f"{shown} and {more} more" if more > 0 else shown
