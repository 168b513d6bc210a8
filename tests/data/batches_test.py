"""Batches of an epoch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmer_jax.base import errors
from mmer_jax.data import batches as batches_lib
from mmer_jax.data import schema


@settings(deadline=None, max_examples=50)
@given(
  n=st.integers(1, 70),
  size=st.integers(1, 16),
  seed=st.integers(0, 1000),
  epoch=st.integers(0, 5),
)
def test_an_epoch_holds_every_row_once(n, size, seed, epoch):
  rows = np.arange(100, 100 + n)
  batches = batches_lib.epoch_rows(rows, size, seed=seed, stage=0, epoch=epoch)
  real = batches[batches != schema.PAD_ROW]
  assert sorted(real.tolist()) == rows.tolist()
  assert batches.shape == (-(-n // size), size)
  # Only the last batch is filled, and at its end.
  assert (batches[:-1] != schema.PAD_ROW).all()


def test_the_order_depends_on_seed_epoch_and_stage_alone():
  def order(seed=0, stage=0, epoch=0):
    return batches_lib.epoch_rows(
      np.arange(50), 8, seed=seed, stage=stage, epoch=epoch
    ).tolist()

  assert order() == order()
  others = [order(seed=1), order(stage=1), order(epoch=1)]
  assert len({str(x) for x in [order(), *others]}) == 4


def test_prefetch_keeps_the_order_and_passes_errors_on():
  assert list(batches_lib.prefetch(iter(range(7)), lambda x: x * x)) == [
    x * x for x in range(7)
  ]
  assert list(batches_lib.prefetch(iter([]), lambda x: x)) == []

  def fail(x):
    raise errors.UserError(f"record {x}")

  with pytest.raises(errors.UserError, match="record 0"):
    list(batches_lib.prefetch(iter([0, 1]), fail))
