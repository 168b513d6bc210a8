"""Keeps compiled programs from one start to the next, in the user's cache."""

import hashlib
import os
import pathlib
import platform
import sys

from absl import flags

from mmer_jax.base import errors

FLAG = "compilation_cache"
AUTO, OFF = "auto", "off"
# Ours: of all programs together; the one that was not used longest goes first.
_MOST_BYTES = 2 * 2**30
# The compiler uses what a processor can do: a home folder is on many machines.
_PROCESSOR = pathlib.Path("/proc/cpuinfo")


def define_flag() -> None:
  """Defines the flag, for every command."""
  flags.DEFINE_string(
    FLAG,
    AUTO,
    "Where compiled programs are kept: auto for mmer_jax/ in the user's cache"
    " folder, or where JAX_COMPILATION_CACHE_DIR says; off; or a folder.",
  )


def enable(where: str) -> pathlib.Path | None:
  """Lets JAX keep what it compiles, and take what it has kept.

  Args:
    where: The flag's value.

  Returns:
    The folder; None where nothing is kept, or JAX's own variable names it.

  Raises:
    UserError: A folder that the user names cannot be made.
  """
  if where == AUTO and os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    return None
  if where == OFF:
    _set("jax_enable_compilation_cache", "false", value=False)
    return None
  folder = default_folder() if where == AUTO else pathlib.Path(where)
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    if where == AUTO:
      # A home that cannot be written to is no mistake of a training.
      return None
    raise errors.UserError(
      f"--{FLAG} is {where}: {error.strerror}; name a folder that can be"
      f" written, or {OFF}"
    ) from None
  _drop_unfinished(folder)
  _set("jax_compilation_cache_dir", str(folder), value=str(folder))
  _set("jax_compilation_cache_max_size", str(_MOST_BYTES), value=_MOST_BYTES)
  return folder


def _drop_unfinished(folder: pathlib.Path) -> None:
  """Drops programs that a killed process has not finished writing.

  JAX notes beside each when it was used, and writes nothing any more where one
  has no such note.
  """
  for program in folder.glob("*-cache"):
    name = program.name.removesuffix("-cache")
    if not (folder / f"{name}-atime").exists():
      program.unlink(missing_ok=True)


def default_folder() -> pathlib.Path:
  """Names the folder of this kind of processor in the user's cache folder."""
  home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  return pathlib.Path(home) / "mmer_jax" / f"xla-{_processor()}"


def _processor() -> str:
  """Computes a short digest of what the processor is and can do."""
  about = {platform.machine(), platform.processor()}
  if _PROCESSOR.exists():
    with _PROCESSOR.open(encoding="utf-8", errors="replace") as lines:
      about |= {
        line.partition(":")[2].strip()
        for line in lines
        if line.startswith(("model name", "flags", "Features"))
      }
  return hashlib.sha256("\n".join(sorted(about)).encode()).hexdigest()[:8]


def _set(name: str, text: str, *, value: object) -> None:
  """Sets an option of JAX, which need not have been imported."""
  if "jax" in sys.modules:
    sys.modules["jax"].config.update(name, value)
  else:
    os.environ[name.upper()] = text
