"""Reads the weights of a published PyTorch MTEE.

The state dict is that of the implementation that Dai et al. published: names
`RNNs.{0,1,2}.*` for text, audio and visual, `affineAudio.*`,
`affineVisual.*`, `modality_weights.weight`, `textEmoEmbs.weight`. It used no
padding mask: logits agree where nothing is masked.
"""

import pathlib
import zipfile
from typing import Any

import ml_collections
import numpy as np

from mmer_jax.base import errors

# The published code's order of the modalities.
_ORDER = ("lexical", "acoustic", "visual")
_MAPS = {"acoustic": "affineAudio", "visual": "affineVisual"}


class _State:
  """Takes arrays out of a state dict one by one.

  Attributes:
    left: Name to the arrays that nothing has taken yet.
  """

  def __init__(self, state: dict[str, np.ndarray]):
    self.left = dict(state)

  def pop(self, name: str, *shape: int) -> np.ndarray:
    """Takes a finite float32 array of a shape, or raises a UserError."""
    if name not in self.left:
      raise errors.UserError(
        f"the state dict has no {name}, expected an array of shape {shape};"
        " does the config have the model's layers and modalities?"
      )
    value = np.asarray(self.left.pop(name), np.float32)
    if value.shape != shape:
      raise errors.UserError(
        f"{name} has shape {value.shape}, the config expects {shape}; set"
        " config.model.hidden to the model's"
      )
    if not np.isfinite(value).all():
      raise errors.UserError(f"{name} is not finite, expected trained weights")
    return value


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
  arrays = _State(state)
  hidden = config.model.hidden.to_dict()
  modalities = [m for m in _ORDER if m in config.data.modalities]
  params: dict[str, Any] = {}
  for modality in modalities:
    params[f"encoder_{modality}"] = _encoder(
      arrays, _ORDER.index(modality), hidden[modality], config.model
    )
    if modality in _MAPS:
      name, width = _MAPS[modality], hidden["lexical"]
      params[f"map_{modality}"] = {
        "kernel": arrays.pop(f"{name}.weight", hidden[modality], width).T,
        "bias": arrays.pop(f"{name}.bias", hidden[modality]),
      }
  name = "modality_weights.weight"
  arrays.left[name] = np.asarray(arrays.left.get(name, [])).reshape(-1)
  weights = arrays.pop(name, len(modalities))
  for modality, weight in zip(modalities, weights, strict=True):
    params[f"weight_{modality}"] = weight
  _check_all_taken(arrays, modalities)
  return params


def _encoder(
  arrays: _State, index: int, hidden: int, model: ml_collections.ConfigDict
) -> dict[str, np.ndarray]:
  """Takes the LSTM layers of the modality of a number."""
  encoder = {}
  for layer in range(model.layers):
    inputs = 2 * hidden
    if layer == 0:
      first = f"RNNs.{index}.weight_ih_l0"
      inputs = arrays.left[first].shape[-1] if first in arrays.left else 0
    for direction, suffix in (("forward", ""), ("backward", "_reverse")):
      at = f"RNNs.{index}.{{}}_l{layer}{suffix}"
      w_h = arrays.pop(at.format("weight_hh"), 4 * hidden, hidden).T
      key = f"l{layer}_{direction}"
      w_x = arrays.pop(at.format("weight_ih"), 4 * hidden, inputs)
      encoder[f"{key}_w_x"] = w_x.T
      encoder[f"{key}_b"] = arrays.pop(
        at.format("bias_ih"), 4 * hidden
      ) + arrays.pop(at.format("bias_hh"), 4 * hidden)
      top = layer == model.layers - 1
      unused = top and direction == "backward" and model.readout == "last"
      if not unused:
        encoder[f"{key}_w_h"] = w_h
  return encoder


def _check_all_taken(arrays: _State, modalities: list[str]) -> None:
  """Refuses arrays that the config has no place for, as a UserError."""
  arrays.left.pop("textEmoEmbs.weight", None)
  # The published model makes all encoders, whatever it is trained on.
  unused = tuple(
    f"RNNs.{i}." for i, m in enumerate(_ORDER) if m not in modalities
  ) + tuple(f"{_MAPS[m]}." for m in _MAPS if m not in modalities)
  unknown = sorted(
    name for name in arrays.left if not (unused and name.startswith(unused))
  )
  if unknown:
    raise errors.UserError(
      f"the state dict has {', '.join(unknown)}, which the config has no place"
      " for; set config.model.layers and config.data.modalities to the model's"
    )


def read_state_dict(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads an .npz without unpickling anything."""
  try:
    with np.load(path, allow_pickle=False) as file:
      return {name: file[name] for name in file.files}
  except (OSError, ValueError, zipfile.BadZipFile) as error:
    raise errors.UserError(
      f"--state_dict={path} cannot be read ({error}); save it with numpy.savez"
    ) from None


def check_shape(mine: Any, expected: Any) -> None:
  """Refuses a matrix whose shape is not that of the shards' features."""
  if np.shape(mine) != expected.shape:
    raise errors.UserError(
      f"an input matrix has shape {np.shape(mine)}, the shards make it"
      f" {expected.shape}; use the shards of the model's features"
    )
