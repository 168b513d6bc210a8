"""Which unlabelled utterances a run trains on, and how they fill its batches.

All draws are by seed; rows are row numbers of the corpus.
"""

import zlib

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import schema, splits, tables

# What must be the same for the features of two folders to mean the same.
_SPEC = ("dim", "columns", "padding")


def join(
  corpus: corpus_lib.Corpus, other: corpus_lib.Corpus, *, resident: bool
) -> corpus_lib.Corpus:
  """Puts another corpus's utterances, without their labels, behind one's own.

  Args:
    corpus: The labelled one. All that is not a row stays as it is here.
    other: Read with the same modalities. Its texts get its name in front, so
      that a speaker of one is none of the other; it has no split.
    resident: Whether the features are to be in memory.

  Raises:
    UserError: The features are not of one kind.
  """
  name = other.manifest["name"]
  for modality in corpus.shapes:
    _check_same(corpus, other, modality)
  if not _same_words(corpus, other):
    raise errors.UserError(
      f"the unlabelled shards {name} have lexical features of other word"
      f" vectors or another tokeniser than {corpus.manifest['name']}; convert"
      " both with the same --word_vectors"
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
    table=table,
    dataset={**corpus.dataset, "unlabelled": other.dataset},
  )


def _check_same(
  corpus: corpus_lib.Corpus, other: corpus_lib.Corpus, modality: str
) -> None:
  ours, theirs = (
    each.manifest["modalities"][modality] for each in (corpus, other)
  )
  for key in _SPEC:
    if ours[key] == theirs[key]:
      continue
    got, expected = theirs[key], ours[key]
    if key == "columns":
      pairs = zip(theirs[key], ours[key], strict=True)
      got, expected = next((a, b) for a, b in pairs if a != b)
    raise errors.UserError(
      f"the unlabelled shards {other.manifest['name']} have {modality}"
      f" features of {key} {got}, expected {expected} as in"
      f" {corpus.manifest['name']}; convert both in the same way"
    )


def _same_words(corpus: corpus_lib.Corpus, other: corpus_lib.Corpus) -> bool:
  """Whether words, where both have any, became vectors in the same way."""
  if "lexical" not in corpus.shapes:
    return True
  ways = []
  for manifest in (corpus.manifest, other.manifest):
    text = manifest.get("text") or {}
    options = manifest["converter"]["options"]
    ways.append(
      (
        text.get("tokeniser"),
        text.get("oov_policy"),
        options.get("word_vectors"),
      )
    )
  return ways[0] == ways[1]


def pool(rows: splits.Rows, fold: splits.Fold) -> np.ndarray:
  """The unlabelled rows that say nothing of what a fold holds out.

  Those of a speaker, a session or a split of the corpus that is there only in
  the fold's validation or test rows are left out.

  Args:
    rows: Of the corpus.
    fold: Of the labelled ones.

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
  """Takes as many rows of each class, by sub- and by over-sampling.

  Source: Liang et al. 2020, section 4.2.
  Deviation: a row of a rare class comes back as often as any other of it, to
  one; the paper does not say how it over-samples.

  Args:
    rows: To take from.
    classes: What a classifier takes each for.
    per_class: Of each class that was found at all.
    rng: Where the draw comes from.

  Returns:
    Rows in random order; those of a rare class more than once.
  """
  taken = []
  for found in np.unique(classes):
    mine = rows[classes == found]
    times, rest = divmod(per_class, len(mine))
    taken += [np.tile(mine, times), rng.choice(mine, rest, replace=False)]
  return rng.permutation(np.concatenate(taken)).astype(rows.dtype)


def append_unlabelled(
  batches: np.ndarray, rows: np.ndarray, *, seed: int, stage: int, epoch: int
) -> np.ndarray:
  """Puts as many unlabelled rows behind those of every batch.

  An epoch is one of the labelled rows. It goes through the unlabelled ones in
  an order of its own, from the start again where they do not suffice.

  Args:
    batches: (steps, b).
    rows: The unlabelled ones; where there are none, fillers take their place.
    seed: Of the run.
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
