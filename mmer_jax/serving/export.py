"""Writes exports: folders that run with JAX alone.

An export is written as a whole or not at all: model.stablehlo,
model.safetensors, feature_spec.json, config.json and README.md, a model card.
"""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base import environment, errors, progress
from mmer_jax.base import workdir as workdir_lib
from mmer_jax.data import word_vectors
from mmer_jax.experiment import build, provenance
from mmer_jax.serving import (
  card,
  files,
  function,
  load,
  stablehlo,
  words,
  workdir,
)

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


@progress.doing("exporting")
def export(
  folder: pathlib.Path,
  out: pathlib.Path,
  *,
  platforms: Sequence[str],
  run: int | None = None,
  ensemble: bool = False,
  thresholds: str = "fixed",
  data_dir: str = "",
  ship_word_vectors: bool = False,
) -> dict[str, Any]:
  """Exports a finished workdir.

  Args:
    folder: The workdir.
    out: The folder to write; an earlier export there is replaced.
    platforms: Some of `PLATFORMS`.
    run: See `workdir.from_workdir`, as for the next three.
    ensemble: Whether all runs of the best setting are averaged.
    thresholds: `fixed` or `validation`.
    data_dir: The shard folder, where it is not the one of training.
    ship_word_vectors: Whether the vectors of the words of the training's texts
      are in the export, for texts that are predicted.

  Returns:
    The content of `feature_spec.json`.

  Raises:
    UserError: The workdir is not finished, a package is missing, or `out` is
      something else.
  """
  served = workdir.from_workdir(
    folder,
    run=run,
    ensemble=ensemble,
    thresholds=thresholds,
    data_dir=data_dir,
  )
  vectors = _vectors(served) if ship_word_vectors else {}
  workdir_files = _read_results(folder, thresholds)
  config = _without_paths(workdir_lib.read_json(folder / "config.json"))
  with workdir_lib.new_folder(out, files.SPEC) as filling:
    spec = _write_model(filling, served, platforms)
    workdir_lib.write_json(filling / "config.json", config)
    load.safetensors_numpy().save_file(
      {name: np.asarray(leaf) for name, leaf in served.tensors.items()},
      filling / files.TENSORS,
      metadata={"system": spec["system"]},
    )
    (filling / files.TENSORS).chmod(0o644)
    spec["files"][files.TENSORS] = digest(filling / files.TENSORS)
    if vectors:
      word_vectors.write(filling / files.WORD_VECTORS, vectors)
      spec["files"][files.WORD_VECTORS] = digest(filling / files.WORD_VECTORS)
    spec = files.sign(workdir_lib.finite(spec))
    workdir_lib.write_json(filling / files.SPEC, spec)
    page = card.model_card(spec, served.tensors, workdir_files)
    workdir_lib.write_text(filling / "README.md", page)
  return spec


@progress.doing("exporting")
def refresh(
  out: pathlib.Path, *, platforms: Sequence[str] = ()
) -> dict[str, Any]:
  """Writes `model.stablehlo` anew, from the rest of an export.

  Args:
    out: The export.
    platforms: Some of `PLATFORMS`; empty for those that it has.

  Returns:
    The content of `feature_spec.json`.

  Raises:
    UserError: The folder is no export, or was changed.
  """
  spec, tensors = load.read(out)
  config = workdir_lib.read_config(out)
  served = function.make_function(build.build_system(config), spec, tensors)
  with workdir_lib.new_folder(out, files.SPEC) as filling:
    kept = [name for name in (files.WORD_VECTORS,) if name in spec["files"]]
    for name in ("config.json", "README.md", files.TENSORS, *kept):
      (filling / name).write_bytes((out / name).read_bytes())
    fresh = _write_model(filling, served, platforms or spec["platforms"])
    fresh["environment"] = environment.environment()
    for name in (files.TENSORS, *kept):
      fresh["files"][name] = spec["files"][name]
    fresh = files.sign(workdir_lib.finite(fresh))
    workdir_lib.write_json(filling / files.SPEC, fresh)
  return fresh


def _vectors(served: function.Served) -> dict[str, np.ndarray]:
  """Collects the vectors of the words of the training's texts.

  Raises:
    UserError: Its lexical features are not of word vectors.
  """
  text = served.spec["features_from"]["text"] or {}
  if "word_vectors" not in text or "lexical" not in served.spec["modalities"]:
    raise errors.UserError(
      "--ship_word_vectors is given, but the model reads no words by their"
      " vectors; leave it out"
    )
  return words.of_shards(served.shards)


def _read_results(folder: pathlib.Path, thresholds: str) -> dict[str, Any]:
  """Reads what the card reports of a workdir."""
  results = folder / "results"
  test = results / "test-thresholds.json"
  if thresholds == "fixed" or not test.exists():
    test = results / "test.json"
  return {
    "run": provenance.read_description(folder),
    "validation": workdir_lib.read_json(results / "validation.json"),
    "test": workdir_lib.read_json(test) if test.exists() else None,
  }


def _without_paths(config: dict[str, Any]) -> dict[str, Any]:
  """Empties the paths of a config: where shards lay is nobody's business."""
  return {
    **config,
    "data": {**config["data"], "dir": "", "word_vectors": ""},
    "unlabelled": {**config["unlabelled"], "dir": ""},
  }


def _write_model(
  filling: pathlib.Path, served: function.Served, platforms: Sequence[str]
) -> dict[str, Any]:
  """Writes the StableHLO and completes the spec by its digest."""
  unknown = [name for name in platforms if name not in PLATFORMS]
  if unknown or not platforms:
    raise errors.UserError(
      f"--platforms is {','.join(platforms)!r}, expected some of"
      f" {', '.join(PLATFORMS)}"
    )
  path = filling / files.MODEL
  path.write_bytes(stablehlo.to_stablehlo(served, platforms))
  return {
    **served.spec,
    "platforms": list(platforms),
    "files": {files.MODEL: digest(path)},
  }


def digest(path: pathlib.Path) -> str:
  """Returns the SHA-256 of a file."""
  return hashlib.sha256(path.read_bytes()).hexdigest()
