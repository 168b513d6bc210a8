"""The gated unit against NumPy, one word at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmer_jax.core import fusion
from tests.core import numeric

B, W, D, E, H = 3, 4, 3, 2, 2


def inputs():
  """Words of both modalities, of one, of none; values off zero."""
  rng = np.random.default_rng(0)
  acoustic = rng.normal(1.0, 2.0, size=(B, W, D))
  lexical = rng.normal(-1.0, 0.5, size=(B, W, E))
  acoustic_mask = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]], bool)
  lexical_mask = np.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 0]], bool)
  return acoustic, lexical, acoustic_mask, lexical_mask


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def normed(x, mean, variance):
  return (x - mean) / np.sqrt(variance + 1e-5)


def numpy_unit(params, acoustic, lexical, acoustic_mask, lexical_mask, running):
  """Eq. 1; `running` is None for the statistics of the real words."""
  projected = {
    "acoustic": acoustic @ params["acoustic"],
    "lexical": lexical @ params["lexical"],
  }
  masks = {"acoustic": acoustic_mask, "lexical": lexical_mask}
  statistics = running or {
    name: (x[masks[name]].mean(axis=0), x[masks[name]].var(axis=0))
    for name, x in projected.items()
  }
  out = np.zeros((B, W, H))
  for b, w in np.ndindex(B, W):
    there = {name: mask[b, w] for name, mask in masks.items()}
    hidden = {
      name: np.tanh(
        params[f"{name}_scale"] * normed(x[b, w], *statistics[name])
        + params[f"{name}_shift"]
      )
      for name, x in projected.items()
    }
    if all(there.values()):
      joined = np.concatenate([acoustic[b, w], lexical[b, w]])
      z = sigmoid(joined @ params["gate"] + params["gate_bias"])
      out[b, w] = z * hidden["acoustic"] + (1 - z) * hidden["lexical"]
    for name in masks:
      if there[name] and sum(there.values()) == 1:
        out[b, w] = hidden[name]
  return out, statistics


def made():
  unit = fusion.GatedMultimodalUnit(H, "float64")
  variables = unit.init(
    jax.random.key(0), *map(jnp.asarray, inputs()), train=False
  )
  rng = np.random.default_rng(1)
  params = jax.tree.map(
    lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), variables["params"]
  )
  statistics = {
    name: jnp.asarray(rng.uniform(0.5, 2.0, size=leaf.shape))
    for name, leaf in variables[fusion.STATISTICS].items()
  }
  return unit, params, statistics


def flat(params):
  """The parameters under the names of `numpy_unit`."""
  found = {k: v for k, v in params.items() if not hasattr(v, "keys")}
  for name in ("acoustic", "lexical", "gate"):
    found[name] = params[name]["kernel"]
  found["gate_bias"] = params["gate"]["bias"]
  return {name: np.asarray(value) for name, value in found.items()}


@pytest.mark.parametrize("train", [True, False])
def test_values_and_gradients_equal_equation_1(train):
  with jax.enable_x64(True):
    unit, params, statistics = made()
    arrays = inputs()
    running = None
    if not train:
      running = {
        name: tuple(
          np.asarray(statistics[f"{name}_{what}"])
          for what in ("mean", "variance")
        )
        for name in ("acoustic", "lexical")
      }
    weights = np.random.default_rng(2).normal(size=(B, W, H))

    def total(params):
      gated, changed = unit.apply(
        {"params": params, fusion.STATISTICS: statistics},
        *map(jnp.asarray, arrays),
        train=train,
        mutable=[fusion.STATISTICS],
      )
      return (gated.fused * weights).sum(), (gated, changed)

    (_, (gated, changed)), grads = jax.value_and_grad(total, has_aux=True)(
      params
    )
    expected, found = numpy_unit(flat(params), *arrays, running)
    np.testing.assert_allclose(gated.fused, expected, rtol=0, atol=1e-12)
    oracle = numeric.differences(
      lambda p: (numpy_unit(p, *arrays, running)[0] * weights).sum(),
      flat(params),
    )
    for name, grad in flat(grads).items():
      np.testing.assert_allclose(grad, oracle[name], rtol=0, atol=1e-8)
    for name in ("acoustic", "lexical"):
      for what, value in zip(("mean", "variance"), found[name], strict=True):
        key = f"{name}_{what}"
        before = np.asarray(statistics[key])
        after = 0.9 * before + 0.1 * value if train else before
        np.testing.assert_allclose(
          changed[fusion.STATISTICS][key], after, rtol=1e-12
        )


def test_what_is_masked_changes_neither_words_nor_statistics():
  with jax.enable_x64(True):
    unit, params, statistics = made()
    arrays = inputs()
    dirty = (
      np.where(arrays[2][..., None], arrays[0], 1e3),
      np.where(arrays[3][..., None], arrays[1], -1e3),
      *arrays[2:],
    )

    def run(arrays):
      return unit.apply(
        {"params": params, fusion.STATISTICS: statistics},
        *map(jnp.asarray, arrays),
        train=True,
        mutable=[fusion.STATISTICS],
      )

    jax.tree.map(np.testing.assert_array_equal, run(arrays), run(dirty))
    gated = run(arrays)[0]
    np.testing.assert_array_equal(gated.gate[2, 0], 0.0)
    np.testing.assert_array_equal(gated.gate[1, 2], 1.0)
    np.testing.assert_array_equal(gated.fused[1, 1], 0.0)
    # A batch without a word teaches nothing of words.
    nothing = np.zeros((B, W), bool)
    _, changed = run((*arrays[:2], nothing, nothing))
    jax.tree.map(
      np.testing.assert_array_equal, changed[fusion.STATISTICS], statistics
    )
