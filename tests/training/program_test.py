"""Runs that share a program, and programs that share devices."""

import functools

import jax
import numpy as np
import pytest

from mmer_jax.data import batches, tables
from mmer_jax.training import hlo, program
from mmer_jax.training import mesh as mesh_lib
from tests import toy

TABLE = toy.table(60)
BATCH = 8

pytestmark = pytest.mark.usefixtures("keys_are_used_once")


def build(mesh, resident=True, rules=toy.RULES):
  return program.build_program(
    toy.SYSTEM,
    0,
    rules,
    mesh,
    resident=resident,
  )


def mesh_of(runs, over_runs, over_data):
  return mesh_lib.make_mesh(
    runs, BATCH, over_runs=over_runs, over_data=over_data
  )


def order(seeds, steps, train=40):
  rows = [
    batches.epoch_rows(
      np.arange(train + seed), BATCH, seed=seed, stage=0, epoch=0
    )
    for seed in seeds
  ]
  return batches.stack_runs(rows, steps)


@functools.cache
def compiled_on(mesh, resident):
  return build(mesh, resident)


def train(runs, rows, mesh, resident=True, epochs=4):
  """Returns the state and the logs of a few epochs over the same rows."""
  compiled = compiled_on(mesh, resident)
  placed = mesh_lib.place(runs, mesh, "runs")
  sample = tables.take(TABLE, np.arange(BATCH))
  state = compiled.init(placed, mesh_lib.place(sample, mesh))
  source = mesh_lib.place(TABLE, mesh) if resident else ()

  def feed(rows):
    fed = rows if resident else tables.take(TABLE, rows)
    return mesh_lib.place(fed, mesh, "runs", None, "data")

  held_out = batches.in_batches(np.arange(45, 60), BATCH)
  held_out = np.stack([held_out] * len(runs.seed))
  logs = []
  for _ in range(epochs):
    state = compiled.train(state, placed, source, feed(rows))
    state, log = compiled.end_epoch(state, placed, source, feed(held_out))
    logs.append(mesh_lib.fetch(log))
  return mesh_lib.fetch(state), logs


def close(a, b, tolerance):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(
      x, y, rtol=tolerance, atol=tolerance
    ),
    a,
    b,
  )


def test_a_run_equals_its_solo_result():
  seeds = [0, 1, 4]
  rates = [1e-2, 3e-2, 1e-3]
  together, _ = train(toy.runs(seeds, rates), order(seeds, 0), mesh_of(3, 1, 1))
  assert int(together.train.step.min()) >= 20
  for index, (seed, rate) in enumerate(zip(seeds, rates, strict=True)):
    # Its own epoch: without the fillers that longer runs made necessary.
    alone, _ = train(toy.runs([seed], rate), order([seed], 0), mesh_of(1, 1, 1))
    mine = jax.tree.map(lambda leaf, i=index: leaf[i], together)
    close(mine, jax.tree.map(lambda leaf: leaf[0], alone), 1e-5)


@pytest.mark.parametrize("shape", [(1, 4), (2, 2), (4, 1), (2, 1)])
def test_any_mesh_gives_the_same_result(shape):
  seeds = [0, 1, 2, 3]
  rows = order(seeds, 0)
  expected, _ = train(toy.runs(seeds), rows, mesh_of(4, 1, 1))
  got, _ = train(toy.runs(seeds), rows, mesh_of(4, *shape))
  close(got, expected, 1e-5)


def test_runs_over_devices_never_wait_for_each_other():
  runs, mesh = toy.runs([0, 1, 2, 3]), mesh_of(4, 4, 1)
  compiled = build(mesh)
  placed = mesh_lib.abstract(runs, mesh, "runs")
  source = mesh_lib.abstract(TABLE, mesh)
  rows = mesh_lib.abstract(order([0, 1, 2, 3], 0), mesh, "runs", None, "data")
  state = program.abstract_state(
    compiled, runs, tables.take(TABLE, np.arange(BATCH))
  )
  for lowered in (
    compiled.train.lower(state, placed, source, rows),
    compiled.end_epoch.lower(state, placed, source, rows),
    compiled.predict.lower(state.train.params, placed, source, rows),
  ):
    counts = hlo.count(hlo.parse(lowered.compile().as_text()))
    assert counts.loops > 0 and counts.collectives == {}


def test_streaming_trains_as_resident_does():
  """The batches are the same bits; the two programs round differently."""
  seeds = [0, 1]
  rows = order(seeds, 0)
  expected, a = train(toy.runs(seeds), rows, mesh_of(2, 1, 1))
  got, b = train(toy.runs(seeds), rows, mesh_of(2, 1, 1), resident=False)
  close(got, expected, 1e-5)
  close(a, b, 1e-5)


