"""Samples of new emotions and memories of old ones."""

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.data import few_shot, schema


def rng(seed=0):
  return np.random.default_rng(seed)


def draw(labels, rows, seed=0, share=0.01):
  return few_shot.sample(
    labels, rows, share=share, emotion="angry", rng=rng(seed)
  )


@pytest.mark.parametrize(
  ("positives", "expected"), [(1, 1), (99, 1), (100, 1), (101, 2), (250, 3)]
)
def test_a_sample_is_the_share_rounded_up_and_as_many_negatives(
  positives, expected
):
  labels = (np.arange(1000) < positives).astype(np.float32)
  rows = draw(labels, np.arange(1000))
  assert len(np.unique(rows)) == len(rows) == 2 * expected
  assert labels[rows].sum() == expected


def test_a_sample_is_of_the_rows_it_may_draw_and_differs_by_seed():
  labels = (np.arange(900) % 2).astype(np.float32)
  rows = np.arange(300, 600)
  one, again, other = (
    draw(labels, rows, seed, share=0.2) for seed in (1, 1, 2)
  )
  np.testing.assert_array_equal(one, again)
  assert set(one) <= set(rows)
  assert set(one) != set(other)


@pytest.mark.parametrize("labels", [np.zeros(9), np.ones(9)])
def test_an_emotion_without_a_positive_or_a_negative_is_refused(labels):
  with pytest.raises(errors.UserError, match="names 'angry', which has"):
    draw(labels, np.arange(9))


def test_balanced_rows_have_as_many_positives_as_negatives():
  labels = (np.arange(50) < 8).astype(np.float32)
  rows = few_shot.balanced(labels, np.arange(50), rng())
  assert len(np.unique(rows)) == 16
  assert labels[rows].sum() == 8


def test_a_memory_keeps_at_most_its_size_and_fills_its_slots():
  kept = few_shot.memory(
    [np.arange(100, 200), np.array([7, 5])], size=6, slots=8, rng=rng()
  )
  assert kept.shape == (2, 8)
  assert (kept[:, 6:] == schema.PAD_ROW).all()
  assert len(np.unique(kept[0, :6])) == 6 and (kept[0, :6] >= 100).all()
  assert kept[1].tolist() == [5, 7] + [schema.PAD_ROW] * 6


def test_a_memory_stands_behind_every_batch():
  kept = np.array([[1, 2, 3], [4, schema.PAD_ROW, schema.PAD_ROW]], np.int32)
  batches = np.array([[10, 11], [12, schema.PAD_ROW]], np.int32)
  rows = few_shot.with_memory(batches, kept)
  assert rows.tolist() == [
    [10, 11, -1, 1, 2, 3, 4, -1, -1],
    [12, -1, -1, 1, 2, 3, 4, -1, -1],
  ]


@pytest.mark.parametrize(
  ("batch", "size", "slots"), [(32, 5, 32), (32, 32, 32), (32, 33, 64)]
)
def test_a_group_is_whole_batches(batch, size, slots):
  assert few_shot.slots(batch, size) == slots
