"""Has chunks prepared and shards written, by whom the options say."""

from collections.abc import Iterator, Sequence

from data_prep.corpus import corpus as corpus_lib
from data_prep.writing import beam, chunks, pool, rows, shards
from data_prep.writing import options as options_lib

# Ours: fewer utterances are ready before a second process is.
_FEW_MADE = 64
_FEW_READ = 20_000


def prepare(
  options: options_lib.Options,
  preparer: rows.Preparer,
  tasks: Iterator[chunks.Chunk],
  corpus: corpus_lib.Corpus,
) -> Iterator[int]:
  """Yields the numbers of chunks in order, when their parts are there."""
  folder = preparer.folder
  if options.beam is not None:
    tasks = beam.spilled(tasks, folder.path.with_suffix(".spilled"))
    return options.beam.run(preparer, tasks, lambda t: folder.has(t.number))
  workers = options.workers
  if not workers:
    few = _FEW_READ if corpus.make is None else _FEW_MADE
    workers = pool.cores() if (corpus.total or 0) > few else 1
  return pool.run(preparer, tasks, workers)


def write(
  options: options_lib.Options,
  writer: shards.Writer,
  plans: Sequence[shards.Shard],
) -> Iterator[int]:
  """Yields the numbers of shards in order, when they are written."""
  if options.beam is not None:
    return options.beam.run(writer, plans, lambda s: s.path.exists())
  return pool.run(writer, plans, 1)
