"""The losses of DAE + MMD against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.dae_mmd import semi
from mmer_jax.data import schema
from mmer_jax.systems import registry
from mmer_jax.systems.dae_mmd import loss as loss_lib
from mmer_jax.systems.dae_mmd import model
from tests.core import mmd_test
from tests.systems import conformance_test, dae_mmd_test

made, tiny, output_of = (
  dae_mmd_test.made,
  dae_mmd_test.tiny,
  dae_mmd_test.output_of,
)


def expected_terms(batch, rows):
  """Eq. 2 and 3 from the networks' outputs, in float64."""
  output = output_of()(batch)
  present = {
    m: np.asarray(batch.present[m])[rows] for m in conformance_test.WIDTHS
  }
  latents = {
    m: np.asarray(output.latents[m])[rows] for m in conformance_test.WIDTHS
  }
  terms = {
    f"reconstruction_{m}": np.asarray(output.errors[m])[rows][present[m]].mean()
    for m in conformance_test.WIDTHS
  }
  pairs = (("acoustic", "lexical"), ("acoustic", "visual"))
  for a, b in pairs:
    terms[f"paired_{a}_{b}"] = mmd_test.numpy_mmd(
      latents[a][present[a]], latents[b][present[b]], 0.7
    )[0]
  return terms


@pytest.mark.parametrize("unpaired", ["split", "in_batch", "none"])
def test_the_supervised_loss_is_equation_7(unpaired):
  config = tiny(
    **{
      "model.matching.sigma": (0.7,),
      "model.matching.unpaired": unpaired,
    }
  )
  system, params = made(config)
  batch = conformance_test.example()
  value, terms = jax.jit(system.stages[0].loss)(
    params, batch, conformance_test.settings(), None
  )
  rows = np.flatnonzero(np.asarray(batch.labelled))
  for name, expected in expected_terms(batch, rows).items():
    np.testing.assert_allclose(terms[name], expected, rtol=1e-4, err_msg=name)
  logits = np.asarray(output_of()(batch).logits, np.float64)[rows]
  log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
  each = np.asarray(batch.labels)[rows] * log_probs
  each = each * np.asarray(conformance_test.settings().class_weight[0])
  np.testing.assert_allclose(
    terms["classification"], -each.sum(axis=1).mean(), rtol=1e-5
  )
  part = {
    kind: sum(float(v) for k, v in terms.items() if k.startswith(kind))
    for kind in ("classification", "reconstruction", "paired", "unpaired")
  }
  np.testing.assert_allclose(
    value,
    part["classification"]
    + 0.2 * part["reconstruction"]
    + 0.1 * (part["paired"] - part["unpaired"]),
    rtol=1e-5,
  )
  if unpaired == "in_batch":
    assert part["paired"] == part["unpaired"] != 0
  if unpaired == "none":
    assert part["unpaired"] == 0


def related(rows=256):
  """Two modalities of vectors that have three causes in common."""
  rng = np.random.default_rng(0)
  causes = rng.normal(size=(rows, 3))
  there = jnp.ones(rows, bool)
  streams = {}
  for name, width in (("acoustic", 7), ("lexical", 5)):
    x = causes @ rng.normal(size=(3, width)) + rng.normal(size=(rows, width))
    streams[name] = schema.Stream(
      jnp.asarray(3 * x[:, None], jnp.float32), there[:, None]
    )
  return schema.Batch(
    streams=streams,
    present=dict.fromkeys(streams, there),
    labels=jnp.zeros((rows, 3)),
    labelled=there,
    example_mask=there,
    role=jnp.zeros(rows, jnp.int32),
  )


def test_matching_alone_draws_the_latents_together():
  """Section 5: without reconstruction the variance falls; the terms show it."""
  batch = related()
  network = model.DaeMmd(
    dense={"acoustic": (16, 4), "lexical": (16, 4)},
    sequence={},
    heads=1,
    blocks=1,
    dropout=0.0,
    classifier=4,
    padding="masked",
    decoder="plane",
    dtype="float32",
  )
  matching = loss_lib.Matching((10.0,), "none", biased=True, block_size=0)
  vectors = jnp.zeros((3, 0))

  def variances(alpha):
    def loss(params):
      output = network.apply({"params": params}, batch, vectors, key=None)
      part = loss_lib.Part(batch, output, batch.labelled)
      weights = loss_lib.Weights(alpha, 1.0, 0.0)
      return loss_lib.unsupervised(part, None, weights, matching)

    optimizer = optax.adam(1e-2)

    def step(carry, _):
      params, state = carry
      grads, terms = jax.grad(loss, has_aux=True)(params)
      updates, state = optimizer.update(grads, state)
      return (optax.apply_updates(params, updates), state), terms

    params = network.init(jax.random.key(0), batch, vectors, key=None)["params"]
    begin = (params, optimizer.init(params))
    _, terms = jax.jit(lambda x: jax.lax.scan(step, x, length=200))(begin)
    return sum(np.asarray(terms[f"latent_variance_{m}"]) for m in batch.streams)

  alone, whole = variances(0.0), variances(1.0)
  assert alone[-1] < 0.7 * alone[0]
  assert whole[-1] > 10 * whole[0]


