"""What every system must hold, whatever its paper."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from configs.baselines import (
  ef_lstm_mosei,
  graph_mfn_mosei,
  lf_lstm_mosei,
  mtl_mosei,
  mult_mosei,
)
from configs.dae_mmd import fully
from configs.m3er import ablation, mfn
from configs.multiview import multimodal
from mmer_jax.data import normalise, schema, tables
from mmer_jax.systems import interface, registry

WIDTHS = {"lexical": 8, "acoustic": 5, "visual": 3}
STEPS, ROWS, EMOTIONS = 6, 7, 4

CONFIGS = {
  "dae_mmd": fully,
  "graph_mfn": graph_mfn_mosei,
  "m3er": ablation,
  "mfn": mfn,
  "mtee": quickstart,
  "ef_lstm": ef_lstm_mosei,
  "lf_lstm": lf_lstm_mosei,
  "mtl": mtl_mosei,
  "mult": mult_mosei,
  "multiview": multimodal,
}
# Of the systems that do not read all modalities.
UNREAD = {"multiview": {"visual"}}

pytestmark = pytest.mark.usefixtures("keys_are_used_once")


def config(name, decision="softmax", dtype="float32"):
  made = CONFIGS[name].get_config("smoke")
  with made.unlocked():
    made.protocol.decision = decision
    made.compute_dtype = dtype
    # No dropout rate is zero in the papers; here it would hide mistakes.
    made.model.dropout = 0.0
  return made


def example(seed=0):
  """Mixed lengths, off zero, some modalities absent, one row unlabelled."""
  rng = np.random.default_rng(seed)
  streams = {}
  for modality, width in WIDTHS.items():
    length = rng.integers(1, STEPS + 1, size=ROWS)
    length[{"lexical": 1, "acoustic": 2, "visual": 3}[modality]] = 0
    mask = np.arange(STEPS)[None, :] < length[:, None]
    features = rng.normal(1.0, 2.0, size=(ROWS, STEPS, width))
    streams[modality] = schema.Stream(
      np.where(mask[..., None], features, 0).astype(np.float32), mask
    )
  batch = schema.Batch(
    streams=streams,
    present={m: s.mask.any(axis=1) for m, s in streams.items()},
    labels=np.eye(EMOTIONS, dtype=np.float32)[
      rng.integers(EMOTIONS, size=ROWS)
    ],
    labelled=np.arange(ROWS) != 5,
    example_mask=np.ones(ROWS, bool),
    role=np.zeros(ROWS, np.int32),
    acoustic_word=alignment(streams["acoustic"].mask, rng),
    row=np.arange(ROWS, dtype=np.int32),
  )
  return jax.tree.map(jnp.asarray, batch)


def alignment(mask, rng):
  """Words of one to three frames, some frames of none; anything in padding."""
  word = np.cumsum(rng.random(mask.shape) < 0.6, axis=1)
  word = np.where(rng.random(mask.shape) < 0.2, -1, word)
  return np.where(mask, word, 2).astype(np.int32)


def vectors(count=EMOTIONS):
  rng = np.random.default_rng(9)
  return jnp.asarray(rng.normal(size=(count, 8)).astype(np.float32))


def settings():
  return interface.RunSettings(
    seed=np.uint32(0),
    fold=np.int32(1),
    learning_rate=np.float32(1e-3),
    weight_decay=np.float32(0),
    clip_norm=np.float32(1),
    known=jnp.ones((1, EMOTIONS), bool),
    class_weight=jnp.asarray([[0.5, 1.0, 2.0, 3.0]]),
    mean={},
    scale={},
    vectors=vectors(),
    keep={},
  )


@functools.cache
def made(name, decision="softmax", dtype="float32"):
  """The system with its functions compiled, once for all tests."""
  system = registry.SYSTEMS[name](config(name, decision, dtype))
  system = system._replace(
    init=jax.jit(system.init), predict=jax.jit(system.predict)
  )
  return system, system.init(jax.random.key(0), example(), vectors())


@functools.cache
def gradient(name, decision):
  system, params = made(name, decision)
  loss = jax.jit(jax.value_and_grad(system.stages[-1].loss, has_aux=True))

  def of(batch):
    (value, _), grads = loss(params, batch, settings(), None)
    return value, grads

  return of


def logits(name, batch):
  system, params = made(name)
  return np.asarray(system.predict(params, batch, vectors()).logits)


# Rivals whose parts other systems have too: under `long`.
RIVALS = ("graph_mfn", "mtl")
every_system = pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=pytest.mark.long if name in RIVALS else ())
    for name in sorted(registry.SYSTEMS)
  ],
)
both_decisions = pytest.mark.parametrize(
  "decision", [pytest.param("binary", marks=pytest.mark.long), "softmax"]
)


def test_every_system_is_tested():
  assert CONFIGS.keys() == registry.SYSTEMS.keys()


@every_system
def test_what_padding_holds_changes_nothing(name):
  batch = example()
  dirty = batch.replace(
    streams={
      m: s.replace(features=jnp.where(s.mask[..., None], s.features, 77.0))
      for m, s in batch.streams.items()
    }
  )
  np.testing.assert_allclose(
    logits(name, dirty), logits(name, batch), rtol=1e-6, atol=1e-6
  )


@every_system
def test_more_padding_changes_nothing(name):
  batch = example()
  longer = batch.replace(
    streams={
      m: schema.Stream(
        jnp.pad(s.features, ((0, 0), (0, 3), (0, 0))),
        jnp.pad(s.mask, ((0, 0), (0, 3))),
      )
      for m, s in batch.streams.items()
    },
    acoustic_word=jnp.pad(batch.acoustic_word, ((0, 0), (0, 3))),
  )
  np.testing.assert_allclose(
    logits(name, longer), logits(name, batch), rtol=1e-5, atol=1e-6
  )


@every_system
def test_batch_order_and_batch_mates_change_nothing(name):
  batch = example()
  whole = logits(name, batch)
  order = np.random.default_rng(1).permutation(ROWS)
  mixed = logits(name, tables.take(batch, jnp.asarray(order)))
  np.testing.assert_allclose(mixed, whole[order], rtol=1e-5, atol=1e-6)
  alone = logits(name, tables.take(batch, jnp.array([4])))
  np.testing.assert_allclose(alone[0], whole[4], rtol=1e-5, atol=1e-6)


@every_system
@pytest.mark.parametrize("modality", sorted(WIDTHS))
def test_an_absent_modality_says_nothing(name, modality):
  """What it held before changes nothing; that it is gone does."""
  batch = example()
  rest = {modality: False}
  gone = normalise.keep_modalities(batch, rest)
  other = normalise.keep_modalities(
    batch.replace(
      streams={
        **batch.streams,
        modality: batch.streams[modality].replace(
          features=batch.streams[modality].features + 5.0
        ),
      }
    ),
    rest,
  )
  np.testing.assert_array_equal(logits(name, gone), logits(name, other))
  there = np.asarray(batch.present[modality])
  if modality in UNREAD.get(name, ()):
    there = np.zeros_like(there)
  changed = np.abs(logits(name, gone) - logits(name, batch)).max(axis=1)
  assert (changed[there] > 1e-6).all()
  np.testing.assert_allclose(changed[~there], 0, atol=1e-6)


@every_system
def test_with_nothing_present_the_scores_are_finite(name):
  nothing = normalise.keep_modalities(example(), dict.fromkeys(WIDTHS, False))
  assert np.isfinite(logits(name, nothing)).all()


@every_system
@both_decisions
def test_gradients_are_finite_and_reach_every_parameter(name, decision):
  loss, grads = gradient(name, decision)(example())
  assert np.isfinite(loss) and loss > 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(leaf).all(), path
    assert np.abs(leaf).max() > 0, path


@every_system
@both_decisions
def test_a_batch_without_a_labelled_row_has_no_loss_and_no_gradient(
  name, decision
):
  fillers = tables.take(example(), jnp.full(ROWS, schema.PAD_ROW))
  unlabelled = example().replace(labelled=jnp.zeros(ROWS, bool))
  for batch in (fillers, unlabelled):
    loss, grads = gradient(name, decision)(batch)
    assert loss == 0
    for leaf in jax.tree.leaves(grads):
      np.testing.assert_array_equal(leaf, 0)


@pytest.mark.long
@every_system
@both_decisions
def test_unlabelled_rows_and_fillers_do_not_weigh(name, decision):
  batch = example()
  with_more, _ = gradient(name, decision)(
    tables.take(batch, jnp.array([0, 1, 2, 3, 4, 5, -1]))
  )
  rows = jnp.array([0, 1, 2, 3, 4])
  alone, _ = gradient(name, decision)(tables.take(batch, rows))
  np.testing.assert_allclose(with_more, alone, rtol=1e-6)


@pytest.mark.long
@every_system
def test_jit_changes_nothing(name):
  system, params = made(name)
  batch = example()
  jitted = system.predict(params, batch, vectors()).logits
  with jax.disable_jit():
    eager = system.predict(params, batch, vectors()).logits
  np.testing.assert_allclose(eager, jitted, rtol=1e-5, atol=1e-6)


@every_system
def test_bfloat16_is_close_and_leaves_float32_outside(name):
  system, params = made(name)
  rough, _ = made(name, dtype="bfloat16")
  a = system.predict(params, example(), vectors()).logits
  b = rough.predict(params, example(), vectors()).logits
  assert b.dtype == jnp.float32
  assert np.abs(np.asarray(a - b)).max() > 0
  np.testing.assert_allclose(a, b, atol=0.1)


@every_system
def test_the_same_key_gives_the_same_parameters(name):
  system, params = made(name)
  again = system.init(jax.random.key(0), example(1), vectors())
  jax.tree.map(np.testing.assert_array_equal, params, again)
  other = system.init(jax.random.key(1), example(), vectors())
  different = jax.tree.map(
    lambda a, b: float(np.abs(np.asarray(a - b)).max()), params, other
  )
  assert max(jax.tree.leaves(different)) > 0
