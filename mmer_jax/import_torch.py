r"""Turns a published PyTorch MTEE into a workdir of ours.

Example:
  python -c "import numpy, torch; \
    state = torch.load('model.pt', weights_only=True); \
    numpy.savez('model.npz', **{k: v.numpy() for k, v in state.items()})"
  python -m mmer_jax.import_torch --state_dict=model.npz \
    --config=configs/mtee/mosei.py --config.data.dir=DIR --workdir=W

The state dict is that of the implementation that Dai et al. published: names
`RNNs.{0,1,2}.*` for text, audio and visual, `affineAudio.*`,
`affineVisual.*`, `modality_weights.weight`, `textEmoEmbs.weight`. It used no
padding mask: logits agree where nothing is masked.
"""

import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
import rich.console
from absl import flags
from ml_collections import config_flags

from mmer_jax import checkpoints, errors, experiment, program, train, workdir

# The published code's order of the modalities.
_ORDER = ("lexical", "acoustic", "visual")
_MAPS = {"acoustic": "affineAudio", "visual": "affineVisual"}


def params_from_torch(
  state: dict[str, np.ndarray], config: ml_collections.ConfigDict
) -> dict[str, Any]:
  """Renames and transposes a state dict.

  PyTorch's gates have our order; its two biases become their sum, and the
  recurrent matrix of the top layer's backward direction goes unused under the
  read-out `last`, as it does there.

  Args:
    state: Names to arrays, as saved.
    config: An mtee config of the same sizes.

  Returns:
    Parameters of `systems.mtee`.

  Raises:
    UserError: A name is missing, unknown, or of another shape.
  """
  if config.system != "mtee":
    raise errors.UserError(
      f"config.system is {config.system!r}, expected 'mtee': no other system"
      " can be imported"
    )
  left = dict(state)

  def pop(name: str, *shape: int) -> np.ndarray:
    if name not in left:
      raise errors.UserError(
        f"the state dict has no {name}, expected an array of shape {shape};"
        " does the config have the model's layers and modalities?"
      )
    value = np.asarray(left.pop(name), np.float32)
    if value.shape != shape:
      raise errors.UserError(
        f"{name} has shape {value.shape}, the config expects {shape}; set"
        " config.model.hidden to the model's"
      )
    if not np.isfinite(value).all():
      raise errors.UserError(f"{name} is not finite, expected trained weights")
    return value

  hidden = config.model.hidden.to_dict()
  modalities = [m for m in _ORDER if m in config.data.modalities]
  params: dict[str, Any] = {}
  for modality in modalities:
    index, h = _ORDER.index(modality), hidden[modality]
    encoder = {}
    for layer in range(config.model.layers):
      first = f"RNNs.{index}.weight_ih_l0"
      inputs = 2 * h
      if layer == 0:
        inputs = left[first].shape[-1] if first in left else 0
      for direction, suffix in (("forward", ""), ("backward", "_reverse")):
        at = f"RNNs.{index}.{{}}_l{layer}{suffix}"
        w_h = pop(at.format("weight_hh"), 4 * h, h).T
        top = layer == config.model.layers - 1
        key = f"l{layer}_{direction}"
        encoder[f"{key}_w_x"] = pop(at.format("weight_ih"), 4 * h, inputs).T
        encoder[f"{key}_b"] = pop(at.format("bias_ih"), 4 * h) + pop(
          at.format("bias_hh"), 4 * h
        )
        unused = top and direction == "backward"
        if not (unused and config.model.readout == "last"):
          encoder[f"{key}_w_h"] = w_h
    params[f"encoder_{modality}"] = encoder
    if modality in _MAPS:
      name, width = _MAPS[modality], hidden["lexical"]
      params[f"map_{modality}"] = {
        "kernel": pop(f"{name}.weight", h, width).T,
        "bias": pop(f"{name}.bias", h),
      }
  weights = np.asarray(left.get("modality_weights.weight", [])).reshape(-1)
  left["modality_weights.weight"] = weights
  weights = pop("modality_weights.weight", len(modalities))
  for modality, weight in zip(modalities, weights, strict=True):
    params[f"weight_{modality}"] = weight
  left.pop("textEmoEmbs.weight", None)
  # The published model makes all encoders, whatever it is trained on.
  unseen = tuple(
    f"RNNs.{i}." for i, m in enumerate(_ORDER) if m not in modalities
  ) + tuple(f"{_MAPS[m]}." for m in _MAPS if m not in modalities)
  unknown = sorted(
    name for name in left if not (unseen and name.startswith(unseen))
  )
  if unknown:
    raise errors.UserError(
      f"the state dict has {', '.join(unknown)}, which the config has no place"
      " for; set config.model.layers and config.data.modalities to the model's"
    )
  return params


