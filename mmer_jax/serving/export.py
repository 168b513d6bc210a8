r"""Exports what a workdir has selected: a folder that runs with JAX alone.

Example:
  python -m mmer_jax.export --workdir=runs/mtee_iemocap --out=models/mtee
  python -m mmer_jax.export --workdir=runs/mtee_iemocap --out=models/mtee_all \
    --ensemble
  python -m mmer_jax.export --refresh --out=models/mtee

Writes, all or nothing: model.stablehlo (`jax.export`; batch and time are
symbolic, the parameters an argument), model.safetensors, feature_spec.json,
config.json and README.md, a model card. The card documents them. StableHLO is
guaranteed to load for six months; --refresh writes it anew from the rest of the
folder. An export is code: load only one that you trust, as any program.
Needs flatbuffers and safetensors: pip install 'mmer_jax[export]'.
"""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base import environment, errors
from mmer_jax.base import workdir as workdir_lib
from mmer_jax.experiment import build
from mmer_jax.serving import card as card_lib
from mmer_jax.serving import files, function, load, stablehlo, workdir

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export(
  folder: pathlib.Path,
  out: pathlib.Path,
  *,
  platforms: Sequence[str],
  run: int | None = None,
  ensemble: bool = False,
  thresholds: str = "fixed",
  data_dir: str = "",
) -> dict[str, Any]:
  """Exports a finished workdir.

  Args:
    folder: The workdir.
    out: The folder to write; an earlier export there is replaced.
    platforms: Of `PLATFORMS`.
    run: See `serving.from_workdir`.
    ensemble: See there.
    thresholds: See there.
    data_dir: See there.

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
  validation = workdir_lib.read_json(folder / "results" / "validation.json")
  test = folder / "results" / "test-thresholds.json"
  if thresholds == "fixed" or not test.exists():
    test = folder / "results" / "test.json"
  card = {
    "run": workdir_lib.read_json(folder / "run.json"),
    "validation": validation,
    "test": workdir_lib.read_json(test) if test.exists() else None,
  }
  config = workdir_lib.read_json(folder / "config.json")
  # Where the shards lay is nobody else's business.
  config["data"] |= {"dir": "", "word_vectors": ""}
  config["unlabelled"]["dir"] = ""
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
    workdir_lib.write_json(filling / files.SPEC, spec)
    workdir_lib.write_text(
      filling / "README.md", card_lib.model_card(spec, served.tensors, card)
    )
  return spec


def refresh(
  out: pathlib.Path, *, platforms: Sequence[str] = ()
) -> dict[str, Any]:
  """Writes `model.stablehlo` anew, from the rest of an export.

  Args:
    out: The export.
    platforms: Empty for those that it has.

  Returns:
    The content of `feature_spec.json`.

  Raises:
    UserError: The folder is no export, or was changed.
  """
  spec, tensors = load.read(out)
  config = workdir_lib.read_config(out)
  served = function.make_function(build.build_system(config), spec, tensors)
  with workdir_lib.new_folder(out, files.SPEC) as filling:
    for name in ("config.json", "README.md", files.TENSORS):
      (filling / name).write_bytes((out / name).read_bytes())
    fresh = _write_model(filling, served, platforms or spec["platforms"])
    fresh["environment"] = environment.environment()
    fresh["files"][files.TENSORS] = spec["files"][files.TENSORS]
    workdir_lib.write_json(filling / files.SPEC, fresh)
  return fresh


def _write_model(
  filling: pathlib.Path, served: function.Served, platforms: Sequence[str]
) -> dict[str, Any]:
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
  """SHA-256 of a file."""
  return hashlib.sha256(path.read_bytes()).hexdigest()
