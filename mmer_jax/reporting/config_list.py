"""Describes the configs that come with the package, for people to choose."""

import ast
import math
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from mmer_jax.base import config_file, shipped, user_code
from mmer_jax.data import tables
from mmer_jax.experiment import build, config_keys, fit
from mmer_jax.reporting import run_table
from mmer_jax.training import random_inputs


class Entry(NamedTuple):
  """Describes a config of the list.

  Attributes:
    name: As in `--config=NAME`.
    title: Its system, paper, table and row.
    variants: The variants; the first one is the default.
    seeds: Number of seeds; each is a run for every fold and swept value.
    epochs: The most epochs of its first stage.
    programs: Number of programs of its table; 0 where it fills no table.
  """

  name: str
  title: str
  variants: tuple[str, ...]
  seeds: int
  epochs: int
  programs: int


class _File(NamedTuple):
  """Holds what a config file says.

  Attributes:
    path: The file.
    text: Its documentation.
    variants: Its variants.
    config: The config of the variant asked for.
    programs: Number of programs of its table; 0 where it fills none.
  """

  path: pathlib.Path
  text: str
  variants: tuple[str, ...]
  config: ml_collections.ConfigDict
  programs: int


def entries() -> Iterator[Entry]:
  """Lists every config that comes with the package."""
  for name in shipped.names("config"):
    file = _load(name, "")
    yield Entry(
      name,
      file.text.partition("\n")[0].rstrip("."),
      file.variants,
      len(file.config.seeds),
      file.config.training.epochs,
      file.programs,
    )


def describe(name: str) -> str:
  """Describes one config: what it is, its size, its keys.

  Args:
    name: `NAME[:VARIANT]` or `FILE[:VARIANT]`.

  Raises:
    UserError: There is no such config or variant.
  """
  base, _, variant = name.partition(":")
  file = _load(base, variant)
  config = file.config
  folder = shipped.FOLDERS["config"]
  rows = config.training.batch_size
  batches = str(rows) if rows > 0 else "a size by the corpus"
  sources = [folder / "common.py", file.path.parent / "common.py", file.path]
  parts = [
    f"{base}:{variant or (file.variants or ('',))[0]}".rstrip(":"),
    file.text,
    f"Parameters: {_parameters(config)}. Seeds: {len(config.seeds)}, each a"
    " run for every fold and swept value, all in one program. Epochs: at most"
    f" {config.training.epochs}, in batches of {batches}."
    " Seconds per step on this machine: mmer benchmark"
    f" --config={name} --runs=1.",
    "Keys, each an override as --config.KEY=VALUE:",
    config_keys.describe(
      config, [path for path in dict.fromkeys(sources) if path.exists()]
    ),
  ]
  return "\n\n".join(parts)


def _load(name: str, variant: str) -> _File:
  """Runs the file of a config."""
  config = config_file.read(f"{name}:{variant}" if variant else name)
  path = shipped.find(name, "config")
  module = user_code.load(path, f"listed_{path.stem}")
  programs = 0
  if hasattr(module, "get_table"):
    programs = len(run_table.load(path, config, variant).programs)
  text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
  variants = tuple(getattr(module, "VARIANTS", ()))
  return _File(path, text, variants, config, programs)


def _parameters(config: ml_collections.ConfigDict) -> str:
  """Counts the parameters of a run by tracing, for the shapes of its paper."""
  config = config.copy_and_resolve_references()
  fit.fit_to_corpus(config)
  system = build.build_system(config)
  table, vectors = random_inputs.random_table(config)
  batch = tables.take(table, np.zeros(2, np.int32))
  shapes = jax.eval_shape(
    system.init, jax.random.key(0), batch, jnp.asarray(vectors)
  )
  count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
  dims = ", ".join(
    f"{modality} {size}" for modality, size in config.benchmark.dims.items()
  )
  return f"{count:,} with features of {dims}"
