"""Counts utterances, labels and frames while shards are written."""

import hashlib
from collections import Counter
from typing import Any

import numpy as np

from data_prep.corpus import corpus as corpus_lib


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

  def add(self, rows: np.ndarray) -> None:
    """Adds some rows."""
    count = len(rows)
    if not count:
      return
    rows = rows.astype(np.float64)
    mean = rows.mean(axis=0)
    delta = mean - self.mean
    total = self.count + count
    self.mean += delta * count / total
    self._squares += ((rows - mean) ** 2).sum(axis=0)
    self._squares += delta**2 * self.count * count / total
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
    self.max_length = dict.fromkeys(corpus.modalities, 0)
    self._digests: list[bytes] = []
    self._moments = {
      name: Moments(modality.dim)
      for name, modality in corpus.modalities.items()
    }

  def add(self, example: corpus_lib.Example, record: dict[str, Any]) -> None:
    """Adds one example and its record."""
    self._digests.append(_digest(record))
    split = example.split
    self._by_split[split] += 1
    self._labelled += record["labelled"]
    zeros = np.zeros(len(self._corpus.emotions), np.int64)
    self._labels.setdefault(split, zeros)
    if record["labelled"]:
      self._labels[split] = self._labels[split] + (record["labels"] > 0)
    self._speakers.update([example.speaker] if example.speaker else [])
    self._sessions.update([example.session] if example.session else [])
    for name, modality in self._corpus.modalities.items():
      frames = record[name]
      self._present[name] += len(frames) > 0
      self.max_length[name] = max(self.max_length[name], len(frames))
      if split == "train":
        if modality.padding == corpus_lib.ZERO_ROWS:
          frames = frames[frames.any(axis=1)]
        self._moments[name].add(frames)

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
