"""Multimodal emotion recognition in JAX: published systems, one training loop.

`load(path).predict(features)` uses a trained model; importing this package
imports nothing else.
"""

import typing

__version__ = "0.1.0"

if typing.TYPE_CHECKING:
  from mmer_jax.predictor import Model


def load(path: str) -> "Model":
  """Loads an export, or a finished workdir, to predict with.

  Raises:
    UserError: The folder is neither, or was changed.
  """
  from mmer_jax import predictor

  return predictor.load(path)
