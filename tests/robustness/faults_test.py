"""Faults of sensors against loops over utterances, and what counts as one."""

import jax
import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.data import schema, tables
from mmer_jax.robustness import faults, noise
from tests.robustness import noise_test

SEED = np.uint32(3)
COUNT = 60


def stream(seed=0, n=7, t=9, d=3):
  """Frames of any number, the last row without any, and one gap."""
  rng = np.random.default_rng(seed)
  mask = np.arange(t)[None, :] < rng.integers(1, t + 1, size=n)[:, None]
  mask[0] = True
  mask[0, 4] = False
  mask[1] = np.arange(t) < 1
  mask[-1] = False
  features = np.where(mask[..., None], rng.normal(2.0, 3.0, (n, t, d)), 0)
  return schema.Stream(features.astype(np.float32), mask)


def real_frames(before):
  """Each row's number and the places of its real frames."""
  return [(row, np.flatnonzero(real)) for row, real in enumerate(before.mask)]


def apply(fault, *arguments):
  return jax.tree.map(np.asarray, jax.jit(fault)(*arguments))


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.5, 1.0])
def test_a_stuck_sensor_repeats_its_last_good_frame(strength):
  before = stream()
  after = apply(faults.stick, before, strength)
  np.testing.assert_array_equal(after.mask, before.mask)
  for row, places in real_frames(before):
    good = max(len(places) - round(np.float32(strength) * len(places)), 1)
    for number, at in enumerate(places):
      source = places[min(number, good - 1)]
      np.testing.assert_array_equal(
        after.features[row, at], before.features[row, source]
      )
  assert not after.features[~before.mask].any()


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.5, 1.0])
def test_a_shift_turns_the_real_frames_around(strength):
  before = stream()
  after = apply(faults.shift, before, strength)
  np.testing.assert_array_equal(after.mask, before.mask)
  for row, places in real_frames(before):
    frames = before.features[row, places]
    later = round(np.float32(strength) * len(places))
    np.testing.assert_array_equal(
      after.features[row, places], np.roll(frames, later, axis=0)
    )
  assert not after.features[~before.mask].any()


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_clipping_cuts_at_a_share_of_the_root_mean_square(size):
  before = stream()
  scaled = before.replace(features=before.features * np.float32(size))
  for strength in (0.3, 0.5, 0.8):
    clip = jax.jit(faults.clip, static_argnums=1)
    after = jax.tree.map(np.asarray, clip(scaled, strength))
    for row, places in real_frames(before):
      frames = before.features[row, places].astype(np.float64)
      power = np.square(frames).mean() if len(places) else 0.0
      limit = np.sqrt(power) * (1 - strength) / strength
      expected = np.clip(frames, -limit, limit)
      np.testing.assert_allclose(
        after.features[row, places] / np.float32(size), expected, rtol=1e-5
      )
  whole = faults.clip(before, 0.0)
  np.testing.assert_array_equal(whole.features, before.features)
  assert not np.asarray(faults.clip(before, 1.0).features).any()


def test_frames_that_are_lost_are_zeros_that_look_real():
  before = stream()
  order = np.random.default_rng(1).random(before.mask.shape)
  after = apply(faults.drop_frames, before, 0.5, order.astype(np.float32))
  np.testing.assert_array_equal(after.mask, before.mask)
  for row, places in real_frames(before):
    lost = round(0.5 * len(places))
    gone = places[np.argsort(order[row, places])[:lost]]
    expected = before.features[row].copy()
    expected[gone] = 0
    np.testing.assert_array_equal(after.features[row], expected)


@pytest.fixture(scope="module")
def batch():
  return tables.take(noise_test.table(), np.arange(COUNT))


def corrupted(kind, rows):
  """The rows with a fault of a kind, each made from all of the table."""
  every = noise_test.table()
  settings = noise.Noise(kind, 0.01, 0.75, 0.5)
  others = noise.Others(lambda at: tables.take(every, at), 400)
  corrupt = jax.jit(lambda each: noise.corrupt(settings, SEED, each, others))
  return jax.tree.map(np.asarray, corrupt(tables.take(every, rows)))


@pytest.mark.parametrize("kind", [*noise.STRENGTHS, "swapped"])
def test_a_fault_is_on_what_fails_and_depends_on_seed_and_row(kind, batch):
  rows = np.arange(COUNT)
  after = corrupted(kind, rows)
  fails = noise.failing(noise.Noise(kind, 0.01, 0.75), SEED, batch)
  different = noise.changed(batch, after)
  harmed = noise.harmed(noise.Noise(kind, 0.01, 0.75), SEED, batch, after)
  changed = 0
  for name, failed in fails.items():
    failed, here = np.asarray(failed), np.asarray(different[name])
    assert not (here & ~failed).any()
    np.testing.assert_array_equal(harmed[name], here)
    changed += here.sum()
    if kind == "stuck":
      # Of one frame nothing is repeated.
      single = batch.streams[name].mask.sum(axis=1) == 1
      assert single.any() and not here[single].any()
    assert np.isfinite(after.streams[name].features).all()
  assert changed > 0.4 * sum(np.sum(each) for each in fails.values())
  order = np.array([7, 3, 11])
  few = corrupted(kind, order)
  for name in batch.streams:
    np.testing.assert_array_equal(
      few.streams[name].features, after.streams[name].features[order]
    )


def test_a_swapped_stream_is_another_utterances(batch):
  after = corrupted("swapped", np.arange(COUNT))
  every = noise_test.table()
  fails = noise.failing(noise.Noise("swapped", 0.01, 0.75), SEED, batch)
  partners = []
  for name, failed in fails.items():
    whole = every.streams[name].features
    for row in np.flatnonzero(failed):
      got = after.streams[name].features[row]
      same = np.flatnonzero((whole == got).all(axis=(1, 2)))
      assert len(same) and (not got.any() or row not in same)
      partners += [(row, name, same[0])] if got.any() else []
    np.testing.assert_array_equal(
      after.present[name], after.streams[name].mask.any(axis=1)
    )
  # Modalities of one utterance are not all of one other.
  by_row = {}
  for row, _, other in partners:
    by_row.setdefault(row, set()).add(other)
  assert max(map(len, by_row.values())) > 1


def test_faults_that_cannot_be_drawn_are_refused():
  with pytest.raises(errors.UserError, match="noise.strength is 1.5, expected"):
    noise.check(noise.Noise("stuck", 0.01, 0.75, 1.5))
  noise.check(noise.Noise("swapped", 0.01, 0.75))
  with pytest.raises(errors.UserError, match="data.resident is False; set"):
    noise.check(noise.Noise("swapped", 0.01, 0.75), resident=False)
