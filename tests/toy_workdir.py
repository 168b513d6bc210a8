"""Workdirs as if they had been trained with another config."""

import pathlib
from typing import Any

from mmer_jax.base import workdir
from mmer_jax.experiment import provenance


def write_config(folder: pathlib.Path, config: dict[str, Any]) -> None:
  """Replaces the config of a workdir, and what its run.json says of it."""
  workdir.write_json(folder / "config.json", config)
  description = workdir.read_json(folder / "run.json")
  digest = provenance.config_digest(workdir.read_config(folder))
  workdir.write_json(
    folder / "run.json", {**description, "config_sha256": digest}
  )
