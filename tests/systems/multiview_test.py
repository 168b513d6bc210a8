"""The models of Aguilar et al., and what teaches them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.multiview import multimodal, taught
from mmer_jax.base import errors
from mmer_jax.core import contrastive
from mmer_jax.data import tables
from mmer_jax.systems import interface, registry
from mmer_jax.systems.multiview import model
from mmer_jax.training import step as step_lib
from tests.systems import conformance_test


def config(module=multimodal, **changes):
  made = module.get_config("smoke")
  with made.unlocked():
    made.model.dropout = 0.0
    made.update_from_flattened_dict(changes)
  return made


def view(kind, reading="boundary"):
  parts = config().model.to_dict()
  for key in ("view", "second", "second_view", "weights", "contrast"):
    parts.pop(key)
  parts.pop("temperature")
  return model.View(
    **{**parts, "reading": reading}, kind=kind, emotions=4, dtype="float32"
  )


@functools.cache
def compiled(kind, reading="boundary"):
  """A view's function of a batch, its parameters off their initial values."""
  module = view(kind, reading)
  variables = jax.jit(lambda key, batch: module.init(key, batch, key=None))(
    jax.random.key(0), conformance_test.example()
  )
  return jax.jit(lambda batch: module.apply(variables, batch, key=None))


def shuffled(batch, rng):
  """Other numbers, and another order, where nothing is real or in a word."""
  streams = {}
  for name, stream in batch.streams.items():
    features = np.array(stream.features)
    mask = np.array(stream.mask)
    if name == "acoustic":
      word = np.asarray(batch.acoustic_word)
      spoken = (np.where(mask, word, -1) >= 0).any(axis=1, keepdims=True)
      mask &= (word >= 0) | ~spoken
    features[~mask] = rng.normal(50.0, 9.0, size=features[~mask].shape)
    streams[name] = stream.replace(features=jnp.asarray(features))
  word = np.array(batch.acoustic_word)
  padding = ~np.asarray(batch.streams["acoustic"].mask)
  word[padding] = rng.integers(-1, 9, size=padding.sum())
  return batch.replace(streams=streams, acoustic_word=jnp.asarray(word))


@pytest.mark.parametrize(
  ("kind", "reading"),
  [
    ("h_aco_1", "segment"),
    ("h_mm_4", "segment"),
    pytest.param("b_aco_2", "boundary", marks=pytest.mark.long),
    pytest.param("b_mm_2", "boundary", marks=pytest.mark.long),
    pytest.param("h_aco_1", "boundary", marks=pytest.mark.long),
    pytest.param("h_mm_1", "boundary", marks=pytest.mark.long),
    pytest.param("h_mm_2", "end", marks=pytest.mark.long),
    pytest.param("h_mm_3", "segment", marks=pytest.mark.long),
    pytest.param("h_mm_4", "boundary", marks=pytest.mark.long),
  ],
)
def test_padding_silence_and_padded_words_change_nothing(kind, reading):
  batch = conformance_test.example()
  apply = compiled(kind, reading)
  plain = apply(batch)
  for seed in range(3):
    dirty = apply(shuffled(batch, np.random.default_rng(seed)))
    jax.tree.map(np.testing.assert_array_equal, dirty, plain)
  sums = np.asarray(plain.weights).sum(axis=1)
  assert set(np.round(sums, 5)) <= {0.0, 1.0}


def test_features_of_a_whole_utterance_are_every_word_s():
  """One acoustic frame without an alignment; the same as repeated in words."""
  batch = conformance_test.example()
  first = batch.streams["acoustic"]
  features, mask = first.features[:, :1], first.mask[:, :1]
  lexical = batch.streams["lexical"].mask
  whole = batch.replace(
    streams={
      **batch.streams,
      "acoustic": first.replace(features=features, mask=mask),
    },
    acoustic_word=None,
  )
  steps = lexical.shape[1]
  repeated = batch.replace(
    streams={
      **batch.streams,
      "acoustic": first.replace(
        features=jnp.repeat(features, steps, axis=1), mask=mask & lexical
      ),
    },
    acoustic_word=jnp.broadcast_to(jnp.arange(steps), lexical.shape),
  )
  apply = compiled("h_mm_4", "segment")
  a, b = apply(whole), apply(repeated)
  spoken = np.asarray(lexical.any(axis=1))
  np.testing.assert_allclose(
    a.logits[spoken], b.logits[spoken], rtol=1e-5, atol=1e-6
  )
  # Without a word it is a word by itself.
  alone = ~spoken & np.asarray(mask[:, 0])
  assert alone.any()
  np.testing.assert_allclose(np.asarray(a.weights)[alone, 0], 1.0)


