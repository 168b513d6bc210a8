"""DAE + MMD against its tables and equations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.dae_mmd import fully, meld, semi
from mmer_jax.base import errors
from mmer_jax.data import schema, tables
from mmer_jax.systems import registry
from mmer_jax.systems.dae_mmd import loss as loss_lib
from mmer_jax.systems.dae_mmd import model
from mmer_jax.training import benchmark
from tests.core import mmd_test
from tests.systems import conformance_test


def made(config):
  system = registry.SYSTEMS["dae_mmd"](config)
  params = jax.jit(system.init)(
    jax.random.key(0), conformance_test.example(), conformance_test.vectors()
  )
  return system, params


def tiny(module=fully, **changes):
  config = module.get_config("smoke")
  with config.unlocked():
    config.model.dropout = 0.0
    config.training.batch_size = conformance_test.ROWS
    config.update_from_flattened_dict(changes)
  return config


def shapes_at(config, rows=2):
  """The shape of what every layer returns, by its path."""
  table, emotions = benchmark.random_table(config)
  batch = tables.take(table, np.zeros(rows, np.int32))
  batch = jax.tree.map(jnp.asarray, batch)
  parts = config.model.to_dict()
  parts.pop("weights")
  parts.pop("matching")
  network = model.DaeMmd(
    **parts, emotions=len(emotions), dtype=config.compute_dtype
  )
  variables = jax.eval_shape(
    lambda key: network.init(key, batch, key=None), jax.random.key(0)
  )
  _, state = jax.eval_shape(
    lambda variables: network.apply(
      {"params": variables["params"]},
      batch,
      key=None,
      capture_intermediates=True,
      mutable=["intermediates"],
    ),
    variables,
  )
  found = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(state["intermediates"]):
    names = [part.key for part in path if hasattr(part, "key")]
    found.setdefault("/".join(names[:-1]), leaf.shape[1:])
  return found, variables["params"]


TABLE_3 = {
  "acoustic/encode_0": (512,),
  "acoustic/encode_1": (256,),
  "acoustic/encode_2": (128,),
  "acoustic/decode_0": (256,),
  "acoustic/decode_1": (512,),
  "acoustic/decode_2": (1582,),
  "visual/encoder_1": (18, 342),
  "visual/convolution_0": (9, 171, 16),
  "visual/convolution_1": (4, 85, 64),
  "visual/convolution_2": (2, 29, 32),
  "visual/encode_0": (128,),
  "visual/decode_0": (1856,),
  "visual/deconvolution_2": (4, 85, 64),
  "visual/deconvolution_1": (9, 171, 16),
  "visual/deconvolution_0": (18, 342, 1),
  "visual/decoder_1": (18, 342),
  "visual/output": (18, 342),
  "lexical/encoder_1": (22, 1024),
  "lexical/convolution_0": (11, 512, 64),
  "lexical/convolution_1": (4, 171, 4),
  "lexical/encode_0": (512,),
  "lexical/encode_1": (128,),
  "lexical/decode_0": (512,),
  "lexical/decode_1": (2736,),
  "lexical/deconvolution_1": (11, 512, 64),
  "lexical/deconvolution_0": (22, 1024, 1),
  "lexical/decoder_1": (22, 1024),
  "lexical/output": (22, 1024),
  "hidden": (128,),
  "out": (4,),
}


def test_every_layer_has_the_shape_of_table_3():
  found, params = shapes_at(fully.get_config("full"))
  assert {path: found[path] for path in TABLE_3} == TABLE_3
  assert "visual/encoder_2" not in found and "lexical/decoder_2" not in found
  # Heads of 85, of which 340 columns are mapped back to 342.
  query = params["visual"]["encoder_0"]["self"]["query"]["kernel"]
  assert query.shape == (342, 340)
  assert params["hidden"]["kernel"].shape == (3 * 128, 128)
  assert params["lexical"]["encode_0"]["kernel"].shape == (2736, 512)
  assert params["visual"]["encode_0"]["kernel"].shape == (1856, 128)


@pytest.mark.parametrize(
  ("config", "expected"),
  [
    # 22 x 25 -> 11 x 12 -> 4 x 4, and back over the same sizes.
    (
      fully.get_config("utterances"),
      {
        "acoustic/decode_2": (47,),
        "lexical/convolution_0": (11, 12, 64),
        "lexical/convolution_1": (4, 4, 4),
        "lexical/decode_1": (64,),
        "lexical/deconvolution_1": (11, 12, 64),
        "lexical/output": (22, 25),
      },
    ),
    # The second of MELD's deconvolutions needs a row of output padding.
    (
      meld.get_config("full"),
      {
        "lexical/convolution_0": (6, 512, 64),
        "lexical/convolution_1": (2, 171, 4),
        "lexical/deconvolution_1": (6, 512, 64),
        "lexical/deconvolution_0": (12, 1024, 1),
      },
    ),
  ],
)
def test_other_inputs_pass_through_the_same_kernels(config, expected):
  found, _ = shapes_at(config)
  assert {path: found[path] for path in expected} == expected


def numpy_convolution(plane, kernel, bias, stride, padding, size):
  """One output cell at a time; what is beyond the plane is zero."""
  k = kernel.shape[0]
  out = np.zeros((*size, kernel.shape[3])) + bias
  for u, v in np.ndindex(*size):
    for i, j in np.ndindex(k, k):
      t, e = u * stride + i - padding, v * stride + j - padding
      if 0 <= t < plane.shape[0] and 0 <= e < plane.shape[1]:
        out[u, v] += plane[t, e] @ kernel[i, j]
  return out


def numpy_deconvolution(plane, kernel, bias, stride, padding, size):
  """Every cell adds its kernel where the convolution would have read it."""
  k = kernel.shape[0]
  out = np.zeros((*size, kernel.shape[3])) + bias
  for u, v in np.ndindex(*plane.shape[:2]):
    for i, j in np.ndindex(k, k):
      t, e = u * stride + i - padding, v * stride + j - padding
      if 0 <= t < size[0] and 0 <= e < size[1]:
        out[t, e] += plane[u, v] @ kernel[i, j]
  return out


def by_cell(rows, kernel, stride):
  """Rows in the order of blocks of stride x stride cells, as (i, j, ...)."""
  order = sorted(
    np.ndindex(kernel, kernel),
    key=lambda cell: ([x // stride for x in cell], [x % stride for x in cell]),
  )
  out = np.empty((kernel, kernel, *rows.shape[1:]))
  for cell, row in zip(order, rows, strict=True):
    out[cell] = row
  return out


@pytest.mark.parametrize("size", [(12, 9), (5, 6), (2, 1)])
@pytest.mark.parametrize(
  "setting", [(4, 2, 1), (5, 2, 1), (3, 3, 1), (4, 3, 1)]
)
def test_convolutions_equal_a_loop_there_and_back(size, setting):
  kernel, stride, padding = setting
  there = model.Convolution(*setting, channels=3)
  plane = jnp.asarray(
    np.random.default_rng(0).normal(size=(2, *size, 2)).astype(np.float32)
  )
  convolution = model.PlaneConvolution(there, "float32")
  params = convolution.init(jax.random.key(0), plane)["params"]
  got = convolution.apply({"params": params}, plane)
  small = tuple(max((n + 2 * padding - kernel) // stride + 1, 1) for n in size)
  assert got.shape == (2, *small, 3)
  weights = {
    "kernel": by_cell(
      np.asarray(params["kernel"]["kernel"]).reshape(-1, 2, 3), kernel, stride
    ),
    "bias": np.asarray(params["kernel"]["bias"]),
  }
  for row in range(2):
    np.testing.assert_allclose(
      got[row],
      numpy_convolution(
        np.asarray(plane[row]),
        **weights,
        stride=stride,
        padding=padding,
        size=small,
      ),
      rtol=1e-4,
      atol=1e-5,
    )
  back = model.PlaneDeconvolution(there._replace(channels=2), size, "float32")
  params = back.init(jax.random.key(1), got)["params"]
  params["bias"] = jnp.array([0.3, -0.2])
  again = back.apply({"params": params}, got)
  # The same kernel's layout: from 3 channels to 2 at each of its places.
  weights = {
    "kernel": by_cell(
      np.moveaxis(np.asarray(params["kernel"]).reshape(3, -1, 2), 0, 1),
      kernel,
      stride,
    ),
    "bias": np.asarray(params["bias"]),
  }
  for row in range(2):
    np.testing.assert_allclose(
      again[row],
      numpy_deconvolution(
        np.asarray(got[row]),
        **weights,
        stride=stride,
        padding=padding,
        size=size,
      ),
      rtol=1e-4,
      atol=1e-5,
    )


def test_the_real_frames_are_reversed_in_their_own_places():
  frames = jnp.arange(1.0, 11.0).reshape(2, 5, 1)
  mask = jnp.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1]], bool)
  got = model.reverse(frames, mask)[..., 0]
  np.testing.assert_array_equal(got, [[3, 2, 1, 0, 0], [0, 10, 0, 9, 7]])
  nothing = model.reverse(frames, jnp.zeros((2, 5), bool))
  np.testing.assert_array_equal(nothing, 0)


@functools.cache
def output_of(padding="masked"):
  config = tiny(**{"model.padding": padding})
  parts = config.model.to_dict()
  parts.pop("weights")
  parts.pop("matching")
  network = model.DaeMmd(**parts, emotions=4, dtype="float32")
  params = network.init(jax.random.key(0), conformance_test.example(), key=None)
  return jax.jit(lambda batch: network.apply(params, batch, key=None))


def with_padding(value):
  batch = conformance_test.example()
  return batch.replace(
    streams={
      m: s.replace(features=jnp.where(s.mask[..., None], s.features, value))
      for m, s in batch.streams.items()
    }
  )


def test_padding_is_in_no_latent_and_in_no_error():
  clean, dirty = (
    output_of()(conformance_test.example()),
    output_of()(with_padding(50.0)),
  )
  jax.tree.map(np.testing.assert_array_equal, clean, dirty)
  present = conformance_test.example().present
  for name, flags in present.items():
    there = np.asarray(flags)
    assert np.abs(clean.latents[name][there]).max(axis=1).min() > 0
    assert np.asarray(clean.errors[name])[there].min() > 0
    np.testing.assert_array_equal(clean.latents[name][~there], 0)
    np.testing.assert_array_equal(clean.errors[name][~there], 0)


def test_literally_padding_is_read_and_reconstructed():
  masked, literal = output_of(), output_of("literal")
  batch = conformance_test.example()
  short = np.asarray(batch.streams["lexical"].mask.sum(axis=1))
  part = (short > 0) & (short < conformance_test.STEPS)
  a, b = masked(batch), literal(batch)
  difference = np.abs(np.asarray(a.errors["lexical"] - b.errors["lexical"]))
  assert difference[part].min() > 1e-3
  np.testing.assert_allclose(
    difference[short == conformance_test.STEPS], 0, atol=1e-6
  )
  np.testing.assert_array_equal(b.latents["lexical"][short == 0], 0)


@pytest.mark.parametrize(
  "decoder",
  [pytest.param("plane", marks=pytest.mark.long), "teacher_forcing"],
)
def test_a_forced_decoder_sees_the_frames_before_the_one_it_makes(decoder):
  coder = model.SequenceAutoEncoder(
    steps=6,
    heads=2,
    blocks=1,
    dropout=0.0,
    decoder=decoder,
    convolutions=((4, 2, 1, 3),),
    sizes=(4,),
    dtype="float32",
  )
  rng = np.random.default_rng(0)
  frames = jnp.asarray(rng.normal(size=(2, 6, 5)), jnp.float32)
  mask = jnp.asarray(np.arange(6) < np.array([[6], [4]]))
  variables = coder.init(jax.random.key(0), frames, mask, key=None)
  # Nothing comes through the latent vector.
  silent = variables["params"]["decode_0"]
  silent["kernel"] = jnp.zeros_like(silent["kernel"])

  def decoded(frames):
    _, state = coder.apply(
      variables, frames, mask, key=None, capture_intermediates=True
    )
    return np.asarray(state["intermediates"]["output"]["__call__"][0])

  base = decoded(frames)
  for row, length in enumerate((6, 4)):
    for place in range(length):
      # The frame that is wanted at `place`, reversed.
      moved = frames.at[row, length - 1 - place].add(1.0)
      changed = np.abs(decoded(moved) - base).max(axis=-1)
      assert not changed[1 - row].any()
      assert not changed[row, : place + 1].any()
      forced = decoder == "teacher_forcing"
      assert (changed[row, place + 1 : length] > 1e-4).all() == (
        forced or place + 1 == length
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
    emotions=3,
    padding="masked",
    decoder="plane",
    dtype="float32",
  )
  matching = loss_lib.Matching((10.0,), "none", biased=True)

  def variances(alpha):
    def loss(params):
      output = network.apply({"params": params}, batch, key=None)
      part = loss_lib.Part(batch, output, batch.labelled)
      weights = loss_lib.Weights(alpha, 1.0, 0.0)
      return loss_lib.unsupervised(part, None, weights, matching)

    optimizer = optax.adam(1e-2)

    def step(carry, _):
      params, state = carry
      grads, terms = jax.grad(loss, has_aux=True)(params)
      updates, state = optimizer.update(grads, state)
      return (optax.apply_updates(params, updates), state), terms

    params = network.init(jax.random.key(0), batch, key=None)["params"]
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


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"model.matching.unpaired": "shuffled"}, "expected one of split"),
    ({"model.matching.sigma": (0.0,)}, "expected bandwidths above 0"),
    ({"model.padding": "none"}, "expected one of masked, literal"),
    ({"few_shot.method": "gem"}, "does not learn emotions from few samples"),
  ],
)
def test_what_it_does_not_have_is_refused(changes, message):
  with pytest.raises(errors.UserError, match=message):
    registry.SYSTEMS["dae_mmd"](tiny(**changes))


def test_a_modality_without_an_auto_encoder_is_refused():
  config = tiny()
  with config.unlocked():
    del config.model.dense.visual
  with pytest.raises(errors.UserError, match="names 'visual'"):
    registry.SYSTEMS["dae_mmd"](config)