def read_state_dict(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads an .npz without unpickling anything."""
  try:
    with np.load(path, allow_pickle=False) as file:
      return {name: file[name] for name in file.files}
  except (OSError, ValueError, zipfile.BadZipFile) as error:
    raise errors.UserError(
      f"--state_dict={path} cannot be read ({error}); save it with numpy.savez"
    ) from None


def import_torch(
  path: pathlib.Path, config: ml_collections.ConfigDict, folder: pathlib.Path
) -> None:
  """Writes a workdir that `evaluate` takes for a trained one.

  Args:
    path: The state dict as .npz.
    config: With `config.data.dir`, of one fold; its seeds become one run.
    folder: The workdir, which must not exist.
  """
  if folder.exists() and any(folder.iterdir()):
    raise errors.UserError(
      f"--workdir={folder} exists, expected a new one; choose another"
    )
  state = read_state_dict(path)
  params = params_from_torch(state, config)
  experiment.fix_paths(config)
  with config.unlocked():
    config.seeds = config.seeds[:1]
  setup = experiment.build(config)
  if len(setup.records) != 1:
    raise errors.UserError(
      f"the config has {len(setup.records)} folds and settings, expected one:"
      " a state dict is one model; set config.protocol.folds"
    )
  _check_emotions(state, setup)
  compiled = setup.program(0)
  batch = experiment.sample_batch(config, setup.corpus)
  runs = experiment.as_device(setup.runs, setup.mesh)
  begun = compiled.init(runs, program.place(batch, setup.mesh))
  expected = jax.tree.map(lambda leaf: leaf[0], begun.best_params)
  jax.tree.map(_check_shape, params, expected)
  stacked = program.place(
    jax.tree.map(lambda leaf: np.asarray(leaf)[None], params),
    setup.mesh,
    "runs",
  )
  finished = begun.replace(
    best_params=stacked, train=begun.train.replace(params=stacked)
  )
  workdir.write_json(folder / "config.json", config.to_dict())
  workdir.write_json(folder / "run.json", train.describe(setup))
  workdir.write_text(folder / "metrics.jsonl", "")
  store = checkpoints.Checkpoints(folder)
  store.save(1, finished, runs, train.Position(0, 0, 0, done=True)._asdict())
  store.close()


def _check_shape(mine: Any, expected: Any) -> None:
  if np.shape(mine) != expected.shape:
    raise errors.UserError(
      f"an input matrix has shape {np.shape(mine)}, the shards make it"
      f" {expected.shape}; use the shards of the model's features"
    )


def _check_emotions(
  state: dict[str, np.ndarray], setup: experiment.Experiment
) -> None:
  """The model's own emotion vectors must be those of the shards."""
  theirs = state.get("textEmoEmbs.weight")
  if theirs is None:
    return
  ours = setup.corpus.vectors
  if theirs.shape != ours.shape or not np.allclose(theirs, ours, atol=1e-5):
    raise errors.UserError(
      f"textEmoEmbs.weight {theirs.shape} is not the word vectors of"
      f" {', '.join(setup.corpus.emotions)} in the shards {ours.shape}; set"
      " config.data.emotions to the model's emotions in its order, and convert"
      " with its word vectors"
    )


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  config_flags.DEFINE_config_file("config", None, "FILE[:variant].")
  flags.DEFINE_string("state_dict", None, "An .npz of the state dict.")
  flags.DEFINE_string("workdir", None, "Where the checkpoint is written.")
  flags.mark_flags_as_required(["config", "state_dict", "workdir"])


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  import_torch(pathlib.Path(flags.FLAGS.state_dict), flags.FLAGS.config, folder)
  rich.console.Console().print(
    f"imported; python -m mmer_jax.evaluate --workdir={folder}"
  )


if __name__ == "__main__":
  define_flags()
  errors.run(main)