def test_frames_without_their_words_are_refused():
  batch = conformance_test.example().replace(acoustic_word=None)
  with pytest.raises(errors.UserError, match="the shards have no acoustic_wor"):
    jax.eval_shape(
      lambda key: view("h_mm_1").init(key, batch, key=None), jax.random.key(0)
    )


@functools.cache
def made(second_view="frozen", **changes):
  system = registry.SYSTEMS["multiview"](
    config(
      taught,
      **{
        "model.view": "b_aco_1",
        "model.second_view": second_view,
        "model.weights.first": 0.7,
        "model.weights.second": 0.3,
        "model.weights.teacher": 0.5,
        "model.weights.decay_first": 0.5,
        "model.weights.decay_second": 0.1,
        **changes,
      },
    )
  )
  params = jax.jit(system.init)(
    jax.random.key(0), conformance_test.example(), conformance_test.vectors()
  )
  return system, params


def test_the_stages_are_the_rows_of_table_3():
  build = registry.SYSTEMS["multiview"]
  names = {
    key: [
      stage.name
      for stage in build(config(taught, **{"model.second_view": key})).stages
    ]
    for key in ("frozen", "trainable")
  }
  assert names == {
    "frozen": ["teacher", "student"],
    "trainable": ["multiview"],
  }
  alone = build(config())
  assert [stage.name for stage in alone.stages] == ["supervised"]


def run_in(epoch=None):
  run = conformance_test.settings().replace(
    epoch=None if epoch is None else jnp.asarray(epoch)
  )
  return run.replace(class_weight=jnp.ones((1, conformance_test.EMOTIONS)))


@jax.jit
def first_output(params, batch):
  return view("b_aco_1").apply({"params": params["first"]}, batch, key=None)


def outputs_of(params, batch, kind):
  """Of both views, one module at a time."""
  variables = {"params": params["second"]}
  if interface.STATISTICS in params:
    variables["statistics"] = params[interface.STATISTICS]["second"]
  return {
    "first": first_output(params, batch),
    "second": jax.jit(
      lambda variables: view(kind).apply(variables, batch, key=None)
    )(variables),
  }


@pytest.mark.parametrize(
  ("second_view", "kind"), [("frozen", "h_mm_4"), ("trainable", "b_lex")]
)
def test_the_loss_is_its_parts_and_a_frozen_view_has_no_gradient(
  second_view, kind
):
  system, params = made(second_view, **{"model.second": kind})
  batch = conformance_test.example()

  def loss(params, epoch):
    return system.stages[-1].loss(params, batch, run_in(epoch), None)

  (value, terms), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(
    params, 4
  )
  # beta / (1 + rho epoch): 0.7 / 3 and 0.3 / 1.4.
  second = 0.0 if second_view == "frozen" else 0.3 / 1.4
  np.testing.assert_allclose(
    value,
    terms["contrastive"]
    + 0.7 / 3 * terms["first"]
    + second * terms["second"]
    + 0.5 * terms["teacher"],
    rtol=1e-5,
  )
  moved = max(np.abs(leaf).max() for leaf in jax.tree.leaves(grads["second"]))
  assert (moved > 0) == (second_view == "trainable")
  outputs = outputs_of(params, batch, kind)
  both = batch.labelled & batch.present["acoustic"]
  if kind == "b_lex":
    both &= batch.present["lexical"]
  np.testing.assert_allclose(
    terms["contrastive"],
    contrastive.contrastive(
      outputs["first"].vector,
      outputs["second"].vector,
      contrastive.choose_negatives(
        batch.labels, ~jnp.eye(4, dtype=bool), both, key=None
      ),
      both,
      margin=0.5,
    ),
    rtol=1e-5,
  )
  p, q = (
    np.asarray(jax.nn.softmax(outputs[name].logits), np.float64)
    for name in ("second", "first")
  )
  divergence = (p * np.log(p / q)).sum(axis=1)[np.asarray(both)].mean()
  np.testing.assert_allclose(terms["teacher"], divergence, rtol=1e-4)


def test_the_acoustic_view_reads_no_word():
  system, params = made()
  batch = conformance_test.example()
  bare = batch.replace(
    streams={"acoustic": batch.streams["acoustic"]},
    present={"acoustic": batch.present["acoustic"]},
  )
  np.testing.assert_array_equal(
    system.predict(params, bare, conformance_test.vectors()).logits,
    system.predict(params, batch, conformance_test.vectors()).logits,
  )


