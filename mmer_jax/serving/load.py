"""Loads an export or a workdir to predict with.

An export is read with jax, numpy and safetensors alone; a workdir needs the
rest of the package, and the shards that it was trained on.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from mmer_jax.base import errors
from mmer_jax.serving import files, model

# What is read of a spec, and its types.
_KEYS = {
  "system": str,
  "decision": str,
  "open_vocabulary": bool,
  "aligned": bool,
  "acoustic_word": bool,
  "modalities": dict,
  "unused_modalities": dict,
  "explain": dict,
  "emotions": list,
  "thresholds": dict,
  "files": dict,
}
_MODALITY_KEYS = {
  "dim": int,
  "columns": list,
  "max_length": int,
  "padding": str,
  "mean": list,
  "std": list,
}
_EMOTION_KEYS = {"name": str, "vector": list}


def load(
  path: str | pathlib.Path,
  *,
  word_vectors: str | pathlib.Path | None = None,
  text_encoder: str | pathlib.Path | None = None,
) -> model.Model:
  """Loads an export, or a finished workdir.

  Args:
    path: The folder.
    word_vectors: The file of word vectors for texts, where the model does not
      hold them, or not enough of them.
    text_encoder: The encoder of texts, a folder or a name, where it is not to
      be found under the name of the training.

  Raises:
    UserError: The folder is neither, or was changed.
  """
  folder = pathlib.Path(path)
  ways = files.Ways(
    pathlib.Path(word_vectors) if word_vectors else None,
    str(text_encoder) if text_encoder else None,
  )
  if (folder / files.SPEC).exists():
    spec, tensors = read(folder)
    if files.WORD_VECTORS in spec["files"]:
      _check_file(folder, spec, files.WORD_VECTORS)
      ways = ways._replace(shipped=folder / files.WORD_VECTORS)
    return model.Model(spec, tensors, _exported(folder, spec), ways)
  if (folder / "run.json").exists():
    # An export needs none of what reads a workdir.
    from mmer_jax.serving import workdir

    served = workdir.from_workdir(folder)
    ways = ways._replace(shards=served.shards)
    return model.Model(served.spec, served.tensors, jax.jit(served.call), ways)
  raise errors.UserError(
    f"{folder} holds neither {files.SPEC} nor run.json, expected an export of"
    " `python -m mmer_jax.export` or a workdir of `python -m mmer_jax.train`"
  )


def read(
  folder: pathlib.Path,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Reads the spec and the tensors of an export.

  Raises:
    UserError: A file is missing or is not the one that was written.
  """
  path = folder / files.SPEC
  try:
    spec = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError, RecursionError) as error:
    raise errors.UserError(
      f"{path} cannot be read ({error}), expected an export; write it again"
      " with `python -m mmer_jax.export`"
    ) from None
  number = spec.get("format") if isinstance(spec, dict) else None
  if number != files.SPEC_FORMAT:
    raise errors.UserError(
      f"{path} has format {number}, expected {files.SPEC_FORMAT}; export the"
      " workdir again"
    )
  _check_spec(path, spec)
  _check_file(folder, spec, files.TENSORS)
  if not files.is_intact(spec):
    raise errors.UserError(
      f"{path} does not match its own checksum: it was edited or damaged;"
      " export the workdir again"
    )
  return spec, safetensors_numpy().load_file(folder / files.TENSORS)


def safetensors_numpy() -> Any:
  """Imports `safetensors.numpy`.

  Raises:
    UserError: It is not installed.
  """
  return errors.require("safetensors.numpy", "export", files.TENSORS)


def _check_spec(path: pathlib.Path, spec: dict[str, Any]) -> None:
  """Refuses a spec that lacks what predicting reads."""
  parts = [("", spec, _KEYS)]
  entries = spec.get("modalities")
  if isinstance(entries, dict):
    parts += [(f"{m} ", entry, _MODALITY_KEYS) for m, entry in entries.items()]
  if isinstance(spec.get("emotions"), list):
    parts += [("emotion ", each, _EMOTION_KEYS) for each in spec["emotions"]]
  for what, part, kinds in parts:
    for key, kind in kinds.items():
      if not isinstance(part, dict) or not isinstance(part.get(key), kind):
        raise errors.UserError(
          f"{path} lacks the {what}{key}, or holds something else there; export"
          " the workdir again"
        )


def _check_file(folder: pathlib.Path, spec: dict[str, Any], name: str) -> None:
  """Compares a file with the digest that the spec has of it."""
  try:
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
  except OSError as error:
    raise errors.UserError(
      f"{folder / name} cannot be read ({error}); export the workdir again"
    ) from None
  if digest != spec["files"].get(name):
    raise errors.UserError(
      f"{folder / name} is not the file that {files.SPEC} was written with;"
      " export the workdir again, or use --refresh for the StableHLO"
    )


def _exported(
  folder: pathlib.Path, spec: dict[str, Any]
) -> Callable[..., dict[str, Any]]:
  """Reads the function of an export, compiled for this backend when called."""
  _check_file(folder, spec, files.MODEL)
  path = folder / files.MODEL
  try:
    exported = jax_export.deserialize(bytearray(path.read_bytes()))
  except ImportError:
    raise errors.UserError(
      f"{files.MODEL} needs the package flatbuffers, which is not installed;"
      " pip install 'mmer_jax[export]'"
    ) from None
  except ValueError as error:
    raise errors.UserError(
      f"{path} is too old or too new for jax {jax.__version__}"
      f" ({error}); run `python -m mmer_jax.export --refresh --out={folder}`"
    ) from None
  backend = jax.default_backend()
  known = {"gpu": ("cuda", "rocm")}.get(backend, (backend,))
  if not set(known) & set(exported.platforms):
    raise errors.UserError(
      f"{path} was exported for {', '.join(exported.platforms)}, not"
      f" for {backend}; run `python -m mmer_jax.export --refresh --out={folder}"
      f" --platforms={','.join([*exported.platforms, known[0]])}`"
    )
  return jax.jit(exported.call)
