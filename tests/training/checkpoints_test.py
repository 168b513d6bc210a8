"""Checkpoints: bits, damage, other versions."""

import gc
import shutil

import jax
import numpy as np
import pytest

from mmer_jax.base import cli, errors
from mmer_jax.training import checkpoints, step
from tests import toy


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


def toy_state(seed=0):
  """A state of two runs whose parameters are random, and their settings."""
  rng = np.random.default_rng(seed)
  params = {
    "w": rng.normal(size=(2, 30, 40)).astype(np.float32),
    "b": rng.normal(size=(2, 40)).astype(np.float32),
  }
  state = jax.vmap(lambda params: step.init_run(params, ("norm",)))(params)
  return state, toy.runs([0, 1])


def restored(folder, state, runs):
  """What predicting reads of the newest checkpoint."""
  store = checkpoints.Checkpoints(folder)
  sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  try:
    assert store.position() == POSITION
    return store.restore_best(state, runs, sharding)
  finally:
    store.close()


POSITION = checkpoints.Position(0, 3, 1, False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """A workdir with one checkpoint, and what is in it."""
  folder = tmp_path_factory.mktemp("saved")
  state, runs = toy_state()
  store = checkpoints.Checkpoints(folder)
  store.save(7, state, runs, POSITION)
  store.close()
  return folder, state, runs


def test_what_was_saved_is_restored_bit_for_bit(saved):
  folder, state, runs = saved
  best, settings, progress = restored(folder, state, runs)
  jax.tree.map(np.testing.assert_array_equal, best, (state.best_params,))
  jax.tree.map(np.testing.assert_array_equal, settings, runs)
  jax.tree.map(np.testing.assert_array_equal, progress, state.progress)


def test_a_checkpoint_of_before_there_were_checksums_is_restored(
  saved, tmp_path
):
  folder, state, runs = saved
  shutil.copytree(folder, tmp_path / "w")
  shutil.rmtree(tmp_path / "w" / "checkpoints" / "7" / "digests")
  best, _, _ = restored(tmp_path / "w", state, runs)
  jax.tree.map(np.testing.assert_array_equal, best, (state.best_params,))


@pytest.mark.parametrize("item", ["best", "runs", "progress", "position"])
def test_a_checkpoint_without_a_part_is_named(saved, tmp_path, item):
  folder, state, runs = saved
  shutil.copytree(folder, tmp_path / "w")
  shutil.rmtree(tmp_path / "w" / "checkpoints" / "7" / item)
  with pytest.raises(errors.UserError, match="checkpoint 7 .* is damaged"):
    restored(tmp_path / "w", state, runs)


# Orbax leaves the other reads of a checkpoint that fails to themselves.
@pytest.mark.filterwarnings(
  "ignore::pytest.PytestUnraisableExceptionWarning",
  "ignore:coroutine:RuntimeWarning",
)
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_checkpoint_is_named_or_its_values_are_right(
  saved, tmp_path, cut
):
  """A flipped bit of a parameter would else be a wrong parameter, unnoticed."""
  folder, state, runs = saved
  expected = (*restored(folder, state, runs),)
  files = [
    path.relative_to(folder)
    for path in (folder / "checkpoints" / "7").rglob("*")
    if path.is_file() and path.stat().st_size
  ]
  refused = 0
  for number, name in enumerate(sorted(files)):
    work = tmp_path / str(number)
    shutil.copytree(folder, work)
    content = bytearray((work / name).read_bytes())
    if cut:
      del content[len(content) // 2 :]
    else:
      content[len(content) // 2] ^= 1
    (work / name).write_bytes(content)
    try:
      found = restored(work, state, runs)
    except errors.UserError as error:
      assert "checkpoint 7" in str(error) or "no checkpoint" in str(error)
      refused += 1
    else:
      jax.tree.map(np.testing.assert_array_equal, found, expected)
  assert refused >= 4
  gc.collect()


def test_a_full_disk_is_no_damage(saved, tmp_path, monkeypatch):
  _, state, runs = saved
  store = checkpoints.Checkpoints(tmp_path)

  def full(*_, **__):
    raise ValueError(
      "RESOURCE_EXHAUSTED: Failed to write 9 bytes: No space left on device"
    )

  monkeypatch.setattr(store._manager, "save", full)
  with pytest.raises(OSError, match="No space left") as caught:
    store.save(7, state, runs, POSITION)
  store.close()
  assert cli.describe(caught.value).startswith(
    f"the disk is full at {tmp_path / 'checkpoints'};"
  )
