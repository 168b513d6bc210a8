"""Settings that every test runs under."""

import gc
import importlib.metadata
import os
import pathlib

# Before jax is imported: meshes of up to four devices on any machine.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
# One compile cache for all workers and for the commands that tests start.
CACHE = pathlib.Path(__file__).parents[1] / ".pytest_cache" / "programs"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
# With a bound JAX locks the cache: workers never read what another one writes.
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**31))
# Small shapes: most of the time would go to making fast programs.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
XLA_FLAGS = [os.environ.get("XLA_FLAGS", ""), "--xla_disable_hlo_passes=inline"]
# Loops take XLA's older emitters a third of the time. A flag that XLA does not
# know ends the process: only where it was tried.
if importlib.metadata.version("jax").startswith("0.10."):
  XLA_FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join(XLA_FLAGS)

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

# Not the modules whose dataclasses are pytrees: jax builds those with shapes,
# shardings and placeholders in the place of arrays.
jaxtyping.install_import_hook(
  [
    "mmer_jax.core",
    "mmer_jax.data.batches",
    "mmer_jax.data.corpus",
    "mmer_jax.data.normalise",
    "mmer_jax.data.padding",
    "mmer_jax.data.shards",
    "mmer_jax.data.splits",
    "mmer_jax.data.tables",
    "mmer_jax.evaluation.results",
    "mmer_jax.systems.baselines",
    "mmer_jax.systems.continual",
    "mmer_jax.systems.dae_mmd",
    "mmer_jax.systems.graph_mfn",
    "mmer_jax.systems.m3er",
    "mmer_jax.systems.memory_fusion",
    "mmer_jax.systems.mtee",
    "mmer_jax.systems.mtl",
    "mmer_jax.systems.mult",
    "mmer_jax.systems.multiplicative",
    "mmer_jax.systems.multiview",
    "mmer_jax.systems.supervised",
  ],
  "beartype.beartype",
)

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def few_memory_maps():
  """Frees compiled programs before a worker may map no more memory.

  Linux allows 65,530 maps a process and XLA's programs have about seven each;
  at the end of them the compiler aborts.
  """
  yield
  maps = pathlib.Path("/proc/self/maps")
  if maps.exists() and maps.read_bytes().count(b"\n") > 50_000:
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def keys_are_used_once():
  """A random key that is used twice raises; tracing takes a quarter longer."""
  with jax.debug_key_reuse(True):
    yield


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
  """The folder of real feature files, or a skip that says what is absent."""
  default = pathlib.Path(__file__).parents[2] / "shared" / "data"
  folder = pathlib.Path(os.environ.get("MMER_DATA_DIR", default))
  if not folder.is_dir():
    pytest.skip(f"no real feature files at {folder}; set MMER_DATA_DIR")
  return folder
