"""Negatives of the whole training set: of a wanted class, by seed."""

import numpy as np

from mmer_jax.data import negatives, schema

EMOTIONS = ("neutral", "happy", "sad", "angry")
PAIRS = (("angry", "happy"), ("neutral", "sad"))


def test_pairs_are_each_other_s_negatives():
  np.testing.assert_array_equal(
    negatives.wanted(PAIRS, EMOTIONS),
    [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]],
  )
  np.testing.assert_array_equal(negatives.wanted((), EMOTIONS), 1 - np.eye(4))


def test_each_row_has_a_negative_of_the_training_rows():
  rng = np.random.default_rng(0)
  classes = rng.integers(3, size=40)  # None is angry.
  labels = np.eye(4)[classes]
  rows = np.arange(5, 35)
  batches = np.append(rng.permutation(rows)[:23], schema.PAD_ROW)
  batches = batches.reshape(4, 6).astype(np.int32)

  def draw(epoch=0, pairs=PAIRS):
    both = negatives.append_negatives(
      batches,
      rows,
      labels,
      negatives.wanted(pairs, EMOTIONS),
      seed=1,
      stage=1,
      epoch=epoch,
    )
    assert both.shape == (4, 12) and both.dtype == np.int32
    np.testing.assert_array_equal(both[:, :6], batches)
    return both[:, 6:]

  drawn = draw()
  for row, other in zip(batches.ravel(), drawn.ravel(), strict=True):
    # The negatives of happy are angry, and of those there is none.
    if row == schema.PAD_ROW or classes[row] == 1:
      assert other == schema.PAD_ROW
    else:
      assert other in rows and classes[other] == 2 - classes[row]
  np.testing.assert_array_equal(drawn, draw())
  assert (drawn != draw(epoch=1)).any()
  any_other = draw(pairs=()).ravel()[:-1]
  assert (classes[any_other] != classes[batches.ravel()[:-1]]).all()
