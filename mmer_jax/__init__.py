"""Multimodal emotion recognition in JAX: published systems, one training loop.

`train` trains a config, `open_run` opens what was trained, and
`load(path).predict(...)` uses it; importing this package imports nothing
else.
"""

import os
import typing

from mmer_jax.base.version import __version__

if typing.TYPE_CHECKING:
  from mmer_jax.api.run import Run
  from mmer_jax.serving.model import Model

__all__ = ["__version__", "load", "open_run", "train"]


def load(path: str | os.PathLike[str], **options: typing.Any) -> "Model":
  """Loads an export, or a finished workdir, to predict with.

  Args:
    path: The folder.
    options: `word_vectors` and `text_encoder`, where text needs what the model
      does not hold; see `mmer_jax.serving.load`.

  Raises:
    UserError: The folder is neither, or was changed.
  """
  # Only who predicts pays for importing jax.
  from mmer_jax.serving import load as load_lib

  return load_lib.load(path, **options)


def train(config: typing.Any, **options: typing.Any) -> "Run":
  """Trains a config by its name, file or value; see `mmer_jax.api.train`.

  Example:
    run = train("quickstart", data="data/tiny", workdir="runs/a", seeds=(0, 1))
    run.results("test").summary
  """
  from mmer_jax.api import train as train_lib

  return train_lib.train(config, **options)


def open_run(workdir: str | os.PathLike[str]) -> "Run":
  """Opens the workdir of a training: its results, log, model and figures.

  Raises:
    UserError: The folder is none.
  """
  from mmer_jax.api import run as run_lib

  return run_lib.Run(workdir)
