"""Refuses input that does not fit a model, and names what does not."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base.errors import UserError

# An input whose columns lie this many of training's deviations away is not in
# training's units; one column or another may be, of heavy tails.
_FAR, _FAR_SHARE = 10.0, 0.1


def check_modality(spec: dict[str, Any], modality: str) -> None:
  """Refuses a modality that the model does not read.

  Raises:
    UserError: It is none of the spec's.
  """
  if modality not in spec["modalities"]:
    raise UserError(
      f"features names {modality!r}, but the model reads"
      f" {', '.join(spec['modalities'])}; leave it out"
    )


def check_finite(
  columns: Sequence[str], frames: np.ndarray, where: str, real: np.ndarray
) -> None:
  """Refuses NaN, infinities and what is larger than float32 can hold.

  Args:
    columns: Names of the columns.
    frames: One utterance, (t, d) float32.
    where: The utterance, for the message.
    real: Which frames are looked at, (t,).

  Raises:
    UserError: The first such number is named.
  """
  wrong = ~np.isfinite(frames) & real[:, None]
  if wrong.any():
    row, column = np.argwhere(wrong)[0]
    raise UserError(
      f"{where} is not finite in frame {row}, column"
      f" {columns[column]} ({frames[row, column]} in float32); replace it, as"
      " the conversion's --nonfinite does"
    )


class OutputError(UserError):
  """Says that the model's output for an utterance is not finite.

  Attributes:
    row: The number of the utterance.
  """

  def __init__(self, row: int, utterance: str):
    """Takes the number of the utterance, and what it is called."""
    super().__init__(
      f"the model's output for utterance {utterance} is not finite: its"
      " features are too large, or the model's training has failed; give"
      " features as the training's converter made them"
    )
    self.row = row


def check_outputs(probs: np.ndarray) -> None:
  """Refuses to choose among probabilities that are not finite.

  Raises:
    OutputError: The first such utterance is named.
  """
  wrong = np.flatnonzero(~np.isfinite(probs).all(axis=1))
  if len(wrong):
    raise OutputError(int(wrong[0]), str(wrong[0]))


def check_scale(
  spec: dict[str, Any], modality: str, utterances: Sequence[np.ndarray]
) -> None:
  """Refuses features whose columns lie far from those of training.

  Args:
    spec: The content of `feature_spec.json`.
    modality: The modality of the features.
    utterances: The frames (t, d) of each utterance.

  Raises:
    UserError: Too many columns are far; the farthest is named.
  """
  entry = spec["modalities"][modality]
  frames = np.concatenate(
    [np.zeros((0, entry["dim"]), np.float32), *utterances]
  )
  if entry["padding"] == "zero_rows":
    frames = frames[frames.any(axis=1)]
  if not len(frames):
    return
  mean, std = np.asarray(entry["mean"]), np.asarray(entry["std"])
  scale = np.maximum(std, 1e-6 * np.maximum(np.abs(mean), 1e-6))
  deviations = np.abs(frames.mean(axis=0, dtype=np.float64) - mean) / scale
  far = np.flatnonzero(deviations > _FAR)
  if len(far) > _FAR_SHARE * len(mean):
    column = far[np.argmax(deviations[far])]
    raise UserError(
      f"{modality}: the means of {len(far)} of {len(mean)} columns lie more"
      f" than {_FAR:g} deviations from those of training, most of all"
      f" {entry['columns'][column]} with {frames[:, column].mean():.4g},"
      f" expected about {mean[column]:.4g} +- {std[column]:.4g}; give"
      " features as the training's converter made them, not normalised"
    )
