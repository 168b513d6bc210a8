"""A published state dict becomes a workdir with the same logits."""

import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from configs.baselines import lf_lstm_mosei
from mmer_jax.base import errors, workdir
from mmer_jax.data import manifest, schema
from mmer_jax.evaluation import evaluate, import_torch
from mmer_jax.experiment import build
from mmer_jax.serving import export, load
from mmer_jax.systems.mtee import torch_weights
from tests.core import lstm_test

ROOT = pathlib.Path(__file__).parents[2]
DIMS = {"lexical": 25, "acoustic": 20, "visual": 12}
HIDDEN = {"lexical": 25, "acoustic": 16, "visual": 12}


def state_dict(vectors, seed=0, dims=DIMS):
  """Random weights under the published names and shapes."""
  rng = np.random.default_rng(seed)
  state = {"textEmoEmbs.weight": vectors}

  def put(name, *shape):
    state[name] = rng.normal(0, 0.3, size=shape).astype(np.float32)

  for index, (name, h) in enumerate(HIDDEN.items()):
    for layer in range(2):
      width = dims[name] if layer == 0 else 2 * h
      for suffix in (f"l{layer}", f"l{layer}_reverse"):
        put(f"RNNs.{index}.weight_ih_{suffix}", 4 * h, width)
        put(f"RNNs.{index}.weight_hh_{suffix}", 4 * h, h)
        put(f"RNNs.{index}.bias_ih_{suffix}", 4 * h)
        put(f"RNNs.{index}.bias_hh_{suffix}", 4 * h)
  for name, modality in (
    ("affineAudio", "acoustic"),
    ("affineVisual", "visual"),
  ):
    put(f"{name}.weight", HIDDEN[modality], HIDDEN["lexical"])
    put(f"{name}.bias", HIDDEN[modality])
  put("modality_weights.weight", 3)
  return state


def published(state, streams):
  """The published forward pass, from its names: no mask, position T - 1."""
  logits = 0.0
  for index, name in enumerate(HIDDEN):
    x = np.swapaxes(streams[name], 0, 1).astype(np.float64)
    full = np.ones(x.shape[:2], bool)
    for layer in range(2):
      both = []
      for suffix, reverse in (("", False), ("_reverse", True)):
        at = f"RNNs.{index}.{{}}_l{layer}{suffix}"
        both.append(
          lstm_test.numpy_lstm(
            x,
            state[at.format("weight_ih")].T,
            state[at.format("weight_hh")].T,
            state[at.format("bias_ih")] + state[at.format("bias_hh")],
            full,
            reverse,
          )
        )
      x = np.concatenate(both, axis=-1)
    read = both[0][-1] + both[1][-1]
    space = state["textEmoEmbs.weight"].astype(np.float64)
    if name != "lexical":
      layer = {"acoustic": "affineAudio", "visual": "affineVisual"}[name]
      space = space @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
    logits += state["modality_weights.weight"].reshape(-1)[index] * (
      read @ space.T
    )
  return logits


VECTORS = np.random.default_rng(8).normal(size=(4, 25)).astype(np.float32)


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_logits_equal_the_published_forward_pass(shape):
  config = quickstart.get_config()
  state = state_dict(VECTORS)
  name = "modality_weights.weight"
  state[name] = state[name].reshape(shape)
  params = torch_weights.params_from_torch(state, config)
  rng = np.random.default_rng(1)
  streams = {
    m: rng.normal(0.5, 1.0, size=(5, 7, d)).astype(np.float32)
    for m, d in DIMS.items()
  }
  batch = schema.Batch(
    streams={
      m: schema.Stream(jnp.asarray(x), jnp.ones((5, 7), bool))
      for m, x in streams.items()
    },
    present={m: jnp.ones(5, bool) for m in DIMS},
    labels=jnp.zeros((5, 4)),
    labelled=jnp.ones(5, bool),
    example_mask=jnp.ones(5, bool),
    role=jnp.zeros(5, int),
  )
  system = build.build_system(config)
  params = jax.tree.map(jnp.asarray, params)
  got = system.predict(params, batch, jnp.asarray(VECTORS)).logits
  np.testing.assert_allclose(got, published(state, streams), atol=1e-5)


