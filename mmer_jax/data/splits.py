"""Partitions the labelled rows into training, validation and test sides.

Only labelled rows enter a fold. `docs/protocol.md` describes the protocols.
"""

import zlib
from collections.abc import Callable, Mapping

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import crossvalidation, duplicates, partition

# Shares of the random protocol: Mittal et al. 2020, section 4.3.
TRAIN_SHARE, VALIDATION_SHARE = 0.7, 0.1


def make_folds(
  protocol: partition.Protocol, rows: partition.Rows, *, seed: int
) -> list[partition.Fold]:
  """Partitions the labelled rows.

  Args:
    protocol: Which partition to make.
    rows: The utterances of the corpus.
    seed: The run's; `random` draws by it, `group_kfold` and `kfold` decide
      by it between units that are alike.

  Returns:
    The folds asked for, in the order of the protocol.

  Raises:
    UserError: The corpus does not allow the protocol, a side is empty, or a
      speaker or an id is on two sides.
  """
  if protocol.split not in _PROTOCOLS:
    raise errors.UserError(
      f"config.protocol.split is {protocol.split!r}, expected one of"
      f" {', '.join(_PROTOCOLS)}"
    )
  folds = _PROTOCOLS[protocol.split](protocol, rows, seed)
  for number in protocol.folds:
    if not 1 <= number <= len(folds):
      raise errors.UserError(
        f"config.protocol.folds: fold must be 1..{len(folds)}, got {number};"
        " see docs/protocol.md"
      )
  if len(set(protocol.folds)) != len(protocol.folds):
    raise errors.UserError(
      f"config.protocol.folds is {protocol.folds}: a fold is there twice, and"
      " the mean over runs would count it twice; name each once"
    )
  wanted = protocol.folds or range(1, len(folds) + 1)
  chosen = [folds[number - 1] for number in wanted]
  for fold in chosen:
    _check(protocol, rows, fold)
  return chosen


def _corpus(
  protocol: partition.Protocol, rows: partition.Rows, seed: int
) -> list[partition.Fold]:
  known = sorted(set(rows.splits.tolist()) - {""})
  sides = {}
  for side in ("train", "validation", "test"):
    name = getattr(protocol, side)
    if not name and side == "validation":
      continue
    if name not in known:
      raise errors.UserError(
        f"config.protocol.{side} is {name!r}, but the shards have the splits"
        f" {', '.join(known) or '(none)'}; use one of them, or set"
        f" config.protocol.split={crossvalidation.suitable(rows)}"
      )
    sides[side] = np.flatnonzero(rows.labelled & (rows.splits == name))
  if "validation" not in sides:
    sides |= crossvalidation.part_for_validation(
      protocol, rows, sides["train"], seed
    )
  return [partition.Fold(number=1, name="corpus", **sides)]


def _sessions(
  rows: partition.Rows, split: str
) -> list[tuple[str, tuple[str, str]]]:
  """Lists every session with its two speakers, sorted."""
  names = sorted(set(rows.sessions[rows.labelled].tolist()))
  if len(names) < 2 or "" in names:
    raise errors.UserError(
      f"config.protocol.split is {split!r}, but the shards name"
      f" {len(set(names) - {''})} sessions (every labelled utterance needs one,"
      " and two at least); set"
      f" config.protocol.split={crossvalidation.suitable(rows)}"
    )
  sessions = []
  for name in names:
    at = rows.labelled & (rows.sessions == name)
    speakers = sorted(set(rows.speakers[at].tolist()))
    if len(speakers) != 2 or "" in speakers:
      raise errors.UserError(
        f"config.protocol.split is {split!r}, which needs two speakers in"
        f" every session, got {len(speakers)} in session {name}; set"
        f" config.protocol.split={crossvalidation.suitable(rows)}"
      )
    sessions.append((name, (speakers[0], speakers[1])))
  return sessions


def _held_out(
  rows: partition.Rows,
  number: int,
  name: str,
  session: str,
  validation: str,
  test: str,
) -> partition.Fold:
  inside = rows.labelled & (rows.sessions == session)
  return partition.Fold(
    number,
    name,
    np.flatnonzero(rows.labelled & (rows.sessions != session)),
    np.flatnonzero(inside & (rows.speakers == validation)),
    np.flatnonzero(inside & (rows.speakers == test)),
  )


def _leave_one_session_out(
  protocol: partition.Protocol, rows: partition.Rows, seed: int
) -> list[partition.Fold]:
  """Holds out a session; one of its speakers validates, the other tests.

  Source: Liang et al. 2020, section 4.1.
  """
  del seed
  return [
    _held_out(rows, number, session, session, first, second)
    for number, (session, (first, second)) in enumerate(
      _sessions(rows, protocol.split), 1
    )
  ]