def test_a_teacher_and_then_its_student_train():
  """What is not trained stays; the unit's statistics follow the teacher's."""
  system, params = made()
  batch = conformance_test.example()
  run = run_in().replace(weight_decay=jnp.float32(0.1))
  terms = ("contrastive", "first", "second", "teacher")
  stages = []
  for stage in system.stages:
    state = step_lib.init_run(params, terms if stage.name == "student" else ())
    step = jax.jit(functools.partial(step_lib.train_step, stage))
    after = step(state, batch, run).train.params
    stages.append((params, after))
    params = after
  (start, teacher), (_, student) = stages
  same = functools.partial(jax.tree.map, np.testing.assert_array_equal)
  same(start["first"], teacher["first"])
  same(teacher["second"], student["second"])
  same(teacher[interface.STATISTICS], student[interface.STATISTICS])
  for part, a, b in (
    ("second", start, teacher),
    ("first", teacher, student),
    (interface.STATISTICS, start, teacher),
  ):
    for x, y in zip(
      jax.tree.leaves(a[part]), jax.tree.leaves(b[part]), strict=True
    ):
      assert np.abs(x - y).max() > 0


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"model.view": "h_mm_5"}, "config.model.view is 'h_mm_5', expected one"),
    ({"model.second": "b_mm_1"}, "longer than the other view's"),
    ({"model.second_view": "thawed"}, "expected one of trainable, frozen"),
    ({"model.reading": "middle"}, "expected one of boundary, end, segment"),
    ({"model.temperature": 0.0}, "expected a number above 0"),
    ({"data.modalities": ("acoustic",)}, "which reads lexical"),
    ({"protocol.decision": "binary"}, "config.model.second contrasts emotions"),
    ({"few_shot.method": "gem"}, "does not learn emotions from few samples"),
    (
      {"model.contrast.confusable": (("sad", "glad"),)},
      "confusable names 'sad', expected one of config.data.emotions",
    ),
  ],
)
def test_what_it_does_not_have_is_named(changes, message):
  with pytest.raises(errors.UserError, match=message) as raised:
    registry.SYSTEMS["multiview"](config(taught, **changes))
  assert "\n" not in str(raised.value)


@pytest.mark.long
def test_negatives_of_the_corpus_stand_behind_the_batch():
  """The value is that of the batch whose negatives are those rows."""
  system, params = made(**{"model.contrast.negatives": "corpus"})
  assert [stage.negatives for stage in system.stages] == [None, ()]
  first = conformance_test.example()
  order = np.array([1, 2, 3, 4, 6, 0, -1])
  behind = tables.take(first, jnp.asarray(order))
  both = jax.tree.map(lambda *x: jnp.concatenate(x), first, behind)

  @jax.jit
  def terms(batch):
    key = jax.random.key(0)
    return system.stages[-1].loss(params, batch, run_in(), key)[1]

  found = terms(both)
  outputs = outputs_of(params, first, "h_mm_4")
  vectors = [outputs[name].vector for name in ("first", "second")]
  real = first.labelled & first.present["acoustic"]
  chosen = np.zeros((conformance_test.ROWS, conformance_test.ROWS), np.float32)
  for row, other in enumerate(order):
    chosen[row, other] = other >= 0 and bool(real[other])
  np.testing.assert_allclose(
    found["contrastive"],
    contrastive.contrastive(*vectors, jnp.asarray(chosen), real, margin=0.5),
    rtol=1e-5,
  )


def test_the_sizes_are_those_of_the_paper():
  for module in (multimodal, taught):
    full = module.get_config("full")
    assert full.model.hidden == full.model.gate == 256
    assert full.training.batch_size == 64 and full.training.epochs == 30
    assert full.optimizer.to_dict() == {
      "learning_rate": 1e-4,
      "weight_decay": 1e-5,
      "clip_norm": 5.0,
    }
  programs = taught.get_table(taught.get_config("full")).programs
  student = programs["student_attention"].model
  assert (student.view, student.second) == ("b_aco_1_attention", "h_mm_4")
  assert student.weights.teacher == 1 and student.weights.first == 0
  assert programs["multimodal"].model.second_view == "trainable"
  assert programs["multimodal"].model.weights.teacher == 0
  assert programs["alone"].model.second == ""
  rows = multimodal.get_table(multimodal.get_config("utterances")).programs
  assert "h_aco_1" not in rows and "h_mm_4" in rows
  with pytest.raises(ValueError, match="expected one of full, utterances"):
    multimodal.get_config("fast")
