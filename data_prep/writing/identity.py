"""Tells conversions apart: the same one may go on from what it has left."""

import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from absl import flags

import data_prep
from data_prep.corpus import corpus as corpus_lib
from data_prep.writing import workspace
from mmer_jax.base import version

# What changes nothing of what comes out.
_HOW = frozenset({"output", "workers", "runner", "beam_options"})
# What decides the bits of features and records.
_PACKAGES = (
  *("numpy", "opensmile", "protobuf", "tensorflow-datasets", "tokenizers"),
  *("torch", "transformers"),
)


def of(values: flags.FlagValues, corpus: corpus_lib.Corpus) -> str:
  """Computes a digest of all that a conversion depends on.

  Files count by path, size and the times at which they and their entries were
  changed last, so that one that was touched since is another.

  Args:
    values: The flags of the conversion.
    corpus: What they have built.
  """
  # absl's own flags, such as --verbosity, are in there too and do no harm.
  chosen = {name: values[name].value for name in values if name not in _HOW}
  named = {path for value in chosen.values() for path in _paths(value)}
  parts = {
    "flags": {name: str(value) for name, value in chosen.items()},
    "corpus": _description(corpus),
    "files": _states(named.union(corpus.files)),
    "code": _code(),
    "version": version.__version__,
    "packages": {name: _package(name) for name in _PACKAGES},
  }
  text = json.dumps(parts, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:32]


def _description(corpus: corpus_lib.Corpus) -> dict[str, Any]:
  vectors = hashlib.sha256()
  for word, vector in corpus.word_vectors.items():
    vectors.update(word.encode())
    vectors.update(np.asarray(vector, np.float32).tobytes())
  return {
    "layout": corpus.layout,
    "emotions": corpus.emotions,
    "columns": {name: e.columns for name, e in corpus.modalities.items()},
    "ratings": corpus.ratings,
    "total": corpus.total,
    "options": repr(corpus.options),
    "text": repr(corpus.text),
    "word_vectors": vectors.hexdigest(),
  }


def _paths(value: Any) -> Iterator[pathlib.Path]:
  """Yields what may be a path in a flag's value: PATH,PATH and FILE:NAME."""
  for text in value if isinstance(value, list | tuple) else [value]:
    for each in text.split(",") if isinstance(text, str) else ():
      for path in (text, each, each.rpartition(":")[0]):
        if path:
          yield pathlib.Path(path)


def _states(paths: Iterable[pathlib.Path]) -> list[tuple[Any, ...]]:
  """Describes files, and what is below folders, without reading them."""
  states = []
  for path in paths:
    # Not pathlib's: it raises for text that is too long to be a path.
    for each in [path, *(path.rglob("*") if os.path.isdir(path) else ())]:
      # An output below the input has its own hidden folder there.
      if os.path.isfile(each) and not workspace.is_hidden(each):
        state = each.stat()
        states.append(
          (
            str(each.absolute()),
            state.st_size,
            state.st_mtime_ns,
            state.st_ctime_ns,
          )
        )
  return sorted(states)


def _code() -> str:
  """Computes a digest of the converter itself."""
  sha = hashlib.sha256()
  for path in sorted(pathlib.Path(data_prep.__file__).parent.rglob("*.py")):
    sha.update(path.read_bytes())
  return sha.hexdigest()


def _package(name: str) -> str | None:
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None
