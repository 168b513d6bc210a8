"""Holds what a user may choose of how shards are written."""

import dataclasses

from data_prep.writing import beam as beam_lib


@dataclasses.dataclass(frozen=True)
class Options:
  """Holds how a corpus is written, whatever its source.

  Attributes:
    nonfinite: A policy of `nonfinite.POLICIES`.
    num_shards: 0 lets TFDS choose by size.
    file_format: One of `FILE_FORMATS`.
    workers: Processes; 0 for one, and one per core where that takes long.
    beam: Does the work in their place; None to go without.
  """

  nonfinite: str
  num_shards: int
  file_format: str
  workers: int = 0
  beam: beam_lib.Beam | None = None
