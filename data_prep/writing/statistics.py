"""Counts utterances, labels and frames while shards are written.

What an utterance adds is computed wherever it is encoded; the sums are made in
the order of the corpus, in one process. So they are the same to the last bit,
however the work was divided.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from data_prep.corpus import corpus as corpus_lib


class Moment(NamedTuple):
  """Holds what some rows add to `Moments`.

  Attributes:
    count: How many rows.
    mean: Their mean.
    squares: The sum of the squared distances from their mean.
  """

  count: int
  mean: np.ndarray
  squares: np.ndarray

  @classmethod
  def of(cls, rows: np.ndarray) -> Self:
    """Computes it of one row or more."""
    rows = rows.astype(np.float64)
    mean = rows.mean(axis=0)
    return cls(len(rows), mean, ((rows - mean) ** 2).sum(axis=0))


class Moments:
  """Computes mean and variance of rows, batch by batch in float64.

  Source: Chan, Golub and LeVeque 1979, the pairwise update of Welford's
  recurrence.
  """

  def __init__(self, dim: int) -> None:
    """Takes the width of a row."""
    self.count = 0
    self.mean = np.zeros(dim)
    self._squares = np.zeros(dim)

  def add(self, moment: Moment) -> None:
    """Adds some rows; their order decides the last bits."""
    total = self.count + moment.count
    delta = moment.mean - self.mean
    self.mean += delta * moment.count / total
    self._squares += moment.squares
    self._squares += delta**2 * self.count * moment.count / total
    self.count = total

  @property
  def std(self) -> np.ndarray:
    """The population's standard deviation; 0 for a constant column."""
    return np.sqrt(self._squares / max(self.count, 1))


def _digest(record: dict[str, Any]) -> bytes:
  """Computes the SHA-256 of what a record holds, names of fields included."""
  sha = hashlib.sha256()
  for name in sorted(record):
    value = record[name]
    if isinstance(value, np.ndarray) and value.dtype != object:
      content = np.ascontiguousarray(value).tobytes()
    elif isinstance(value, np.ndarray):
      content = b"".join(b"%d:%s" % (len(part), part) for part in value)
    else:
      content = str(value).encode()
    sha.update(f"{name} {np.shape(value)} {len(content)}\n".encode())
    sha.update(content)
  return sha.digest()


class Row(NamedTuple):
  """Holds what one utterance adds to the counts.

  Attributes:
    id: As in `Example`; so are `where`, `split`, `speaker` and `session`.
    labels: Whether each emotion is present; None where unlabelled.
    lengths: Modality to number of frames.
    digest: The SHA-256 of the record, in hexadecimal digits.
    ratings: By rating; None where it was not given. Empty in a corpus without.
  """

  id: str
  where: str
  split: str
  speaker: str
  session: str
  labels: list[bool] | None = None
  lengths: Mapping[str, int] = {}
  digest: str = ""
  ratings: Sequence[float | None] = ()

  @classmethod
  def of(cls, example: corpus_lib.Example) -> Self:
    """Takes what says who an utterance is."""
    return cls(
      example.id,
      example.where,
      example.split,
      example.speaker,
      example.session,
    )


def summarise(
  corpus: corpus_lib.Corpus, row: Row, record: dict[str, Any]
) -> tuple[Row, dict[str, Moment]]:
  """Completes a row, and computes the moments of its frames to train on."""
  moments = {}
  for name, modality in corpus.modalities.items():
    frames = record[name]
    if modality.padding == corpus_lib.ZERO_ROWS:
      frames = frames[frames.any(axis=1)]
    if row.split == "train" and len(frames):
      moments[name] = Moment.of(frames)
  labels = (record["labels"] > 0).tolist() if record["labelled"] else None
  lengths = {name: len(record[name]) for name in corpus.modalities}
  row = row._replace(
    labels=labels,
    lengths=lengths,
    digest=_digest(record).hex(),
    ratings=[
      None if np.isnan(value) else float(value)
      for value in record.get("ratings", ())
    ],
  )
  return row, moments


class Statistics:
  """Counts what the manifest records while the shards are written."""

  def __init__(self, corpus: corpus_lib.Corpus) -> None:
    """Takes the description of the corpus."""
    self._corpus = corpus
    self._by_split: Counter[str] = Counter()
    self._labels: dict[str, np.ndarray] = {}
    self._labelled = 0
    self._present: Counter[str] = Counter()
    self._speakers: set[str] = set()
    self._sessions: set[str] = set()
    self._ratings: list[list[float]] = [[] for _ in corpus.ratings]
    self.max_length = dict.fromkeys(corpus.modalities, 0)
    self._digests: list[bytes] = []
    self._moments = {
      name: Moments(modality.dim)
      for name, modality in corpus.modalities.items()
    }

  def add(self, row: Row, moments: Mapping[str, Moment]) -> None:
    """Adds one utterance, in the order of the corpus."""
    self._digests.append(bytes.fromhex(row.digest))
    self._by_split[row.split] += 1
    self._labelled += row.labels is not None
    zeros = np.zeros(len(self._corpus.emotions), np.int64)
    self._labels.setdefault(row.split, zeros)
    if row.labels is not None:
      self._labels[row.split] = self._labels[row.split] + row.labels
    self._speakers.update([row.speaker] if row.speaker else [])
    self._sessions.update([row.session] if row.session else [])
    for values, value in zip(self._ratings, row.ratings, strict=True):
      values += [] if value is None else [value]
    for name, length in row.lengths.items():
      self._present[name] += length > 0
      self.max_length[name] = max(self.max_length[name], length)
    for name, moment in moments.items():
      self._moments[name].add(moment)

  def content_sha256(self) -> str:
    """Returns the SHA-256 of all records, whatever their order."""
    return hashlib.sha256(b"".join(sorted(self._digests))).hexdigest()

  def counts(self) -> dict[str, Any]:
    """Returns the manifest's `counts`."""
    emotions = self._corpus.emotions

    def named(values: np.ndarray) -> dict[str, int]:
      return dict(zip(emotions, map(int, values), strict=True))

    return {
      "examples": self._by_split.total(),
      "labelled": int(self._labelled),
      "by_split": dict(sorted(self._by_split.items())),
      "by_emotion": named(sum(self._labels.values())),
      "by_split_emotion": {
        split: named(values) for split, values in sorted(self._labels.items())
      },
      "present": {name: self._present[name] for name in self._moments},
      "speakers": len(self._speakers),
      "sessions": len(self._sessions),
      **self._rating_counts(),
    }

  def _rating_counts(self) -> dict[str, Any]:
    """Describes the values of each rating; nothing for a corpus without."""
    if not self._corpus.ratings:
      return {}
    return {
      "ratings": {
        rating.name: {
          "count": len(values),
          "mean": math.fsum(values) / len(values) if values else None,
          "min": min(values, default=None),
          "max": max(values, default=None),
        }
        for rating, values in zip(
          self._corpus.ratings, self._ratings, strict=True
        )
      }
    }

  def normalisation(self) -> dict[str, Any] | None:
    """Returns the manifest's `normalisation`; None without a training split."""
    if not self._by_split["train"]:
      return None
    return {
      name: {
        "mean": moments.mean.tolist(),
        "std": moments.std.tolist(),
        "count": moments.count,
      }
      for name, moments in self._moments.items()
    }
