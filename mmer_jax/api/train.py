"""Trains a config, as the command does, without flags."""

import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import rich.console

from mmer_jax.api import run as run_lib
from mmer_jax.base import config_file, errors
from mmer_jax.base import progress as progress_lib
from mmer_jax.evaluation import results, tables, train_and_evaluate
from mmer_jax.training import log_hook


def train(
  config: str | ml_collections.ConfigDict,
  *,
  data: str | pathlib.Path,
  workdir: str | pathlib.Path,
  seeds: Sequence[int] | None = None,
  progress: bool = True,
  tensorboard: bool = False,
  log_to: str | log_hook.OpenLog | None = None,
  first_stage: str | pathlib.Path | None = None,
  **overrides: Any,
) -> run_lib.Run:
  """Trains every run of a config in one program, or goes on with them.

  Args:
    config: `NAME[:VARIANT]` or `FILE[:VARIANT]`, or a config.
    data: The folder of shards.
    workdir: The folder where everything is written.
    seeds: The seeds; None for the config's.
    progress: Whether to show progress and the table of validation.
    tensorboard: Whether to write event files too.
    log_to: A function that is called with the config and the workdir and
      returns what takes each row of the log; or `MODULE:FUNCTION`.
    first_stage: A finished workdir of the same config without its few-shot
      stages.
    **overrides: Other values of the config, `**{"optimizer.learning_rate":
      3e-4}`.

  Returns:
    The workdir, finished.

  Raises:
    UserError: Config, shards and workdir do not fit, or every run failed.
    KeyboardInterrupt: Training was asked to stop; the same call resumes.
  """
  made = read_config(config)
  changes = {**overrides, "data.dir": str(data)}
  if seeds is not None:
    changes["seeds"] = tuple(seeds)
  override(made, changes)
  folder = pathlib.Path(workdir)
  console = rich.console.Console(stderr=True, quiet=not progress)
  with progress_lib.shown(console):
    result = train_and_evaluate.train_and_evaluate(
      made,
      folder,
      console=console,
      tensorboard=tensorboard,
      log_to=log_to,
      first_stage=pathlib.Path(first_stage) if first_stage else None,
    )
  if result is None:
    raise KeyboardInterrupt(
      f"stopped and saved; the same call resumes {folder}"
    )
  if results.every_run_failed(result):
    raise errors.UserError(
      f"every run of {folder} failed. {' '.join(tables.failures(result))}"
    )
  return run_lib.Run(folder, progress=progress)


def read_config(
  config: str | ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """Reads the config of a name or file; copies one that is given.

  Returns:
    A config of its own, locked: values change, keys do not.
  """
  if isinstance(config, ml_collections.ConfigDict):
    return ml_collections.ConfigDict(config.to_dict()).lock()
  return config_file.read(config)


def override(
  config: ml_collections.ConfigDict, changes: dict[str, Any]
) -> None:
  """Changes values of a config.

  Args:
    config: The config.
    changes: Key, as `optimizer.learning_rate`, to value.

  Raises:
    UserError: The config has no such key, or a value of another type.
  """
  config_file.check_keys(config, list(changes))
  for key, value in changes.items():
    value = tuple(value) if isinstance(value, list) else value
    with config.unlocked():
      try:
        config.update_from_flattened_dict({key: value})
      except (TypeError, ValueError) as error:
        raise errors.UserError(
          f"config.{key} cannot be {value!r}: {error}"
        ) from None
