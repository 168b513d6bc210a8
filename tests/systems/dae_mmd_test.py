"""DAE + MMD against its tables and equations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.dae_mmd import fully, meld
from mmer_jax.base import errors
from mmer_jax.data import tables
from mmer_jax.systems import registry
from mmer_jax.systems.dae_mmd import model
from mmer_jax.training import random_inputs
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
  table, emotions = random_inputs.random_table(config)
  batch = tables.take(table, np.zeros(rows, np.int32))
  batch, emotions = jax.tree.map(jnp.asarray, (batch, emotions))
  parts = config.model.to_dict()
  parts.pop("weights")
  parts.pop("matching")
  network = model.DaeMmd(**parts, dtype=config.compute_dtype)
  variables = jax.eval_shape(
    lambda key: network.init(key, batch, emotions, key=None), jax.random.key(0)
  )
  _, state = jax.eval_shape(
    lambda variables: network.apply(
      {"params": variables["params"]},
      batch,
      emotions,
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
  network = model.DaeMmd(**parts, dtype="float32")
  vectors = conformance_test.vectors()
  params = network.init(
    jax.random.key(0), conformance_test.example(), vectors, key=None
  )
  return jax.jit(lambda batch: network.apply(params, batch, vectors, key=None))


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


@pytest.mark.parametrize(
  ("sigma", "size", "message"),
  [((1.0,), -1, "expected rows"), ((), 4, "give bandwidths")],
)
def test_blocks_that_cannot_be_are_refused(sigma, size, message):
  changes = {"model.matching.sigma": sigma, "model.matching.block_size": size}
  with pytest.raises(errors.UserError, match=message):
    registry.SYSTEMS["dae_mmd"](tiny(**changes))
