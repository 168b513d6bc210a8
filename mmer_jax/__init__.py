"""Multimodal emotion recognition in JAX: published systems, one training loop.

`load(path).predict(features)` uses a trained model; importing this package
imports nothing else.
"""

import typing

from mmer_jax.base.version import __version__

if typing.TYPE_CHECKING:
  from mmer_jax.serving.model import Model

__all__ = ["__version__", "load"]


def load(path: str) -> "Model":
  """Loads an export, or a finished workdir, to predict with.

  Raises:
    UserError: The folder is neither, or was changed.
  """
  # Only who predicts pays for importing jax.
  from mmer_jax.serving import load as load_lib

  return load_lib.load(path)
