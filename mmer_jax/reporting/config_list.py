"""Describes the configs that come with the package, for people to choose."""

import ast
import math
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from mmer_jax.base import config_file, progress, shipped, user_code
from mmer_jax.data import tables
from mmer_jax.experiment import build, config_keys, fit
from mmer_jax.reporting import run_table
from mmer_jax.systems import registry
from mmer_jax.training import random_inputs

# As a documentation names them, the longer of two names first.
_CORPORA = ("CMU-MOSEI", "CMU-MOSI", "IEMOCAP", "MELD")

# What a variant is of where its documentation does not say.
_CORPUS_OF = {
  "utterances": "IEMOCAP's utterance file",
  "speakers": "IEMOCAP's utterance file",
  "quantity": "IEMOCAP's utterance file",
  "youtube": "YouTube, of CMU",
  "synthetic": "synthetic",
  "smoke": "any, to try it",
}

# The corpus of a paper, for configs that do not name it.
_CORPUS_OF_PAPER = {
  "dae_mmd": "IEMOCAP",
  "m3er": "CMU-MOSEI",
  "multiview": "IEMOCAP",
}

# Folds that a split has of the corpora that configs are for: IEMOCAP has five
# sessions of two speakers.
_FOLDS = {
  "corpus": 1,
  "random": 1,
  "leave_one_session_out": 5,
  "leave_one_speaker_out": 10,
}

# On two CPU cores, of a table with all its programs: docs/performance.md; of
# the quick start: README.md.
_MEASURED = {
  "mtee/iemocap:utterances": "27 min",
  "mtee/zero_shot_iemocap:utterances": "34 min",
  "mtee/few_shot_mosei:synthetic": "46 min",
  "dae_mmd/ablation:utterances": "83 min",
  "quickstart:full": "2 min",
}


class Variant(NamedTuple):
  """Describes a variant of a config, and what training it costs.

  Attributes:
    name: As in `--config=NAME:VARIANT`; empty for a config without variants.
    corpus: What it is trained on.
    runs: Number of runs of a program; None where the corpus says how many folds
      there are.
    epochs: The most epochs of its first stage; 0 where nothing is trained in
      epochs.
    programs: Number of programs of its table; 0 where it fills no table.
    measured: How long it took here; empty where that was not measured.
  """

  name: str
  corpus: str
  runs: int | None
  epochs: int
  programs: int
  measured: str


class Entry(NamedTuple):
  """Describes a config of the list.

  Attributes:
    name: As in `--config=NAME`.
    title: Its system, paper, table and row.
    variants: The variants; the first one is the default.
  """

  name: str
  title: str
  variants: tuple[Variant, ...]


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
  names = shipped.names("config")
  for name in progress.each(names, "reading", len(names), "configs"):
    file = _load(name, "")
    variants = [
      _variant(name, each, _load(name, each) if each else file)
      for each in file.variants or ("",)
    ]
    title = file.text.partition("\n")[0].rstrip(".")
    yield Entry(name, title, tuple(variants))


def _variant(name: str, variant: str, file: _File) -> Variant:
  """Describes a variant."""
  config = file.config
  return Variant(
    name=variant,
    corpus=_corpus(name, variant, file.text),
    runs=_runs(config),
    epochs=(0 if config.system in registry.FITTED else config.training.epochs),
    programs=file.programs,
    measured=_MEASURED.get(f"{name}:{variant}", ""),
  )


def _corpus(name: str, variant: str, text: str) -> str:
  """Names the corpus of a variant: it is said of it, or of the whole config."""
  if name.startswith(("own/", "baselines/linear")):
    return "any"
  if name == "quickstart":
    return "synthetic"
  if variant in _CORPUS_OF:
    return _CORPUS_OF[variant]
  said = re.search(rf"`{variant}`\s+(?:\(|is\s)([^)`]*)", text)
  for words in (said[1] if said else "", text):
    # Of lines that are filled, a name may go on in the next one.
    flat = " ".join(words.split())
    found = [corpus for corpus in _CORPORA if corpus in flat]
    if found:
      return min(found, key=flat.index)
  return _CORPUS_OF_PAPER.get(name.partition("/")[0], "any")


def _runs(config: ml_collections.ConfigDict) -> int | None:
  """Counts the runs of a program; None where that depends on the shards."""
  protocol = config.protocol
  folds = len(protocol.folds) or _FOLDS.get(protocol.split)
  if folds is None:
    return None
  settings = math.prod(len(values) or 1 for values in config.sweep.values())
  unseen = len(protocol.unseen) or 1
  return len(config.seeds) * folds * settings * unseen


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
  if config.system in registry.FITTED:
    return "one of each feature and emotion, fitted"
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
