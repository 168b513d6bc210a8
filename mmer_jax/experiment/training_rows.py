"""Checks what the training rows of the runs hold: modalities and emotions."""

from collections.abc import Sequence

import numpy as np

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.experiment import records as records_lib


def check_training_rows(
  corpus: corpus_lib.Corpus,
  records: Sequence[records_lib.RunRecord],
  decision: str,
) -> tuple[str, ...]:
  """Finds what a run reads or is judged on and cannot learn from its rows.

  Args:
    corpus: The shards, read.
    records: The runs.
    decision: `binary`, `softmax` or `regression`.

  Returns:
    A sentence for each modality and emotion of a fold that its training rows
    do not teach; such runs are trained all the same.

  Raises:
    UserError: The training rows of a fold are of one class, or have one
      rating, alone.
  """
  warnings: dict[str, None] = {}
  seen = set()
  for record in records:
    visible = _visible_modalities(corpus, record)
    key = (record.fold.train.tobytes(), visible, record.unseen)
    if key in seen:
      continue
    seen.add(key)
    labels = corpus.labels[record.fold.train] > 0
    if decision == "softmax":
      _check_classes(corpus, record, labels)
    sentences = _absent_modalities(corpus, record, visible)
    if decision == "regression":
      _check_ratings(corpus, record)
    else:
      sentences += _constant_emotions(corpus, record, labels)
    warnings.update(dict.fromkeys(sentences))
  return tuple(warnings)


def _visible_modalities(
  corpus: corpus_lib.Corpus, record: records_lib.RunRecord
) -> tuple[str, ...]:
  """Names the modalities that a run sees."""
  if "modalities" in record.setting:
    return tuple(str(record.setting["modalities"]).split("+"))
  return tuple(corpus.present)


def _check_classes(
  corpus: corpus_lib.Corpus,
  record: records_lib.RunRecord,
  labels: np.ndarray,
) -> None:
  """Refuses to train a softmax on one class."""
  classes = [
    name
    for name, column in zip(corpus.emotions, labels.T, strict=True)
    if column.any()
  ]
  if len(classes) < 2:
    raise errors.UserError(
      f"the training utterances of fold {record.fold.name} are all"
      f" {' '.join(classes)}, expected two emotions at least; check the labels"
      " of the conversion, config.data.emotions and config.protocol"
    )


def _check_ratings(
  corpus: corpus_lib.Corpus, record: records_lib.RunRecord
) -> None:
  """Refuses to learn a rating that never varies."""
  for name, column in zip(
    corpus.emotions, corpus.labels[record.fold.train].T, strict=True
  ):
    if column.min() == column.max():
      raise errors.UserError(
        f"the training utterances of fold {record.fold.name} all have {name}"
        f" {column[0]:g}, expected different values; check the ratings of the"
        " conversion, config.data.ratings and config.protocol"
      )


def _absent_modalities(
  corpus: corpus_lib.Corpus,
  record: records_lib.RunRecord,
  visible: Sequence[str],
) -> list[str]:
  """Says which modalities no training row has."""
  return [
    f"fold {record.fold.name}: no training utterance has {modality}, which the"
    " model reads: it learns nothing of it"
    for modality in visible
    if not corpus.present[modality][record.fold.train].any()
  ]


def _constant_emotions(
  corpus: corpus_lib.Corpus,
  record: records_lib.RunRecord,
  labels: np.ndarray,
) -> list[str]:
  """Says which emotions every training row has, or none."""
  sentences = []
  for name, column in zip(corpus.emotions, labels.T, strict=True):
    if name in record.unseen or column.any() != column.all():
      continue
    share = "every" if column.all() else "no"
    sentences.append(
      f"fold {record.fold.name}: {share} training utterance is {name}: the"
      " model cannot learn to tell it"
    )
  return sentences
