"""Counts the emotions of labelled utterances, and refuses corpora of one."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError


def require_two(corpus: corpus_lib.Corpus) -> corpus_lib.Corpus:
  """Makes a corpus whose passes end in an error where it has one class only.

  The check stands behind the last example of a pass, so that a conversion
  fails before anything is written. A single labelled utterance may stand.
  """

  def examples() -> Iterator[corpus_lib.Example]:
    labelled, positive = 0, np.zeros(len(corpus.emotions), np.int64)
    for example in corpus.examples():
      if example.labels is not None:
        labelled += 1
        positive += np.asarray(example.labels) > 0
      yield example
    _check(corpus, labelled, positive)

  return dataclasses.replace(corpus, examples=examples)


def _check(
  corpus: corpus_lib.Corpus, labelled: int, positive: np.ndarray
) -> None:
  if labelled < 2:
    return
  if corpus.label_type == "single" and np.count_nonzero(positive) == 1:
    name = corpus.emotions[int(positive.argmax())]
    raise UserError(
      f"{corpus.name}: all {labelled} labelled utterances are {name!r}; one"
      " class cannot be learnt, expected two at least: check the labels, or"
      " leave them out"
    )
  if not np.any((positive > 0) & (positive < labelled)):
    raise UserError(
      f"{corpus.name}: every emotion is present in all {labelled} labelled"
      " utterances or in none; nothing can be learnt from such labels, check"
      " them"
    )


def warnings(manifest: dict) -> list[str]:
  """Lists the emotions that no labelled utterance has, or that all have."""
  counts = manifest["counts"]
  labelled = counts["labelled"]
  lines = []
  for name, count in counts["by_emotion"].items():
    if labelled and not count:
      lines.append(f"no labelled utterance has the emotion {name!r}")
    elif labelled > 1 and count == labelled:
      lines.append(f"every labelled utterance has the emotion {name!r}")
  return lines
