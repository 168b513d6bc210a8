"""Checkpoints that were written by another version."""

import jax
import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.training import checkpoints, step


def test_a_checkpoint_of_an_older_version_is_one_line(tmp_path):
  store = checkpoints.Checkpoints(tmp_path)
  leaf = jax.device_put(np.ones(2, np.float32), jax.devices()[0])
  state = step.RunState(
    train={"w": leaf},
    best_params={"w": leaf},
    progress={"step": leaf},
    finished=(),
  )
  store.save(0, state, {"rate": leaf}, checkpoints.START)
  same = store.restore_best(state, {"rate": leaf}, leaf.sharding)
  np.testing.assert_array_equal(same[1]["rate"], leaf)
  more = {"rate": leaf, "repair": leaf}
  wider = step.RunState(
    train={"w": leaf},
    best_params={"w": leaf, "v": leaf},
    progress={"step": leaf},
    finished=(),
  )
  for read in (
    lambda: store.restore_best(state, more, leaf.sharding),
    lambda: store.restore_best(wider, {"rate": leaf}, leaf.sharding),
    lambda: store.restore(wider),
  ):
    with pytest.raises(errors.UserError, match="has other parts than") as bad:
      read()
    assert "\n" not in str(bad.value)
  store.close()
