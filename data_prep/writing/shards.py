"""Sorts the records of all parts into shards, one shard in memory at a time.

Order and cut are TFDS's: by the hash of the id, into shards as equal as can be.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tensorflow_datasets.core import naming
from tensorflow_datasets.core.utils import shard_utils

from data_prep.writing import builder
from data_prep.writing import parts as parts_lib
from mmer_jax.base.errors import UserError


class Piece(NamedTuple):
  """Says which records of a part belong to a shard; they are neighbours.

  Attributes:
    number: Of the part.
    start: The byte where the first of them begins.
    keys: Their keys.
    sizes: Their bytes.
  """

  number: int
  start: int
  keys: np.ndarray
  sizes: np.ndarray


class Shard(NamedTuple):
  """Says what is in a shard, and where it goes."""

  path: str
  pieces: Sequence[Piece]


class Writer:
  """Writes shards; can be copied into other processes."""

  def __init__(self, folder: parts_lib.Folder, file_format: str) -> None:
    """Takes the folder of the parts."""
    self._folder = folder
    self._file_format = file_format

  def __call__(self, shard: Shard) -> int:
    """Writes a shard and returns how many records it holds."""
    records: list[tuple[bytes, bytes]] = []
    for piece in shard.pieces:
      ends = np.cumsum(piece.sizes).tolist()
      stop = piece.start + ends[-1]
      content = self._folder.read(piece.number, piece.start, stop)
      slices = zip([0, *ends], ends, strict=False)
      for key, (begin, end) in zip(piece.keys, slices, strict=True):
        records.append((key.tobytes(), content[begin:end]))
    records.sort()
    builder.write_records(shard.path, records, self._file_format)
    return len(records)


def plan(
  keys: Sequence[np.ndarray],
  sizes: Sequence[np.ndarray],
  template: naming.ShardedFileTemplate,
  num_shards: int,
) -> tuple[list[Shard], int]:
  """Says which record goes into which shard.

  Args:
    keys: By part: the keys of its records, ascending, 16 bytes each.
    sizes: By part: the bytes of its records.
    template: Names the files.
    num_shards: 0 lets TFDS choose by size.

  Returns:
    The shards, and the bytes of all records.
  """
  total = int(sum(each.sum() for each in sizes))
  count = sum(map(len, keys))
  config = shard_utils.ShardConfig(num_shards=num_shards or None)
  num_shards = config.get_number_shards(total, count)
  ends = shard_utils.get_shard_boundaries(count, num_shards)
  shard_of = _shards_of(keys, ends)
  pieces: list[list[Piece]] = [[] for _ in ends]
  begin = 0
  for number, (its_keys, its_sizes) in enumerate(zip(keys, sizes, strict=True)):
    mine = shard_of[begin : begin + len(its_keys)]
    begin += len(its_keys)
    starts = np.cumsum(its_sizes) - its_sizes
    for shard in np.unique(mine):
      where = slice(*np.searchsorted(mine, [shard, shard + 1]))
      start = int(starts[where][0])
      pieces[shard].append(
        Piece(number, start, its_keys[where], its_sizes[where])
      )
  paths = (
    str(template.sharded_filepath(shard_index=i, num_shards=num_shards))
    for i in range(num_shards)
  )
  return [Shard(*each) for each in zip(paths, pieces, strict=True)], total


def _shards_of(keys: Sequence[np.ndarray], ends: Sequence[int]) -> np.ndarray:
  """Finds the shard of every record, part after part."""
  every = np.concatenate(list(keys)).view(">u8").reshape(-1, 2)
  order = np.lexsort((every[:, 1], every[:, 0]))
  same = (np.diff(every[order].astype(np.uint64), axis=0) == 0).all(axis=1)
  if same.any():
    raise UserError(
      "two ids are the same but for / and \\, expected ids that differ;"
      " rename one"
    )
  shard_of = np.empty(len(every), np.int64)
  shard_of[order] = np.searchsorted(ends, np.arange(len(every)), side="right")
  return shard_of
