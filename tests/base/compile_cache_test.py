"""Where compiled programs are kept, and that a second start takes them."""

import os
import subprocess
import sys

import jax
import pytest

from mmer_jax.base import compile_cache, errors

OPTIONS = (
  "jax_compilation_cache_dir",
  "jax_compilation_cache_max_size",
  "jax_enable_compilation_cache",
)


@pytest.fixture(autouse=True)
def options_as_before(monkeypatch, tmp_path):
  before = {name: getattr(jax.config, name) for name in OPTIONS}
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_programs_are_kept_in_the_users_cache_by_processor(tmp_path):
  folder = compile_cache.enable("auto")
  assert folder.parent == tmp_path / "cache" / "mmer_jax"
  assert folder.is_dir() and folder == compile_cache.default_folder()
  assert jax.config.jax_compilation_cache_dir == str(folder)
  assert jax.config.jax_compilation_cache_max_size == 2 * 2**30


def test_a_program_that_was_not_written_to_its_end_is_dropped(tmp_path):
  for name in ("a-cache", "b-cache", "b-atime"):
    (tmp_path / name).write_bytes(b"x")
  compile_cache.enable(str(tmp_path))
  left = sorted(path.name for path in tmp_path.iterdir())
  assert left == ["b-atime", "b-cache"]


def test_a_folder_of_ones_own_jaxs_variable_and_off(tmp_path, monkeypatch):
  assert compile_cache.enable(str(tmp_path / "own")) == tmp_path / "own"
  monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "jax"))
  assert compile_cache.enable("auto") is None
  assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
  assert compile_cache.enable("off") is None
  assert not jax.config.jax_enable_compilation_cache


def test_a_folder_that_cannot_be_is_the_users_mistake_and_a_home_is_not(
  tmp_path, monkeypatch
):
  file = tmp_path / "file"
  file.write_text("")
  with pytest.raises(errors.UserError, match="--compilation_cache is .*file"):
    compile_cache.enable(str(file / "below"))
  monkeypatch.setenv("XDG_CACHE_HOME", str(file))
  assert compile_cache.enable("auto") is None


def test_a_second_process_takes_what_the_first_has_compiled(tmp_path):
  program = (
    "from mmer_jax.base import compile_cache\n"
    f"compile_cache.enable({str(tmp_path / 'kept')!r})\n"
    "import jax\n"
    "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)\n"
    "hits = []\n"
    "jax.monitoring.register_event_listener(\n"
    "  lambda name, **_: hits.append(name))\n"
    "jax.jit(lambda x: x * 2 + 1)(3.0).block_until_ready()\n"
    "print(hits.count('/jax/compilation_cache/cache_hits'))\n"
  )
  environment = {
    key: value for key, value in os.environ.items() if "CACHE" not in key
  }
  counts = [
    subprocess.run(
      [sys.executable, "-c", program],
      env=environment,
      capture_output=True,
      check=True,
      text=True,
    ).stdout
    for _ in range(2)
  ]
  assert counts[0].strip() == "0" and int(counts[1]) > 0
