"""Makes the ratings of a corpus what is learnt, in place of its emotions."""

from collections.abc import Sequence

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib


def as_targets(
  corpus: corpus_lib.Corpus, names: Sequence[str]
) -> corpus_lib.Corpus:
  """Puts ratings in the place of the emotions of a corpus.

  Args:
    corpus: The shards, read.
    names: The ratings to learn, in this order; empty for all.

  Returns:
    The corpus with the ratings for `emotions`, their values for `labels`, and
    `labelled` where all of them are given; labels are 0 where not all are.

  Raises:
    UserError: The shards have no such rating, or no utterance has them all.
  """
  where, known = corpus.manifest["name"], corpus.rating_names
  if corpus.ratings is None or not known:
    raise errors.UserError(
      f"{where} has no ratings, which config.protocol.decision"
      ' "regression" learns; convert a corpus that has some, or set'
      ' config.protocol.decision to "softmax" or "binary"'
    )
  names = tuple(names) or known
  if set(names) - set(known) or len(set(names)) < len(names):
    raise errors.UserError(
      f"config.data.ratings is {names}, expected different ones of"
      f" {', '.join(known)}, the ratings of {where}"
    )
  columns = [known.index(name) for name in names]
  values = np.asarray(corpus.ratings[:, columns], np.float32)
  rated = np.isfinite(values).all(axis=1)
  if not rated.any():
    raise errors.UserError(
      f"no utterance of {where} has {' and '.join(names)}, expected some that"
      " have all; choose other config.data.ratings"
    )
  labels = np.where(rated[:, None], values, np.float32(0))
  return corpus._replace(
    emotions=names,
    vectors=np.zeros((len(names), 0), np.float32),
    labels=labels,
    labelled=rated,
    table=corpus.table.with_labels(labels, rated),
    rating_names=names,
    rating_ranges=tuple(corpus.rating_ranges[index] for index in columns),
    ratings=values,
  )


def levels(corpus: corpus_lib.Corpus) -> np.ndarray:
  """Tells which ratings lie above the middle of their scale, (n, k) bool.

  Groups of a cross-validation have about the same share of each.

  Args:
    corpus: From `as_targets`.
  """
  middle = np.asarray(corpus.rating_ranges, np.float64).mean(axis=1)
  return corpus.labelled[:, None] & (corpus.labels > middle)
