"""Puts an experiment on devices: mesh, compiled programs and their inputs."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mmer_jax.data import batches
from mmer_jax.experiment import build, input_repair
from mmer_jax.systems import interface
from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import program as program_lib


class Session(NamedTuple):
  """Holds an experiment and the devices that compute it.

  Attributes:
    experiment: The runs of a config.
    mesh: The devices, laid over the runs and over each batch.
  """

  experiment: build.Experiment
  mesh: jax.sharding.Mesh

  @property
  def resident(self) -> Any:
    """Places the corpus on the devices; `()` where its batches are streamed."""
    experiment = self.experiment
    if experiment.config.data.resident:
      return mesh_lib.place(experiment.corpus.table.batch, self.mesh)
    return ()

  def place_runs(self, runs: interface.RunSettings) -> interface.RunSettings:
    """Lays settings of the runs over the runs axis of the mesh."""
    return mesh_lib.place(runs, self.mesh, "runs")

  def program(
    self, number: int, visible_modalities: Sequence[str] | None = None
  ) -> program_lib.Program:
    """Prepares the compiled functions of a stage.

    Args:
      number: Number of the stage, from 0.
      visible_modalities: The modalities that `predict` may see; None for all.
    """
    experiment = self.experiment
    return program_lib.build_program(
      experiment.system,
      number,
      experiment.stage_rules(number),
      self.mesh,
      resident=experiment.config.data.resident,
      visible_modalities=visible_modalities,
      input_transform=input_repair.make_input_transform(
        experiment.noise, experiment.repair
      ),
    )

  def feed(self, chunks: Iterator[np.ndarray]) -> Iterator[Any]:
    """Turns row numbers (r, s, b) into what compiled functions take."""
    experiment = self.experiment
    resident = experiment.config.data.resident

    def make(rows: np.ndarray) -> Any:
      fed = rows if resident else experiment.corpus.table.take(rows)
      return mesh_lib.place(fed, self.mesh, "runs", None, "data")

    return batches.prefetch(chunks, make)


def open_session(experiment: build.Experiment) -> Session:
  """Lays the devices over the runs of an experiment.

  Raises:
    UserError: `config.mesh` asks for what the devices or the runs do not allow.
  """
  config = experiment.config
  mesh = mesh_lib.make_mesh(
    len(experiment.records),
    config.training.batch_size,
    over_runs=config.mesh.runs,
    over_data=config.mesh.data,
  )
  return Session(experiment, mesh)
