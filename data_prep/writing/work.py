"""Has chunks prepared and shards written, by whom the options say."""

from collections.abc import Iterator, Sequence

from data_prep.writing import beam, chunks, pool, rows, shards
from data_prep.writing import options as options_lib


def prepare(
  options: options_lib.Options,
  preparer: rows.Preparer,
  tasks: Iterator[chunks.Chunk],
) -> Iterator[int]:
  """Yields the numbers of chunks in order, when their parts are there."""
  folder = preparer.folder
  if options.beam is not None:
    tasks = beam.spilled(tasks, folder.path.with_suffix(".spilled"))
    return options.beam.run(preparer, tasks, lambda t: folder.has(t.number))
  return pool.run(preparer, tasks, options.workers)


def write(
  options: options_lib.Options,
  writer: shards.Writer,
  plans: Sequence[shards.Shard],
) -> Iterator[int]:
  """Yields the numbers of shards in order, when they are written."""
  if options.beam is not None:
    return options.beam.run(writer, plans, lambda s: s.path.exists())
  return pool.run(writer, plans, 1)
