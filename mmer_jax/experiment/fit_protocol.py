"""Chooses a protocol that a corpus allows."""

from collections import Counter

import ml_collections
import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import crossvalidation, duplicates, partition

# Every session is a fold, and every fold a run for each seed.
_MOST_SESSIONS = 10


def fit(
  protocol: ml_collections.ConfigDict,
  rows: partition.Rows | None,
  where: str,
) -> tuple[str, ...]:
  """Settles `config.protocol` by the utterances, in place.

  The corpus's own splits come first, then sessions of two speakers, then
  groups of speakers, then groups of utterances.

  Args:
    protocol: `config.protocol`, unlocked.
    rows: The utterances; None where there are no shards.
    where: The shards, for messages.

  Returns:
    Sentences for people.

  Raises:
    UserError: There are too few labelled utterances for any.
  """
  if rows is None:
    protocol.split = "group_kfold"
    return ()
  labelled = int(rows.labelled.sum())
  if labelled < 3:
    raise errors.UserError(
      f"{where} has {labelled} labelled utterances, expected three at least:"
      " one each to train, to validate and to test; convert more of the corpus"
    )
  splits = set(rows.splits[rows.labelled].tolist())
  if {protocol.train, protocol.test} <= splits:
    return _fit_splits(protocol, rows, splits)
  count = len(np.unique(rows.sessions[rows.labelled]))
  if crossvalidation.has_paired_sessions(rows) and count <= _MOST_SESSIONS:
    protocol.split = "leave_one_session_out"
    return (
      f"protocol leave_one_session_out: {count} sessions; one speaker of the"
      " session validates, the other tests",
      *_repeated(rows, rows.sessions, "session"),
    )
  speakers = rows.speakers[rows.labelled]
  if "" not in speakers and len(np.unique(speakers)) > 2:
    return _fit_groups(protocol, rows)
  return _fit_utterances(protocol, rows)


def _fit_splits(
  protocol: ml_collections.ConfigDict, rows: partition.Rows, splits: set[str]
) -> tuple[str, ...]:
  """Takes the corpus's own splits, of which validation may be missing."""
  protocol.split = "corpus"
  notes = ["protocol corpus: the splits of its own"]
  if protocol.validation not in splits:
    notes[0] += (
      f"; it has no split {protocol.validation!r}: a part of the training"
      f" split (about 1/{protocol.k}) validates"
    )
    protocol.validation = ""
  names = [
    name
    for name in (protocol.train, protocol.validation, protocol.test)
    if name
  ]
  if out := int((rows.labelled & ~np.isin(rows.splits, names)).sum()):
    notes.append(f"{out} labelled utterances are in none of them")
  on = Counter[str]()
  for name in names:
    side = rows.labelled & (rows.splits == name)
    on.update(set(rows.speakers[side].tolist()) - {""})
  shared = sum(count > 1 for count in on.values())
  if shared and not protocol.allow_speaker_overlap:
    protocol.allow_speaker_overlap = True
    notes.append(
      f"{shared} of {len(on)} speakers are in several splits: the numbers say"
      " nothing of new speakers"
    )
  return tuple(notes)


def _fit_groups(
  protocol: ml_collections.ConfigDict, rows: partition.Rows
) -> tuple[str, ...]:
  """Takes groups of speakers, as many as there may be."""
  protocol.split = "group_kfold"
  count = len(np.unique(rows.speakers[rows.labelled]))
  k = protocol.k = min(protocol.k, count)
  notes = [
    f"protocol group_kfold: {count} speakers in {k} groups; one tests, one"
    " validates, the others train"
  ]
  repeated = _repeated(rows, rows.speakers, "speaker")
  if repeated and not protocol.allow_identical:
    protocol.allow_identical = True
    notes += repeated
  return tuple(notes)


def _fit_utterances(
  protocol: ml_collections.ConfigDict, rows: partition.Rows
) -> tuple[str, ...]:
  """Takes groups of utterances, where speakers cannot be kept apart."""
  protocol.split = "kfold"
  speakers = set(rows.speakers[rows.labelled].tolist())
  known = len(speakers - {""})
  notes = []
  if known and not protocol.allow_speaker_overlap:
    protocol.allow_speaker_overlap = True
    some = ", and not of every utterance" if "" in speakers else ""
    notes.append(
      f"{known} speakers are known{some}: too few to keep them apart; the"
      " numbers say nothing of new speakers"
    )
  units = duplicates.group_identical(rows.digests)[rows.labelled]
  count = len(np.unique(units))
  if count < 3:
    protocol.allow_identical = True
    notes.append(
      f"only {count} texts differ: the same ones are trained and tested on"
    )
  if protocol.allow_identical:
    count = len(units)
  k = protocol.k = min(protocol.k, count)
  head = (
    f"protocol kfold: {len(units)} utterances in {k} groups, whoever speaks"
  )
  if not known:
    head += " (no speaker is known)"
  return (head, *notes)


def _repeated(
  rows: partition.Rows, groups: np.ndarray, what: str
) -> tuple[str, ...]:
  """Says how many utterances another group has too."""
  names = np.where(rows.labelled, groups, "").tolist()
  counts = duplicates.count_elsewhere(rows.digests, names)
  return tuple(
    f"{count} of {total} utterances have the same {kind} as one of another"
    f" {what}"
    for kind, (count, total) in duplicates.telling(counts).items()
  )
