"""Which unlabelled rows are used, and where they stand in a batch."""

import numpy as np
import pytest

from mmer_jax.data import batches as batches_lib
from mmer_jax.data import partition, schema, splits, unlabelled


def corpus():
  """Three sessions of two speakers, four rows each, one of them unlabelled."""
  number = np.arange(24)
  return partition.Rows(
    ids=number.astype(str),
    speakers=np.asarray([f"s{i // 4}" for i in number]),
    sessions=np.asarray([f"{i // 8}" for i in number]),
    splits=np.where(number < 20, "train", "test"),
    labelled=number % 4 != 3,
  )


def fold_of(rows, protocol):
  made = partition.Protocol(
    split=protocol,
    folds=(1,),
    train="train",
    validation="test",
    test="test",
    allow_speaker_overlap=True,
  )
  return splits.make_folds(made, rows, seed=0)[0]


@pytest.mark.parametrize(
  "protocol", ["leave_one_session_out", "leave_one_speaker_out"]
)
def test_what_is_held_out_brings_no_unlabelled_row(protocol):
  rows = corpus()
  # The first session is held out: rows 3 and 7 are of it.
  got = unlabelled.pool(rows, fold_of(rows, protocol))
  np.testing.assert_array_equal(got, [11, 15, 19, 23])


def test_the_test_split_of_a_corpus_brings_none():
  rows = corpus()
  labelled = np.flatnonzero(rows.labelled)
  train = labelled[labelled < 20]
  fold = partition.Fold(1, "corpus", train, labelled[-2:], labelled[-1:])
  np.testing.assert_array_equal(unlabelled.pool(rows, fold), [3, 7, 11, 15, 19])


def test_a_random_split_holds_no_speaker_out():
  rows = corpus()
  labelled = np.flatnonzero(rows.labelled)
  fold = partition.Fold(
    1, "random", labelled[::3], labelled[1::3], labelled[2::3]
  )
  got = unlabelled.pool(rows, fold)
  np.testing.assert_array_equal(got, np.flatnonzero(~rows.labelled))


@pytest.mark.parametrize("per_class", [1, 4, 9])
def test_every_class_that_was_found_counts_alike(per_class):
  rows = np.arange(100, 112)
  classes = np.asarray([0] * 7 + [2] * 4 + [3])
  got = unlabelled.balance(
    rows, classes, per_class=per_class, rng=np.random.default_rng(0)
  )
  assert len(got) == 3 * per_class
  times = np.bincount(got, minlength=112)[100:]
  for found in (0, 2, 3):
    of_class = times[classes == found]
    assert of_class.sum() == per_class
    # No row of a class comes back while another has not been taken.
    assert of_class.max() - of_class.min() <= 1


def test_unlabelled_rows_fill_the_second_half_of_every_batch():
  batches = batches_lib.in_batches(np.arange(10), 4)
  rows = np.arange(50, 55)

  def make(**changes):
    where = {"seed": 1, "stage": 0, "epoch": 0, **changes}
    return unlabelled.append_unlabelled(batches, rows, **where)

  got = make()
  assert got.shape == (3, 8) and got.dtype == np.int32
  np.testing.assert_array_equal(got[:, :4], batches)
  # Twelve places for five rows: each is there twice or three times.
  times = np.bincount(got[:, 4:].ravel(), minlength=55)[50:]
  assert times.sum() == 12 and set(times) == {2, 3}
  np.testing.assert_array_equal(make(), got)
  for other in ({"seed": 2}, {"stage": 1}, {"epoch": 1}):
    assert (make(**other)[:, 4:] != got[:, 4:]).any()


def test_without_unlabelled_rows_there_are_fillers():
  batches = batches_lib.in_batches(np.arange(4), 4)
  got = unlabelled.append_unlabelled(
    batches, np.zeros(0, np.int64), seed=0, stage=0, epoch=0
  )
  np.testing.assert_array_equal(got[:, 4:], schema.PAD_ROW)
