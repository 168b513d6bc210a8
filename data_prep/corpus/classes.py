"""Counts the emotions of labelled utterances, and refuses corpora of one."""

from collections.abc import Sequence

import numpy as np

from data_prep.corpus import corpus as corpus_lib
from mmer_jax.base.errors import UserError


def require_two(
  corpus: corpus_lib.Corpus, labelled: int, having: Sequence[int]
) -> None:
  """Refuses a corpus of one class; a single labelled utterance may stand.

  So may a part of a corpus whose emotions are published: training refuses it.

  Args:
    corpus: Names the emotions.
    labelled: How many utterances have labels.
    having: How many of them have each emotion.

  Raises:
    UserError: There is nothing to learn from the labels.
  """
  positive = np.asarray(having)
  if labelled < 2 or corpus.fixed_emotions:
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
