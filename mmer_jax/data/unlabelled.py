"""Joins unlabelled utterances to a corpus and puts them into its batches.

All draws are by seed; rows are row numbers of the corpus.
"""

import zlib

import numpy as np

from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import identity, partition, schema, tables


def join(
  corpus: corpus_lib.Corpus, other: corpus_lib.Corpus, *, resident: bool
) -> corpus_lib.Corpus:
  """Appends another corpus's utterances, without their labels, to a corpus.

  Args:
    corpus: The labelled corpus; emotions, vectors and manifest stay its own.
    other: The unlabelled corpus, read with the same modalities. Its ids,
      speakers and sessions get its name in front, so that a speaker of one is
      none of the other; it has no split.
    resident: Whether the features are to be in memory.

  Raises:
    UserError: The features are not of one kind; their columns must be in
      order, as `load_corpus` puts them.
  """
  name = other.manifest["name"]
  identity.check(
    other.identity,
    corpus.identity,
    corpus.shapes,
    where=f"the unlabelled shards {name}",
    fix=f"convert them in the same way as {corpus.manifest['name']}",
  )
  count, more = len(corpus.labels), len(other.labels)
  table: tables.Table = tables.JoinedTable(
    corpus.table, other.table, (count, more)
  )
  if resident:
    rows = np.arange(count + more, dtype=np.int32)
    table = tables.ResidentTable(table.take(rows))
  columns = {}
  for key, values in corpus.columns.items():
    theirs = [
      f"{name}: {value}" if value else "" for value in other.columns[key]
    ]
    if key == "split":
      theirs = [""] * more
    columns[key] = np.concatenate([values, np.asarray(theirs)])
  return corpus._replace(
    columns=columns,
    labels=np.pad(corpus.labels, ((0, more), (0, 0))),
    labelled=np.pad(corpus.labelled, (0, more)),
    present={
      m: np.concatenate([flags, other.present[m]])
      for m, flags in corpus.present.items()
    },
    shapes={
      m: (max(length, other.shapes[m][0]), dim)
      for m, (length, dim) in corpus.shapes.items()
    },
    ratings=None
    if corpus.ratings is None
    else np.pad(
      corpus.ratings, ((0, more), (0, 0)), constant_values=np.float32(np.nan)
    ),
    table=table,
    dataset={**corpus.dataset, "unlabelled": other.dataset},
    digests=(*corpus.digests, *other.digests),
  )


def pool(rows: partition.Rows, fold: partition.Fold) -> np.ndarray:
  """Selects the unlabelled rows that reveal nothing a fold holds out.

  Those of a speaker, a session or a split of the corpus that is there only in
  the fold's validation or test rows are left out.

  Args:
    rows: The utterances of the corpus.
    fold: A partition of the labelled rows.

  Returns:
    Sorted rows.
  """
  kept = ~rows.labelled
  held_out = np.concatenate([fold.validation, fold.test])
  for column in (rows.speakers, rows.sessions, rows.splits):
    alone = np.setdiff1d(column[held_out], column[fold.train])
    kept = kept & ~np.isin(column, alone)
  return np.flatnonzero(kept)


def balance(
  rows: np.ndarray,
  classes: np.ndarray,
  *,
  per_class: int,
  rng: np.random.Generator,
) -> np.ndarray:
  """Samples as many rows of each class, by under- and by over-sampling.

  Source: Liang et al. 2020, section 4.2.
  Deviation: a row of a rare class comes back as often as any other of it, to
  one; the paper does not say how it over-samples.

  Args:
    rows: The rows to sample from.
    classes: The class that a classifier predicts for each row.
    per_class: Rows per class, of each class that was predicted at all.
    rng: The generator of the draw.

  Returns:
    Rows in random order; those of a rare class more than once.
  """
  taken = []
  for predicted in np.unique(classes):
    of_class = rows[classes == predicted]
    times, rest = divmod(per_class, len(of_class))
    taken += [
      np.tile(of_class, times),
      rng.choice(of_class, rest, replace=False),
    ]
  return rng.permutation(np.concatenate(taken)).astype(rows.dtype)


def append_unlabelled(
  batches: np.ndarray, rows: np.ndarray, *, seed: int, stage: int, epoch: int
) -> np.ndarray:
  """Appends as many unlabelled rows as a batch has to every batch.

  An epoch is one of the labelled rows. It goes through the unlabelled ones in
  an order of its own, from the start again where they do not suffice.

  Args:
    batches: (steps, b).
    rows: The unlabelled rows; where there are none, `schema.PAD_ROW` takes
      their place.
    seed: The run's.
    stage: Number of the stage, from 0.
    epoch: Number of the epoch, from 0.

  Returns:
    (steps, 2 b).
  """
  other = np.full(batches.size, schema.PAD_ROW, np.int32)
  if len(rows):
    stream = zlib.crc32(b"unlabelled")
    rng = np.random.default_rng([seed, stream, stage, epoch])
    times = -(-batches.size // len(rows))
    orders = [rng.permutation(rows) for _ in range(times)]
    other = np.concatenate(orders)[: batches.size].astype(np.int32)
  return np.concatenate([batches, other.reshape(batches.shape)], axis=1)
