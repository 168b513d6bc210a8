"""Holds what a user may choose of how shards are written."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from data_prep.corpus import corpus as corpus_lib
from data_prep.writing import pool

# Ours: fewer utterances are ready before a second process is.
_FEW_MADE = 64
_FEW_READ = 4096


@dataclasses.dataclass(frozen=True)
class Options:
  """Holds how a corpus is written, whatever its source.

  Attributes:
    nonfinite: A policy of `nonfinite.POLICIES`.
    num_shards: 0 lets TFDS choose by size.
    file_format: One of `FILE_FORMATS`.
    workers: Processes; 0 for one per core, where there is enough to do.
  """

  nonfinite: str
  num_shards: int
  file_format: str
  workers: int = 0

  def run(
    self,
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    corpus: corpus_lib.Corpus,
  ) -> Iterator[Any]:
    """Yields what a function makes of each task, in the order of the tasks."""
    workers = self.workers
    if not workers:
      few = _FEW_READ if corpus.make is None else _FEW_MADE
      workers = pool.cores() if (corpus.total or 0) > few else 1
    return pool.run(function, tasks, workers)