def test_a_run_that_fails_leaves_the_others_alone():
  seeds = [0, 1, 2]
  runs = toy.runs(seeds, [1e-2, np.inf, 1e-2])
  state, logs = train(runs, order(seeds, 0), mesh_of(3, 1, 1))
  expected, _ = train(toy.runs(seeds), order(seeds, 0), mesh_of(3, 1, 1))
  assert state.progress.failed_step.tolist() == [-1, 1, -1]
  assert logs[-1]["live"].tolist() == [True, False, True]
  for index in (0, 2):
    close(
      jax.tree.map(lambda leaf, i=index: leaf[i], state.train),
      jax.tree.map(lambda leaf, i=index: leaf[i], expected.train),
      1e-6,
    )


def test_the_second_call_compiles_nothing():
  mesh = mesh_of(2, 1, 1)
  compiled = build(mesh)
  runs = mesh_lib.place(toy.runs([0, 1]), mesh, "runs")
  source = mesh_lib.place(TABLE, mesh)
  rows = mesh_lib.place(order([0, 1], 0), mesh, "runs", None, "data")
  sample = mesh_lib.place(tables.take(TABLE, np.arange(BATCH)), mesh)
  state = compiled.init(runs, sample)
  for _ in range(3):
    state = compiled.train(state, runs, source, rows)
    state, _ = compiled.end_epoch(state, runs, source, rows)
  assert compiled.train._cache_size() == 1
  assert compiled.end_epoch._cache_size() == 1


def test_predict_sees_only_the_modalities_kept():
  mesh = mesh_of(1, 1, 1)
  runs = mesh_lib.place(toy.runs([0]), mesh, "runs")
  sample = mesh_lib.place(tables.take(TABLE, np.arange(BATCH)), mesh)
  rows = mesh_lib.place(order([0], 0), mesh, "runs", None, "data")
  blind = program.build_program(
    toy.SYSTEM,
    0,
    toy.RULES,
    mesh,
    resident=True,
    visible_modalities=("visual",),
  )
  state = blind.init(runs, sample)
  source = mesh_lib.place(TABLE, mesh)
  prediction = blind.predict(state.train.params, runs, source, rows)
  # Nothing is left to see: every row gets the bias.
  np.testing.assert_allclose(
    prediction.logits, np.zeros_like(prediction.logits)
  )
  seeing = build(mesh).predict(state.train.params, runs, source, rows)
  assert np.abs(np.asarray(seeing.logits)).max() > 0.05


def test_restart_goes_on_from_the_best_parameters():
  mesh = mesh_of(2, 1, 1)
  runs = mesh_lib.place(toy.runs([0, 1]), mesh, "runs")
  sample = mesh_lib.place(tables.take(TABLE, np.arange(BATCH)), mesh)
  compiled = build(mesh)
  state = compiled.init(runs, sample)
  marked = jax.tree.map(lambda leaf: leaf + 7.0, state.best_params)
  failed = state.progress.failed_step.at[1].set(5)
  state = state.replace(
    best_params=marked,
    train=state.train.replace(step=state.train.step + 9),
    progress=state.progress.replace(failed_step=failed),
  )
  again = compiled.restart(state, runs, sample)
  jax.tree.map(np.testing.assert_array_equal, again.train.params, marked)
  assert again.train.step.tolist() == [9, 9]
  assert again.progress.stopped.tolist() == [False, True]
  jax.tree.map(
    lambda leaf: np.testing.assert_array_equal(leaf, 0),
    again.train.opt_state,
  )


def test_a_stage_that_selected_nothing_has_failed_the_run():
  """Its validation loss was never finite: the best parameters are the first."""
  mesh = mesh_of(3, 1, 1)
  runs = mesh_lib.place(toy.runs([0, 1, 2]), mesh, "runs")
  sample = mesh_lib.place(tables.take(TABLE, np.arange(BATCH)), mesh)
  compiled = build(mesh)
  state = compiled.init(runs, sample)
  # The second run trained and selected nothing; the third never trained.
  progress = state.progress.replace(
    epoch=state.progress.epoch.at[:2].set(4),
    best_epoch=state.progress.best_epoch.at[0].set(1),
  )
  train = state.train.replace(step=state.train.step + 9)
  state = state.replace(train=train, progress=progress)
  again = compiled.restart(state, runs, sample)
  assert again.progress.failed_step.tolist() == [-1, 9, -1]
  assert again.progress.stopped.tolist() == [False, True, False]
