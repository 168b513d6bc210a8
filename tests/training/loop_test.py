"""How the host cuts an epoch into dispatches."""

from mmer_jax.training import loop


def test_an_epoch_is_cut_into_equal_dispatches():
  assert loop.plan_epoch([100, 90], 10, 4) == loop.Plan(3, 4)
  assert loop.plan_epoch([100], 10, 100) == loop.Plan(1, 10)
  assert loop.plan_epoch([90], 10, 4) == loop.Plan(3, 3)
  assert loop.plan_epoch([1], 64, 8) == loop.Plan(1, 1)
