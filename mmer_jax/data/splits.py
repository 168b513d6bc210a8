"""Partitions the labelled rows into training, validation and test sides.

Only labelled rows enter a fold. `docs/protocol.md` describes the protocols.
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base import errors

# Shares of the random protocol: Mittal et al. 2020, section 4.3.
TRAIN_SHARE, VALIDATION_SHARE = 0.7, 0.1


class Protocol(NamedTuple):
  """Holds the keys of `config.protocol` that splitting needs.

  Attributes:
    split: `corpus`, `leave_one_session_out`, `leave_one_speaker_out` or
      `random`.
    folds: The folds to run, from 1; empty for all.
    train: For `corpus`, the corpus's name of the training split.
    validation: For `corpus`, its name of the validation split.
    test: For `corpus`, its name of the test split.
    allow_speaker_overlap: Whether a speaker may be on two sides.
  """

  split: str
  folds: tuple[int, ...]
  train: str
  validation: str
  test: str
  allow_speaker_overlap: bool

  @classmethod
  def from_config(cls, config: Any) -> "Protocol":
    """Reads the protocol from `config.protocol`."""
    return cls(**{name: config[name] for name in cls._fields})


class Rows(NamedTuple):
  """Holds what splitting needs of every utterance; `""` where unknown."""

  ids: np.ndarray
  speakers: np.ndarray
  sessions: np.ndarray
  splits: np.ndarray
  labelled: np.ndarray


class Fold(NamedTuple):
  """Holds one partition of the rows; each side is sorted.

  Attributes:
    number: From 1.
    name: What a reader knows it by, such as the session that is held out.
    train: Row numbers of the training side.
    validation: Row numbers of the validation side.
    test: Row numbers of the test side.
  """

  number: int
  name: str
  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray


def make_folds(protocol: Protocol, rows: Rows, *, seed: int) -> list[Fold]:
  """Partitions the labelled rows.

  Args:
    protocol: Which partition to make.
    rows: The utterances of the corpus.
    seed: The run's; only `random` uses it.

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


def _corpus(protocol: Protocol, rows: Rows, seed: int) -> list[Fold]:
  del seed
  known = sorted(set(rows.splits.tolist()) - {""})
  sides = {}
  for side in ("train", "validation", "test"):
    name = getattr(protocol, side)
    if name not in known:
      raise errors.UserError(
        f"config.protocol.{side} is {name!r}, but the shards have the splits"
        f" {', '.join(known) or '(none)'}; use one of them, or another"
        " config.protocol.split"
      )
    sides[side] = np.flatnonzero(rows.labelled & (rows.splits == name))
  return [Fold(number=1, name="corpus", **sides)]


def _sessions(rows: Rows, split: str) -> list[tuple[str, tuple[str, str]]]:
  """Lists every session with its two speakers, sorted."""
  names = sorted(set(rows.sessions[rows.labelled].tolist()))
  if len(names) < 2 or "" in names:
    raise errors.UserError(
      f"config.protocol.split is {split!r}, but the shards name"
      f" {len(set(names) - {''})} sessions (every labelled utterance needs one,"
      " and two at least); use another protocol"
    )
  sessions = []
  for name in names:
    at = rows.labelled & (rows.sessions == name)
    speakers = sorted(set(rows.speakers[at].tolist()))
    if len(speakers) != 2 or "" in speakers:
      raise errors.UserError(
        f"config.protocol.split is {split!r}, which needs two speakers in"
        f" every session, got {len(speakers)} in session {name}; use another"
        " protocol"
      )
    sessions.append((name, (speakers[0], speakers[1])))
  return sessions


def _held_out(
  rows: Rows, number: int, name: str, session: str, validation: str, test: str
) -> Fold:
  inside = rows.labelled & (rows.sessions == session)
  return Fold(
    number,
    name,
    np.flatnonzero(rows.labelled & (rows.sessions != session)),
    np.flatnonzero(inside & (rows.speakers == validation)),
    np.flatnonzero(inside & (rows.speakers == test)),
  )


def _leave_one_session_out(
  protocol: Protocol, rows: Rows, seed: int
) -> list[Fold]:
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
  protocol: Protocol, rows: Rows, seed: int
) -> list[Fold]:
  """Holds out each speaker once; the session's other speaker validates.

  Source: Aguilar et al. 2019, section 4.1.
  """
  del seed
  folds = []
  for session, pair in _sessions(rows, protocol.split):
    for test, validation in (pair, pair[::-1]):
      folds.append(
        _held_out(rows, len(folds) + 1, test, session, validation, test)
      )
  return folds


def _random(protocol: Protocol, rows: Rows, seed: int) -> list[Fold]:
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
  return [Fold(1, "random", *(np.sort(part) for part in parts))]


_PROTOCOLS: dict[str, Callable[[Protocol, Rows, int], list[Fold]]] = {
  "corpus": _corpus,
  "leave_one_session_out": _leave_one_session_out,
  "leave_one_speaker_out": _leave_one_speaker_out,
  "random": _random,
}


def _check(protocol: Protocol, rows: Rows, fold: Fold) -> None:
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
        fix = (
          "; set config.protocol.allow_speaker_overlap=True to allow it"
          if what == "speaker"
          else "; the sides of a split must be different utterances"
        )
        raise errors.UserError(
          f"fold {fold.name} has {what} {value!r} in both {other} and"
          f" {side}{fix}"
        )
