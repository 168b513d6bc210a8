"""Loading: what is imported, what is refused."""

import json
import pathlib
import shutil
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmer_jax
from mmer_jax.base import errors
from tests import fuzzing, toy_model


def test_importing_the_package_imports_nothing_else():
  done = toy_model.run(
    "-c",
    "import sys, mmer_jax; mmer_jax.load;"
    " print([m for m in ('jax', 'numpy', 'flax', 'absl') if m in sys.modules])",
  )
  assert done.stdout.strip() == "[]"


def test_an_export_is_loaded_with_jax_and_numpy_alone(exported):
  done = toy_model.run(
    "-c",
    "import sys, mmer_jax; mmer_jax.load(sys.argv[1]);"
    " print([m for m in sys.modules if m.partition('.')[0] in"
    " ('flax', 'optax', 'orbax', 'ml_collections', 'tensorflow', 'data_prep')"
    " or m in ('mmer_jax.data', 'mmer_jax.experiment', 'mmer_jax.evaluation',"
    " 'mmer_jax.systems', 'mmer_jax.training')])",
    exported,
  )
  assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_an_edited_spec_is_refused(exported, tmp_path):
  folder = tmp_path / "edited"
  shutil.copytree(exported, folder)
  path = folder / "feature_spec.json"
  spec = json.loads(path.read_text())
  spec["modalities"]["acoustic"]["mean"][0] += 1
  path.write_text(json.dumps(spec))
  with pytest.raises(errors.UserError, match="its own checksum: it was edited"):
    mmer_jax.load(folder)
  del spec["modalities"]["acoustic"]["mean"]
  path.write_text(json.dumps(spec))
  with pytest.raises(errors.UserError, match="lacks the acoustic mean, or"):
    mmer_jax.load(folder)


SHORT = fuzzing.short(60)
LONG = fuzzing.LONG
DAMAGES = given(
  st.integers(0, 3), st.floats(0, 1), st.binary(max_size=3), st.booleans()
)


def check_damaged(exported, model, number, place, inserted, cut):
  """Replaces bytes of a file of an export, or cuts its end off."""
  names = ("feature_spec.json", "model.safetensors", "model.stablehlo")
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name) / "damaged"
    shutil.copytree(exported, folder)
    path = folder / names[max(number - 1, 0)]
    content = path.read_bytes()
    start = int(place * len(content))
    rest = b"" if cut else content[start + len(inserted) :]
    path.write_bytes(content[:start] + inserted + rest)
    try:
      damaged = mmer_jax.load(folder)
    except errors.UserError as error:
      assert "\n" not in str(error)
      return
  # A blank or a line end of the JSON, or bytes that were the same.
  assert damaged.spec == model.spec
  words = {"lexical": np.ones((2, 25))}
  expected = model.predict(words, check_scale=False)
  found = damaged.predict(words, check_scale=False)
  np.testing.assert_array_equal(found.probs, expected.probs)


@DAMAGES
@SHORT
def test_a_damaged_export_is_the_same_or_refused(
  exported, model, number, place, inserted, cut
):
  check_damaged(exported, model, number, place, inserted, cut)


@pytest.mark.long
@DAMAGES
@LONG
def test_many_damaged_exports_are_the_same_or_refused(
  exported, model, number, place, inserted, cut
):
  check_damaged(exported, model, number, place, inserted, cut)


@pytest.mark.parametrize(
  "content, match",
  [
    ("{", "cannot be read"),
    ("[]", "has format None, expected 2; export the workdir again"),
    ('{"format": 1}', "has format 1, expected 2"),
    ('{"format": 2}', "lacks the system, or holds something else there"),
    ("[" * 100_000, "cannot be read"),
  ],
)
def test_a_spec_of_something_else_is_refused(tmp_path, content, match):
  (tmp_path / "feature_spec.json").write_text(content)
  with pytest.raises(errors.UserError, match=match) as caught:
    mmer_jax.load(tmp_path)
  assert "\n" not in str(caught.value)
