"""Settings that every test runs under."""

import os

# Before jax is imported: meshes of up to four devices on any machine.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pathlib  # noqa: E402

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

jaxtyping.install_import_hook("mmer_jax", "beartype.beartype")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

DATA_DIR = pathlib.Path(
  os.environ.get(
    "MMER_DATA_DIR",
    pathlib.Path(__file__).parents[2] / "shared" / "data",
  )
)


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
  """The folder of real feature files, or a skip that says what is absent."""
  if not DATA_DIR.is_dir():
    pytest.skip(f"no real feature files at {DATA_DIR}; set MMER_DATA_DIR")
  return DATA_DIR
