"""Holds what a user may choose of how shards are written."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Options:
  """Holds how a corpus is written, whatever its source.

  Attributes:
    nonfinite: A policy of `nonfinite.POLICIES`.
    num_shards: 0 lets TFDS choose by size.
    file_format: One of `FILE_FORMATS`.
  """

  nonfinite: str
  num_shards: int
  file_format: str
