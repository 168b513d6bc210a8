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
import rich.console
from absl import flags

from mmer_jax import (
  errors,
  experiment,
  model_card,
  predictor,
  results,
  serving,
  workdir,
)

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
  served = serving.from_workdir(
    folder,
    run=run,
    ensemble=ensemble,
    thresholds=thresholds,
    data_dir=data_dir,
  )
  validation = workdir.read_json(folder / "results" / "validation.json")
  test = folder / "results" / "test-thresholds.json"
  if thresholds == "fixed" or not test.exists():
    test = folder / "results" / "test.json"
  card = {
    "run": workdir.read_json(folder / "run.json"),
    "validation": validation,
    "test": workdir.read_json(test) if test.exists() else None,
  }
  config = workdir.read_json(folder / "config.json")
  # Where the shards lay is nobody else's business.
  config["data"] |= {"dir": "", "word_vectors": ""}
  config["unlabelled"]["dir"] = ""
  with workdir.new_folder(out, predictor.SPEC) as filling:
    spec = _write_model(filling, served, platforms)
    workdir.write_json(filling / "config.json", config)
    predictor.safetensors_numpy().save_file(
      {name: np.asarray(leaf) for name, leaf in served.tensors.items()},
      filling / predictor.TENSORS,
      metadata={"system": spec["system"]},
    )
    (filling / predictor.TENSORS).chmod(0o644)
    spec["files"][predictor.TENSORS] = digest(filling / predictor.TENSORS)
    workdir.write_json(filling / predictor.SPEC, spec)
    workdir.write_text(
      filling / "README.md", model_card.markdown(spec, served.tensors, card)
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
  spec, tensors = predictor.read(out)
  config = workdir.read_config(out)
  served = serving.make(experiment.build_system(config), spec, tensors)
  with workdir.new_folder(out, predictor.SPEC) as filling:
    for name in ("config.json", "README.md", predictor.TENSORS):
      (filling / name).write_bytes((out / name).read_bytes())
    fresh = _write_model(filling, served, platforms or spec["platforms"])
    fresh["environment"] = results.environment()
    fresh["files"][predictor.TENSORS] = spec["files"][predictor.TENSORS]
    workdir.write_json(filling / predictor.SPEC, fresh)
  return fresh


def _write_model(
  filling: pathlib.Path, served: serving.Served, platforms: Sequence[str]
) -> dict[str, Any]:
  unknown = [name for name in platforms if name not in PLATFORMS]
  if unknown or not platforms:
    raise errors.UserError(
      f"--platforms is {','.join(platforms)!r}, expected some of"
      f" {', '.join(PLATFORMS)}"
    )
  path = filling / predictor.MODEL
  path.write_bytes(serving.export(served, platforms))
  return {
    **served.spec,
    "platforms": list(platforms),
    "files": {predictor.MODEL: digest(path)},
  }


def digest(path: pathlib.Path) -> str:
  """SHA-256 of a file."""
  return hashlib.sha256(path.read_bytes()).hexdigest()


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("workdir", "", "Of `mmer_jax.train`.")
  flags.DEFINE_string("out", None, "The folder of the export.")
  flags.DEFINE_list(
    "platforms",
    [],
    f"Some of {', '.join(PLATFORMS)}; cpu,cuda,tpu by default.",
  )
  flags.DEFINE_integer(
    "run",
    None,
    "Which run; by default the one of the best setting that is best on its"
    " validation split.",
  )
  flags.DEFINE_bool(
    "ensemble", False, "Average all folds and seeds of the best setting."
  )
  flags.DEFINE_enum(
    "thresholds",
    "fixed",
    ("fixed", "validation"),
    "Of binary decisions, as of `mmer_jax.evaluate`: config.protocol.threshold,"
    " or the best of each emotion on the validation split.",
  )
  flags.DEFINE_bool(
    "refresh", False, "Write the StableHLO of the export in --out anew."
  )
  flags.DEFINE_string(
    "data_dir", "", "Shards, where they have moved since training."
  )
  flags.mark_flag_as_required("out")


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  values = flags.FLAGS
  out = pathlib.Path(values.out)
  if values.refresh:
    for name in ("workdir", "run", "ensemble", "thresholds", "data_dir"):
      if values[name].present:
        raise errors.UserError(
          f"--refresh reads the export in --out alone, got --{name} too; leave"
          " it out"
        )
    spec = refresh(out, platforms=values.platforms)
  else:
    if not values.workdir:
      raise errors.UserError(
        "--workdir is missing, expected a workdir of `mmer_jax.train`; see"
        " --help"
      )
    spec = export(
      pathlib.Path(values.workdir),
      out,
      platforms=values.platforms or ["cpu", "cuda", "tpu"],
      run=values.run,
      ensemble=values.ensemble,
      thresholds=values.thresholds,
      data_dir=values.data_dir,
    )
  rich.console.Console(soft_wrap=True, highlight=False).print(
    f"{out}: {spec['system']}, {len(spec['members'])} member(s), for"
    f" {', '.join(spec['platforms'])}"
  )


if __name__ == "__main__":
  define_flags()
  errors.run(main)
