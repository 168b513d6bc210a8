"""Modalities that fail: how many, which, how loud, and by what."""

import jax
import numpy as np
import pytest

from configs import quickstart
from mmer_jax.base import errors
from mmer_jax.data import schema, tables
from mmer_jax.experiment import input_repair
from mmer_jax.robustness import noise, settings

GAUSSIAN = noise.Noise("gaussian", 0.01, 0.75)
DROPPED = noise.Noise("dropped", 0.01, 0.75)
SEED = np.uint32(3)


def table(n=400):
  rng = np.random.default_rng(0)
  streams, present = {}, {}
  for name, width in (("acoustic", 5), ("lexical", 8), ("visual", 3)):
    length = rng.integers(1, 5, size=n)
    if name == "visual":
      length[rng.random(n) < 0.2] = 0
    if name == "lexical":
      length[:10] = 0
    mask = np.arange(4)[None, :] < length[:, None]
    features = rng.normal(0.0, 3.0, size=(n, 4, width))
    features = np.where(mask[..., None], features, 0).astype(np.float32)
    streams[name] = schema.Stream(features, mask)
    present[name] = mask.any(axis=1)
  return schema.Batch(
    streams=streams,
    present=present,
    labels=np.zeros((n, 2), np.float32),
    labelled=np.ones(n, bool),
    example_mask=np.ones(n, bool),
    role=np.zeros(n, np.int32),
  )


@pytest.fixture(scope="module")
def batch():
  return tables.take(table(), np.arange(400))


@pytest.fixture(scope="module")
def drawn(batch):
  return jax.tree.map(
    np.asarray,
    (
      noise.failing(GAUSSIAN, SEED, batch),
      noise.corrupt(GAUSSIAN, SEED, batch),
    ),
  )


def test_a_proper_part_of_what_is_there_fails_on_a_share_of_the_rows(
  batch, drawn
):
  fails = np.stack([drawn[0][name] for name in sorted(batch.streams)])
  there = np.stack([batch.present[name] for name in sorted(batch.streams)])
  assert not (fails & ~there).any()
  assert not (fails == there).all(axis=0).any()
  alone = there.sum(axis=0) < 2
  assert alone.any() and not fails[:, alone].any()
  share = fails.any(axis=0)[~alone].mean()
  assert abs(share - 0.75) < 0.07
  # Of three, each of the six subsets is as likely as the others.
  whole = there.all(axis=0) & fails.any(axis=0)
  kinds = np.array([1, 2, 4]) @ fails[:, whole]
  counts = np.bincount(kinds, minlength=8)
  assert counts[[0, 7]].sum() == 0
  expected = whole.sum() / 6
  assert (np.abs(counts[1:7] - expected) < 4 * np.sqrt(expected)).all()


def test_noise_has_a_hundred_times_the_power_where_it_is(batch, drawn):
  fails, noisy = drawn
  for name, stream in batch.streams.items():
    added = noisy.streams[name].features - stream.features
    assert not added[~fails[name]].any()
    assert not added[~stream.mask].any()
    np.testing.assert_array_equal(noisy.streams[name].mask, stream.mask)
    ratio = []
    for row in np.flatnonzero(fails[name]):
      real = stream.mask[row]
      signal = np.square(stream.features[row][real]).mean()
      ratio.append(np.square(added[row][real]).mean() / signal)
    assert abs(np.mean(ratio) / 100 - 1) < 0.1


def test_what_fails_depends_on_seed_and_row_alone(batch, drawn):
  order = np.array([7, 3, 11, schema.PAD_ROW])
  few = tables.take(table(), order)
  again = noise.corrupt(GAUSSIAN, SEED, few)
  for name in batch.streams:
    np.testing.assert_array_equal(
      again.streams[name].features[:3],
      drawn[1].streams[name].features[order[:3]],
    )
    assert not np.asarray(again.streams[name].features)[3].any()
  other = noise.failing(GAUSSIAN, np.uint32(4), batch)
  assert any((other[name] != drawn[0][name]).any() for name in other)


def test_a_modality_that_is_dropped_is_absent(batch, drawn):
  dropped = noise.corrupt(DROPPED, SEED, batch)
  for name, failed in drawn[0].items():
    np.testing.assert_array_equal(
      dropped.present[name], batch.present[name] & ~failed
    )
    assert not np.asarray(dropped.streams[name].mask)[failed].any()
    assert not np.asarray(dropped.streams[name].features)[failed].any()
  nothing = noise.Noise("none", 0.01, 0.75)
  assert noise.corrupt(nothing, SEED, batch) is batch


def test_bad_values_are_refused_in_one_line():
  for changes, message in (
    ({"noise.kind": "loud"}, "none, gaussian, dropped, stuck"),
    ({"noise.snr": 0.0}, "above 0"),
    ({"noise.share": 1.5}, "from 0 to 1"),
    ({"repair.inference": "fix"}, "none, check, proxy"),
    ({"repair.score": "angle"}, "pearson, cosine, likelihood"),
    ({"repair.neighbours": 0}, "at least 1"),
    ({"repair.ridge": -0.1}, "at least 0"),
    (
      {"repair.inference": "check", "data.modalities": ("lexical",)},
      "alone",
    ),
    ({"repair.inference": "proxy", "data.resident": False}, "linear"),
  ):
    config = quickstart.get_config("smoke")
    with config.unlocked():
      config.update_from_flattened_dict(changes)
    with pytest.raises(errors.UserError, match=message) as raised:
      noise.check(noise.Noise.from_config(config))
      settings.RepairSettings.from_config(config)
    assert "\n" not in str(raised.value)
  config = quickstart.get_config("smoke")
  quiet = noise.Noise.from_config(config)
  repair = settings.RepairSettings.from_config(config)
  assert input_repair.make_input_transform(quiet, repair) is None


def test_a_row_keeps_its_number_through_every_take():
  rows = np.array([[5, 2], [schema.PAD_ROW, 7]])
  taken = tables.take(table(), rows)
  np.testing.assert_array_equal(taken.row, [[5, 2], [0, 7]])
  one = jax.tree.map(lambda x: x[:, 1], taken)
  np.testing.assert_array_equal(tables.take(one, np.array([1])).row, [7])
