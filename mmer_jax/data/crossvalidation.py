"""Divides rows into folds where a corpus has no protocol of its own.

`docs/protocol.md` describes the protocols.
"""

import pathlib
import zlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from mmer_jax.base import errors
from mmer_jax.data import balance, duplicates, partition, split_file


def group_kfold(
  protocol: partition.Protocol, rows: partition.Rows, seed: int
) -> list[partition.Fold]:
  """Divides the speakers into k groups of about the same rows and labels."""
  names = named_speakers(rows, protocol.split)
  if len(names) < protocol.k:
    raise errors.UserError(
      f"config.protocol.k is {protocol.k}, but the shards have {len(names)}"
      f" speakers; set it to {len(names)} or less"
    )
  member = _groups(rows, rows.labelled, rows.speakers, protocol.k, seed)
  return rotate(_numbers(protocol.k), member, rows.labelled)


def kfold(
  protocol: partition.Protocol, rows: partition.Rows, seed: int
) -> list[partition.Fold]:
  """Divides the utterances into k groups of about the same labels.

  Utterances that are the same stay together, unless they may be apart.
  """
  units = _differing(protocol, rows)
  count = len(np.unique(units[rows.labelled]))
  if count < protocol.k:
    raise errors.UserError(
      f"config.protocol.k is {protocol.k}, but the shards have {count} labelled"
      f" utterances that differ, of {rows.labelled.sum()}; set it to less, or"
      " config.protocol.allow_identical=True to part those that are the same"
    )
  member = _groups(rows, rows.labelled, units, protocol.k, seed)
  return rotate(_numbers(protocol.k), member, rows.labelled)


def file(
  protocol: partition.Protocol, rows: partition.Rows, seed: int
) -> list[partition.Fold]:
  """Reads the sides, or the folds, of the utterances from a table."""
  del seed
  if not protocol.split_file:
    raise errors.UserError(
      "config.protocol.split is 'file', but config.protocol.split_file is"
      " empty; set it to a .csv with the columns id and split, or id and fold"
    )
  path = pathlib.Path(protocol.split_file)
  now = split_file.digest(path)
  if protocol.split_digest not in ("", now):
    raise errors.UserError(
      f"{path} has the SHA-256 {now[:12]}, expected"
      f" {protocol.split_digest[:12]}: it was changed since the training;"
      " bring the old file back, or train into a new workdir"
    )
  read = split_file.read(path, rows.ids, rows.labelled)
  used = rows.labelled & (read.values != "")
  if out := int((rows.labelled & ~used).sum()):
    logging.info("%s: %d labelled utterances are left out", path, out)
  names = sorted(set(read.values[used].tolist()), key=_number_or_text)
  if read.kind == "fold":
    if len(names) < 3:
      raise errors.UserError(
        f"{path} has {len(names)} folds, expected three at least: one tests,"
        " the next one validates, the others train"
      )
    member = np.zeros(len(used), np.int64)
    for number, name in enumerate(names):
      member[read.values == name] = number
    return rotate(names, member, used)
  sides = {s: getattr(protocol, s) for s in ("train", "validation", "test")}
  if set(names) != set(sides.values()):
    raise errors.UserError(
      f"{path} has the splits {', '.join(names)}, expected"
      f" {', '.join(sides.values())}, the names of config.protocol.train,"
      " .validation and .test"
    )
  parts = {
    s: np.flatnonzero(used & (read.values == n)) for s, n in sides.items()
  }
  return [partition.Fold(number=1, name="file", **parts)]


def _number_or_text(name: str) -> tuple[bool, int, str]:
  """Sorts whole numbers by their value, before other names."""
  number = name.isdecimal()
  return not number, int(name) if number else 0, name


def _numbers(count: int) -> list[str]:
  return [str(number) for number in range(1, count + 1)]


def _groups(
  rows: partition.Rows,
  part: np.ndarray,
  units: np.ndarray,
  count: int,
  seed: int,
) -> np.ndarray:
  """Divides the rows of a part, units whole; returns every row's group."""
  labels = np.zeros((len(units), 0)) if rows.labels is None else rows.labels
  member = np.full(len(units), -1)
  rng = np.random.default_rng([seed, zlib.crc32(b"groups")])
  member[part] = balance.group_rows(units[part], labels[part] > 0, count, rng)
  return member


def rotate(
  names: Sequence[str], member: np.ndarray, used: np.ndarray
) -> list[partition.Fold]:
  """Lets every group test once; the next one validates, all others train."""
  folds = []
  for number, name in enumerate(names):
    test = used & (member == number)
    validation = used & (member == (number + 1) % len(names))
    parts = [used & ~test & ~validation, validation, test]
    folds.append(partition.Fold(number + 1, name, *map(np.flatnonzero, parts)))
  return folds


def named_speakers(rows: partition.Rows, split: str) -> list[str]:
  """Lists the speakers, sorted; refuses too few, and rows without."""
  speakers = rows.speakers[rows.labelled]
  names = sorted(set(speakers.tolist()) - {""})
  without = int((speakers == "").sum())
  if without or len(names) < 3:
    raise errors.UserError(
      f"config.protocol.split is {split!r}, which needs the speaker of every"
      f" labelled utterance, and three at least; got {len(names)} speakers and"
      f" {without} of {len(speakers)} utterances without one; set"
      " config.protocol.split=kfold and"
      " config.protocol.allow_speaker_overlap=True"
    )
  return names


def _differing(
  protocol: partition.Protocol, rows: partition.Rows
) -> np.ndarray:
  """Numbers the rows; those that are the same have one number."""
  if protocol.allow_identical or not rows.digests:
    return np.arange(len(rows.ids))
  return duplicates.group_identical(rows.digests)


def has_paired_sessions(rows: partition.Rows) -> bool:
  """Tells whether sessions of two speakers each divide the labelled rows."""
  sessions = rows.sessions[rows.labelled]
  speakers = rows.speakers[rows.labelled]
  pairs = set(zip(sessions.tolist(), speakers.tolist(), strict=True))
  names = [session for session, _ in pairs]
  return (
    len(set(names)) > 1
    and len({speaker for _, speaker in pairs}) == len(pairs)
    and "" not in {part for pair in pairs for part in pair}
    and all(names.count(name) == 2 for name in set(names))
  )


def suitable(rows: partition.Rows) -> str:
  """Names a protocol that the rows allow, for a message."""
  if {"train", "validation", "test"} <= set(
    rows.splits[rows.labelled].tolist()
  ):
    return "corpus"
  if has_paired_sessions(rows):
    return "leave_one_session_out"
  speakers = set(rows.speakers[rows.labelled].tolist())
  return "group_kfold" if len(speakers) > 2 and "" not in speakers else "kfold"


def part_for_validation(
  protocol: partition.Protocol,
  rows: partition.Rows,
  train: np.ndarray,
  seed: int,
) -> dict[str, np.ndarray]:
  """Takes one group of k of the training rows for validation.

  Groups are of speakers; where some are not known, of utterances that differ.
  """
  units = rows.speakers
  if "" in units[train] or len(np.unique(units[train])) < 2:
    units = _differing(protocol, rows)
  count = min(protocol.k, len(np.unique(units[train])))
  if count < 2:
    raise errors.UserError(
      f"config.protocol.validation is '', but the {len(train)} labelled"
      " training utterances cannot be divided (one speaker and one text); use"
      " another config.protocol.split"
    )
  member = _groups(rows, train, units, count, seed)[train]
  return {"train": train[member != 0], "validation": train[member == 0]}