@pytest.mark.long
def test_imported_parameters_are_those_that_init_would_make():
  config = quickstart.get_config()
  params = torch_weights.params_from_torch(state_dict(VECTORS), config)
  system = build.build_system(config)
  batch = schema.Batch(
    streams={
      m: schema.Stream(jnp.zeros((2, 3, d)), jnp.ones((2, 3), bool))
      for m, d in DIMS.items()
    },
    present={m: jnp.ones(2, bool) for m in DIMS},
    labels=jnp.zeros((2, 4)),
    labelled=jnp.ones(2, bool),
    example_mask=jnp.ones(2, bool),
    role=jnp.zeros(2, int),
  )
  expected = system.init(jax.random.key(0), batch, jnp.asarray(VECTORS))
  assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, expected)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda s: s.pop("RNNs.1.bias_hh_l1"), "has no RNNs.1.bias_hh_l1"),
    (lambda s: s.pop("modality_weights.weight"), "modality_weights.weight"),
    (lambda s: s.update(extra=np.zeros(3)), "has extra, which the config"),
    (
      lambda s: s.update({"affineVisual.bias": np.zeros(5)}),
      r"affineVisual.bias has shape \(5,\), the config expects \(12,\)",
    ),
    (
      lambda s: s.update({"affineAudio.bias": np.full(16, np.nan)}),
      "affineAudio.bias is not finite",
    ),
    (
      lambda s: s.update({"RNNs.0.weight_ih_l2": np.zeros((100, 50))}),
      "has RNNs.0.weight_ih_l2",
    ),
  ],
)
def test_another_state_dict_is_refused_by_name(change, message):
  state = state_dict(VECTORS)
  change(state)
  with pytest.raises(errors.UserError, match=message) as caught:
    torch_weights.params_from_torch(state, quickstart.get_config())
  assert "\n" not in str(caught.value)


def test_only_mtee_can_be_imported():
  with pytest.raises(errors.UserError, match="expected 'mtee'"):
    torch_weights.params_from_torch({}, lf_lstm_mosei.get_config())


def test_a_pickle_is_refused(tmp_path):
  path = tmp_path / "x.npz"
  np.savez(path, a=np.array([object()]))
  with pytest.raises(errors.UserError, match="cannot be read"):
    torch_weights.read_state_dict(path)
  path.write_bytes(b"PK")
  with pytest.raises(errors.UserError, match="cannot be read"):
    torch_weights.read_state_dict(path)


@pytest.mark.long
def test_the_workdir_evaluates(tmp_path):
  folder = tmp_path / "shards"
  subprocess.run(
    [
      sys.executable,
      "-m",
      "data_prep.convert",
      "--source=synthetic",
      "--preset=tiny",
      "--num_examples=120",
      f"--output={folder}",
    ],
    cwd=ROOT,
    check=True,
    capture_output=True,
  )
  vectors = manifest.load_emotion_vectors(folder)
  file = tmp_path / "state.npz"
  np.savez(file, **state_dict(np.asarray(vectors.vectors)))
  config = quickstart.get_config()
  with config.unlocked():
    config.data.dir = str(folder)
    config.protocol.folds = (1,)
  import_torch.write_workdir(file, config, tmp_path / "w")
  # At once, before anything else is computed: it is like a trained one.
  description = workdir.read_json(tmp_path / "w" / "run.json")
  batch = {
    name: np.ones((3, 2, size["dim"]), np.float32)
    for name, size in description["modalities"].items()
  }
  predicted = load.load(tmp_path / "w").predict(batch)
  assert predicted.probs.shape == (3, len(vectors.names))
  export.export(tmp_path / "w", tmp_path / "export", platforms=("cpu",))
  exported = load.load(tmp_path / "export").predict(batch)
  np.testing.assert_allclose(exported.probs, predicted.probs, atol=1e-6)
  result = evaluate.evaluate_workdir(tmp_path / "w", evaluate.Request("test"))
  assert result["summary"]["accuracy"]["n"] == 1
  assert result["failed"] == []
  assert (tmp_path / "w" / "results" / "test.json").exists()
  assert workdir.read_json(tmp_path / "w" / "run.json")["system"] == "mtee"
  with pytest.raises(errors.UserError, match="exists, expected a new one"):
    import_torch.write_workdir(file, config, tmp_path / "w")
  other = tmp_path / "other.npz"
  np.savez(other, **state_dict(VECTORS))
  with pytest.raises(errors.UserError, match="is not the word vectors"):
    import_torch.write_workdir(other, config, tmp_path / "w2")
  assert not (tmp_path / "w2").exists()
