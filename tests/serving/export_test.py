"""Exports: what is trained here is used by somebody else."""

import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

import mmer_jax
from mmer_jax.base import errors, workdir
from mmer_jax.serving import batch, export
from mmer_jax.serving import model as model_lib
from mmer_jax.serving import workdir as workdir_lib
from tests import toy_model

# Loads an export without this project, or anything but what its card names.
STRANGER = """
import json, sys

class Blocker:
  def find_spec(self, name, path=None, target=None):
    if name.partition(".")[0] in ("mmer_jax", "flax", "tensorflow", "orbax"):
      raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Blocker())
import jax
import numpy as np
from safetensors.numpy import load_file

folder, given, out = sys.argv[1:]
with open(f"{folder}/model.stablehlo", "rb") as file:
  model = jax.export.deserialize(bytearray(file.read()))
tensors = load_file(f"{folder}/model.safetensors")
inputs = {"features": {}, "mask": {}}
for key, array in np.load(given).items():
  kind, _, modality = key.partition(":")
  if modality:
    inputs[kind][modality] = array
  else:
    inputs[kind] = array
outputs = jax.jit(model.call)(tensors, inputs)
assert not any(name.startswith("mmer_jax") for name in sys.modules)
np.savez(out, probs=outputs["probs"], **outputs["per_modality"])
"""


def test_a_stranger_runs_it_without_this_project(
  exported, trained, model, tmp_path
):
  rng = np.random.default_rng(0)
  inputs = batch.sample_inputs(model.spec, rows=3)
  for modality, length in (("lexical", 9), ("acoustic", 2), ("visual", 4)):
    shape = (3, length, model.spec["modalities"][modality]["dim"])
    inputs["features"][modality] = rng.normal(size=shape).astype(np.float32)
    inputs["mask"][modality] = rng.random(shape[:2]) < 0.7
  inputs["mask"]["visual"][1] = False
  # An emotion more than there were: its word vector is all that it takes.
  extra = rng.normal(size=inputs["emotions"][:1].shape).astype(np.float32)
  inputs["emotions"] = np.concatenate([inputs["emotions"], extra])
  np.savez(
    tmp_path / "in.npz",
    emotions=inputs["emotions"],
    **{f"features:{m}": x for m, x in inputs["features"].items()},
    **{f"mask:{m}": x for m, x in inputs["mask"].items()},
  )
  (tmp_path / "stranger.py").write_text(textwrap.dedent(STRANGER))
  done = subprocess.run(
    [
      sys.executable,
      "-I",
      tmp_path / "stranger.py",
      exported,
      tmp_path / "in.npz",
      tmp_path / "out.npz",
    ],
    check=False,
    cwd=tmp_path,
    capture_output=True,
    text=True,
  )
  assert not done.returncode, done.stderr
  served = workdir_lib.from_workdir(trained)
  expected = jax.jit(served.call)(served.tensors, inputs)
  found = np.load(tmp_path / "out.npz")
  assert found["probs"].shape == (3, 5)
  np.testing.assert_allclose(found["probs"], expected["probs"], atol=1e-6)
  np.testing.assert_allclose(found["probs"].sum(axis=1), 1, rtol=1e-6)
  for modality, scores in expected["per_modality"].items():
    np.testing.assert_allclose(found[modality], scores, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_members(trained, tmp_path, examples):
  spec = export.export(
    trained, tmp_path / "e", platforms=["cpu"], ensemble=True
  )
  assert [member["run"] for member in spec["members"]] == [0, 1]
  given = toy_model.streams(examples[:5])
  both = mmer_jax.load(tmp_path / "e").predict(given).probs
  each = []
  for number in (0, 1):
    served = workdir_lib.from_workdir(trained, run=number)
    one = model_lib.Model(served.spec, served.tensors, jax.jit(served.call))
    each.append(one.predict(given).probs)
  np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)
  assert "every utterance of the corpus was trained on" in " ".join(
    (tmp_path / "e" / "README.md").read_text().split()
  )

  # The StableHLO alone is written anew, from the folder alone.
  before = (tmp_path / "e" / "model.safetensors").read_bytes()
  (tmp_path / "e" / "model.stablehlo").unlink()
  fresh = export.refresh(tmp_path / "e", platforms=["cpu", "tpu"])
  assert fresh["platforms"] == ["cpu", "tpu"]
  assert (tmp_path / "e" / "model.safetensors").read_bytes() == before
  again = mmer_jax.load(tmp_path / "e").predict(given).probs
  np.testing.assert_array_equal(again, both)
  spec["files"]["model.safetensors"] = "0"
  workdir.write_json(tmp_path / "e" / "feature_spec.json", spec)
  with pytest.raises(errors.UserError, match="is not the file that"):
    mmer_jax.load(tmp_path / "e")


def test_a_folder_of_something_else_is_not_replaced(trained, tmp_path):
  (tmp_path / "thesis.tex").write_text("years of work")
  with pytest.raises(errors.UserError, match="is not empty and holds no feat"):
    export.export(trained, tmp_path, platforms=["cpu"])
  assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
  with pytest.raises(errors.UserError, match="expected some of cpu, cuda"):
    export.export(trained, tmp_path / "e", platforms=["gpu"])
  assert not (tmp_path / "e").exists()
