"""Sorts the records of all parts into shards, one shard in memory at a time.

Order and cut are TFDS's: by the hash of the id, into shards as equal as can be.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tensorflow_datasets.core import naming
from tensorflow_datasets.core.utils import shard_utils

from data_prep.writing import builder
from data_prep.writing import parts as parts_lib
from mmer_jax.base.errors import UserError


class Shard(NamedTuple):
  """Says what is in a shard, and where it goes.

  Attributes:
    number: Of the shard, from 0.
    path: The file to write.
    plan: A file that says which records are in it.
    length: How many they are.
  """

  number: int
  path: pathlib.Path
  plan: pathlib.Path
  length: int


class Writer:
  """Writes shards; can be copied into other processes."""

  def __init__(self, folder: parts_lib.Folder, file_format: str) -> None:
    """Takes the folder of the parts."""
    self._folder = folder
    self._file_format = file_format

  def __call__(self, shard: Shard) -> None:
    """Writes a shard."""
    with np.load(shard.plan, allow_pickle=False) as file:
      plan = {name: file[name] for name in file.files}
    # Those of a part are neighbours in it.
    content = b"".join(
      self._folder.read(number, start, stop)
      for number, start, stop in plan["pieces"].tolist()
    )
    stops = np.cumsum(plan["sizes"])
    starts = stops - plan["sizes"]
    view = memoryview(content)
    records = (
      (None, bytes(view[starts[place] : stops[place]]))
      for place in _order(plan["keys"])
    )
    # Whole or absent, even where two machines have got the same shard.
    path = parts_lib.unfinished(shard.path)
    builder.write_records(path, records, self._file_format)
    path.rename(shard.path)


def plan(
  keys: Sequence[np.ndarray],
  sizes: Sequence[np.ndarray],
  template: naming.ShardedFileTemplate,
  num_shards: int,
  folder: pathlib.Path,
) -> tuple[list[Shard], int]:
  """Says which record goes into which shard.

  Args:
    keys: By part: the keys of its records, ascending, 16 bytes each.
    sizes: By part: the bytes of its records.
    template: Names the files.
    num_shards: 0 lets TFDS choose by size.
    folder: Takes the plans of the shards.

  Returns:
    The shards, and the bytes of all records.
  """
  every_key, every_size = np.concatenate(keys), np.concatenate(sizes)
  total = int(every_size.sum())
  config = shard_utils.ShardConfig(num_shards=num_shards or None)
  num_shards = config.get_number_shards(total, len(every_key))
  ends = shard_utils.get_shard_boundaries(len(every_key), num_shards)
  ranks = _ranks(every_key)
  shard_of = np.searchsorted(ends, ranks, side="right")
  part_of = np.repeat(np.arange(len(keys)), [len(each) for each in keys])
  first = np.searchsorted(part_of, np.arange(len(keys)))
  stops = np.cumsum(every_size)
  stops -= (stops - every_size)[first[part_of]]
  folder.mkdir(exist_ok=True)
  shards = []
  for number in range(num_shards):
    mine = np.flatnonzero(shard_of == number)
    parts, begins = np.unique(part_of[mine], return_index=True)
    lasts = np.append(begins[1:], len(mine)) - 1
    pieces = np.stack(
      [
        parts,
        (stops - every_size)[mine[begins]],
        stops[mine[lasts]],
      ],
      axis=1,
    )
    path = folder / f"{number:06d}.npz"
    np.savez(path, pieces=pieces, keys=every_key[mine], sizes=every_size[mine])
    target = template.sharded_filepath(
      shard_index=number, num_shards=num_shards
    )
    shards.append(Shard(number, pathlib.Path(target), path, len(mine)))
  return shards, total


def _order(keys: np.ndarray) -> np.ndarray:
  """Sorts keys of 16 bytes, as numbers of 128 bits."""
  halves = keys.view(">u8")
  return np.lexsort((halves[:, 1], halves[:, 0]))


def _ranks(keys: np.ndarray) -> np.ndarray:
  """Finds the place of every key among all."""
  order = _order(keys)
  if (keys[order[1:]] == keys[order[:-1]]).all(axis=1).any():
    raise UserError(
      "two ids are the same but for / and \\, expected ids that differ;"
      " rename one"
    )
  ranks = np.empty_like(order)
  ranks[order] = np.arange(len(order))
  return ranks
