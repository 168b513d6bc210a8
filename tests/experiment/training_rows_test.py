"""Training rows that cannot teach what a run is judged on."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import partition
from mmer_jax.experiment import records, training_rows


def corpus(labels, acoustic):
  """A corpus of which only labels and presence matter."""
  labels = np.asarray(labels, np.float32)
  ones = np.ones(len(labels), bool)
  return corpus_lib.Corpus(
    manifest={},
    emotions=("sad", "glad", "angry"),
    vectors=np.zeros((3, 0), np.float32),
    columns={},
    labels=labels,
    labelled=ones,
    present={"lexical": ones, "acoustic": np.asarray(acoustic, bool)},
    shapes={},
    table=None,
    dataset={},
  )


def record(train, *, unseen=(), setting=None):
  rows = np.asarray(train)
  fold = partition.Fold(1, "one", rows, rows[:0], rows[:0])
  setting = setting or {}
  return records.RunRecord(0, 0, fold, setting, unseen, (), (), rows[:0])


CLASSES = np.eye(3)[[0, 1, 0, 1, 2, 2]]
PRESENT = [False, False, False, False, True, True]


def test_rows_that_teach_everything_bring_no_warning():
  made = corpus(CLASSES, np.ones(6))
  check = training_rows.check_training_rows
  assert check(made, [record(range(6))], "softmax") == ()


def test_a_modality_that_no_training_row_has_is_named():
  made = corpus(CLASSES, PRESENT)
  runs = [record([0, 1, 2, 3, 4])]
  assert training_rows.check_training_rows(made, runs, "softmax") == ()
  runs = [record([0, 1, 2, 3]), record([0, 1, 2, 3])]
  got = training_rows.check_training_rows(made, runs, "softmax")
  assert len(got) == 2
  assert "fold one: no training utterance has acoustic" in got[0]
  assert "fold one: no training utterance is angry" in got[1]


def test_a_run_that_does_not_see_the_modality_is_not_warned_of():
  made = corpus(CLASSES, PRESENT)
  runs = [record([0, 1, 2, 3], setting={"modalities": "lexical"})]
  got = training_rows.check_training_rows(made, runs, "softmax")
  assert not any("acoustic" in sentence for sentence in got)


def test_an_emotion_that_is_left_out_on_purpose_is_not_warned_of():
  made = corpus(CLASSES, np.ones(6))
  runs = [record([0, 1, 2, 3], unseen=("angry",))]
  assert training_rows.check_training_rows(made, runs, "binary") == ()


def test_an_emotion_of_every_row_is_named():
  labels = np.asarray([[1, 0, 1], [1, 1, 0]])
  made = corpus(labels, [True, True])
  got = training_rows.check_training_rows(made, [record([0, 1])], "binary")
  assert len(got) == 1
  assert "every training utterance is sad" in got[0]


def test_one_class_is_refused():
  made = corpus(CLASSES, np.ones(6))
  with pytest.raises(errors.UserError, match="fold one are all sad, expected"):
    training_rows.check_training_rows(made, [record([0, 2])], "softmax")
