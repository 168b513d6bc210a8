"""What a partition of the rows is made of: protocol, utterances and folds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.data import corpus as corpus_lib


class Protocol(NamedTuple):
  """Holds the keys of `config.protocol` that splitting needs.

  Attributes:
    split: `corpus`, `leave_one_session_out`, `leave_one_speaker_out`,
      `group_kfold`, `kfold`, `random` or `file`.
    folds: The folds to run, from 1; empty for all.
    train: For `corpus` and `file`, the name of the training split.
    validation: Their name of the validation split; for `corpus` also "", for
      one group of k of the training split.
    test: Their name of the test split.
    allow_speaker_overlap: Whether a speaker may be on two sides.
    k: For `group_kfold` and `kfold`, how many folds there are.
    split_file: For `file`, the table of the ids.
    split_digest: The SHA-256 that the file must have; "" for any.
    allow_identical: Whether utterances of one text or of the same features may
      be on two sides, under the protocols that ask.
  """

  split: str
  folds: tuple[int, ...]
  train: str
  validation: str
  test: str
  allow_speaker_overlap: bool
  k: int = 5
  split_file: str = ""
  split_digest: str = ""
  allow_identical: bool = False

  @classmethod
  def from_config(cls, config: Any) -> "Protocol":
    """Reads the protocol from `config.protocol`."""
    return cls(**{name: config[name] for name in cls._fields})


class Rows(NamedTuple):
  """Holds what splitting needs of every utterance; `""` where unknown.

  Attributes:
    ids: (n,) text.
    speakers: (n,) text.
    sessions: (n,) text.
    splits: (n,) text, the corpus's own.
    labelled: (n,) bool.
    labels: (n, k), whose shares groups are to have alike; None for none.
    digests: Of each utterance's text and features, see `data.duplicates`; ()
      where they are not known, and none is the same.
  """

  ids: np.ndarray
  speakers: np.ndarray
  sessions: np.ndarray
  splits: np.ndarray
  labelled: np.ndarray
  labels: np.ndarray | None = None
  digests: Sequence[Mapping[str, bytes]] = ()

  @classmethod
  def from_corpus(cls, corpus: corpus_lib.Corpus) -> "Rows":
    """Takes the rows of a corpus that was read."""
    return cls(
      ids=corpus.columns["id"],
      speakers=corpus.columns["speaker"],
      sessions=corpus.columns["session"],
      splits=corpus.columns["split"],
      labelled=corpus.labelled,
      labels=corpus.labels,
      digests=corpus.digests,
    )


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