def semi_batch():
  """As many unlabelled rows behind those of the example."""
  first, second = conformance_test.example(), conformance_test.example(3)
  second = second.replace(labelled=jnp.zeros(conformance_test.ROWS, bool))
  return (
    first,
    second,
    jax.tree.map(lambda *x: jnp.concatenate(x), first, second),
  )


def test_the_semi_supervised_loss_is_equation_9():
  changes = {"model.matching.sigma": (0.7,)}
  semi_system, params = made(tiny(semi, **changes))
  plain_system, _ = made(tiny(**changes))
  first, second, both = semi_batch()
  arguments = conformance_test.settings(), None
  loss = jax.jit(semi_system.stages[-1].loss)
  value, terms = loss(params, both, *arguments)
  supervised, own = jax.jit(plain_system.stages[0].loss)(
    params, first, *arguments
  )
  # The loss of Eq. 8 is that of Eq. 7 without the classification.
  labelled = second.replace(labelled=jnp.ones(conformance_test.ROWS, bool))
  other, more = jax.jit(plain_system.stages[0].loss)(
    params, labelled, *arguments
  )
  np.testing.assert_allclose(
    value, supervised + 0.3 * (other - more["classification"]), rtol=1e-5
  )
  for name, term in own.items():
    np.testing.assert_allclose(terms[name], term, rtol=1e-4, atol=1e-6)
    if name != "classification":
      np.testing.assert_allclose(
        terms[f"unlabelled_{name}"], more[name], rtol=1e-4, atol=1e-6
      )
  # Whatever the unlabelled rows' labels are.
  changed, _ = loss(
    params,
    both.replace(labels=both.labels.at[conformance_test.ROWS :].set(9.0)),
    *arguments,
  )
  assert changed == value
  alone, names = loss(params, first, *arguments)
  np.testing.assert_allclose(alone, supervised, rtol=1e-6)
  assert names.keys() == terms.keys()


@pytest.mark.long
def test_the_next_batch_stands_for_unpaired_videos():
  system, params = made(
    tiny(
      **{
        "model.matching.unpaired": "cross_batch",
        "model.matching.sigma": (0.7,),
      }
    )
  )
  first, second = conformance_test.example(), conformance_test.example(3)
  both = jax.tree.map(lambda *x: jnp.concatenate(x), first, second)
  arguments = conformance_test.settings(), None
  loss = jax.jit(system.stages[0].loss)
  value, terms = loss(params, both, *arguments)
  one, other = output_of()(first), output_of()(second)
  for name in ("lexical", "visual"):
    p_rows = np.asarray(first.present["acoustic"] & first.labelled)
    q_rows = np.asarray(second.present[name] & second.labelled)
    expected = mmd_test.numpy_mmd(
      np.asarray(one.latents["acoustic"])[p_rows],
      np.asarray(other.latents[name])[q_rows],
      0.7,
    )[0]
    np.testing.assert_allclose(
      terms[f"unpaired_acoustic_{name}"], expected, rtol=1e-4
    )
  alone, names = loss(params, first, *arguments)
  assert names.keys() == terms.keys()
  assert alone != value


def test_a_part_of_weight_zero_is_not_there():
  system, params = made(
    tiny(**{"model.weights.alpha": 0.0, "model.weights.beta": 0.0})
  )
  value, terms = system.stages[0].loss(
    params,
    conformance_test.example(),
    conformance_test.settings(),
    None,
  )
  assert value == terms["classification"]
  assert set(terms) == {"classification"} | {
    f"latent_variance_{m}" for m in conformance_test.WIDTHS
  }


@pytest.mark.parametrize(
  "modalities",
  [
    ("acoustic",),
    ("visual", "lexical"),
    pytest.param(("lexical",), marks=pytest.mark.long),
    pytest.param(("acoustic", "lexical"), marks=pytest.mark.long),
  ],
)
def test_any_subset_of_modalities_trains(modalities):
  config = tiny()
  with config.unlocked():
    config.data.modalities = modalities
  system = registry.SYSTEMS["dae_mmd"](config)
  whole = conformance_test.example()
  batch = whole.replace(
    streams={m: whole.streams[m] for m in modalities},
    present={m: whole.present[m] for m in modalities},
  )
  params = jax.jit(system.init)(
    jax.random.key(0), batch, conformance_test.vectors()
  )
  value, terms = jax.jit(system.stages[0].loss)(
    params, batch, conformance_test.settings(), None
  )
  assert np.isfinite(value)
  paired = {name for name in terms if name.startswith("paired")}
  expected = {
    ("visual", "lexical"): {"paired_lexical_visual"},
    ("acoustic", "lexical"): {"paired_acoustic_lexical"},
  }
  assert paired == expected.get(modalities, set())


def test_matching_in_blocks_equals_matching_at_once():
  """Value, every term and every gradient of a stage, of real latents."""
  found = {}
  for size in (0, 3):
    config = tiny(
      **{"model.matching.sigma": (0.7, 2.0), "model.matching.block_size": size}
    )
    system, params = made(config)
    loss = jax.jit(jax.value_and_grad(system.stages[0].loss, has_aux=True))
    found[size] = loss(
      params, conformance_test.example(), conformance_test.settings(), None
    )
  (value, terms), grads = found[0]
  assert abs(terms["unpaired_acoustic_lexical"]) > 1e-3
  assert np.linalg.norm(grads["acoustic"]["encode_0"]["kernel"]) > 1e-3
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    found[3],
    ((value, terms), grads),
  )
