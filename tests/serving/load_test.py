"""Loading: what is imported, what is refused."""

import pytest

import mmer_jax
from mmer_jax.base import errors
from tests import toy_model


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
    " ('flax', 'optax', 'orbax', 'ml_collections', 'tensorflow')"
    " or m in ('mmer_jax.data', 'mmer_jax.experiment', 'mmer_jax.evaluation',"
    " 'mmer_jax.systems', 'mmer_jax.training')])",
    exported,
  )
  assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
  "content, match",
  [
    ("{", "cannot be read"),
    ("[]", "has format None, expected 2; export the workdir again"),
    ('{"format": 1}', "has format 1, expected 2"),
  ],
)
def test_a_spec_of_something_else_is_refused(tmp_path, content, match):
  (tmp_path / "feature_spec.json").write_text(content)
  with pytest.raises(errors.UserError, match=match) as caught:
    mmer_jax.load(tmp_path)
  assert "\n" not in str(caught.value)