def _leave_one_speaker_out(
  protocol: partition.Protocol, rows: partition.Rows, seed: int
) -> list[partition.Fold]:
  """Holds out each speaker once; the session's other speaker validates.

  Source: Aguilar et al. 2019, section 4.1.
  Deviation: without sessions of two speakers the next speaker by name
    validates, and all others train.
  """
  del seed
  if not crossvalidation.has_paired_sessions(rows):
    names = crossvalidation.named_speakers(rows, protocol.split)
    return crossvalidation.rotate(
      names, np.searchsorted(names, rows.speakers), rows.labelled
    )
  folds = []
  for session, pair in _sessions(rows, protocol.split):
    for test, validation in (pair, pair[::-1]):
      folds.append(
        _held_out(rows, len(folds) + 1, test, session, validation, test)
      )
  return folds


def _random(
  protocol: partition.Protocol, rows: partition.Rows, seed: int
) -> list[partition.Fold]:
  """Splits the utterances 70/10/20 at random.

  Source: Mittal et al. 2020, section 4.3.
  """
  del protocol
  labelled = np.flatnonzero(rows.labelled)
  stream = zlib.crc32(b"split")
  order = np.random.default_rng([seed, stream]).permutation(labelled)
  train = round(TRAIN_SHARE * len(order))
  validation = round((TRAIN_SHARE + VALIDATION_SHARE) * len(order))
  parts = np.split(order, [train, validation])
  return [partition.Fold(1, "random", *(np.sort(part) for part in parts))]


_PROTOCOLS: dict[
  str, Callable[[partition.Protocol, partition.Rows, int], list[partition.Fold]]
] = {
  "corpus": _corpus,
  "leave_one_session_out": _leave_one_session_out,
  "leave_one_speaker_out": _leave_one_speaker_out,
  "group_kfold": crossvalidation.group_kfold,
  "kfold": crossvalidation.kfold,
  "random": _random,
  "file": crossvalidation.file,
}


def _check(
  protocol: partition.Protocol, rows: partition.Rows, fold: partition.Fold
) -> None:
  sides = {
    "train": fold.train,
    "validation": fold.validation,
    "test": fold.test,
  }
  for side, part in sides.items():
    if not len(part):
      raise errors.UserError(
        f"fold {fold.name} has an empty {side} split: no labelled utterance"
        " is in it; choose another protocol, fold or emotions"
      )
  columns = [("id", rows.ids)]
  if not protocol.allow_speaker_overlap:
    columns.append(("speaker", rows.speakers))
  for what, column in columns:
    seen: dict[str, str] = {}
    for side, part in sides.items():
      for value in sorted(set(column[part].tolist()) - {""}):
        other = seen.setdefault(value, side)
        if other == side:
          continue
        fix = "; the sides of a split must be different utterances"
        if what == "speaker":
          fix = "; set config.protocol.allow_speaker_overlap=True to allow it"
        if what == "speaker" and protocol.split in ("kfold", "random"):
          fix += ", or config.protocol.split=group_kfold to keep speakers whole"
        raise errors.UserError(
          f"fold {fold.name} has {what} {value!r} in both {other} and"
          f" {side}{fix}"
        )
  if not protocol.allow_identical and _asks_for_identical(protocol, rows):
    _check_identical(rows, fold, sides)


def _asks_for_identical(
  protocol: partition.Protocol, rows: partition.Rows
) -> bool:
  """Tells whether a protocol refuses the same utterance on two sides.

  Those of the papers and the corpora's authors are as they are published: what
  is the same is counted in `run.json`.
  """
  if protocol.split == "leave_one_speaker_out":
    return not crossvalidation.has_paired_sessions(rows)
  return protocol.split in ("group_kfold", "kfold", "file")


def _check_identical(
  rows: partition.Rows, fold: partition.Fold, sides: Mapping[str, np.ndarray]
) -> None:
  """Refuses utterances of one text, or of the same features, on two sides."""
  side_of = np.full(len(rows.ids), "", dtype="<U10")
  for side, part in sides.items():
    side_of[part] = side
  if not rows.digests:
    return
  found = duplicates.find_across(rows.digests, side_of.tolist())
  if found is not None:
    what, one, other = found
    raise errors.UserError(
      f"fold {fold.name} has the same {what} in {str(rows.ids[one])!r}"
      f" ({side_of[one]}) and {str(rows.ids[other])!r} ({side_of[other]}); set"
      " config.protocol.allow_identical=True to allow it"
    )
