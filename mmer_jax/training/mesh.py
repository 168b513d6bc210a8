"""Lays runs and batches over the devices.

A mesh has two axes: `runs` splits the runs of a program, `data` splits every
batch.
"""

from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from mmer_jax.base import errors

_OVER_RUNS = PartitionSpec("runs")


def make_mesh(
  runs: int,
  batch_size: int,
  *,
  over_runs: int,
  over_data: int,
  devices: Sequence[jax.Device] | None = None,
) -> Mesh:
  """Lays the devices over the runs and over each batch.

  Args:
    runs: How many runs the program has.
    batch_size: Examples per batch.
    over_runs: Devices along the runs; 0 for as many as divide them.
    over_data: Devices along each batch; 0 for the rest, as many as divide it.
    devices: The devices; None for all that there are.

  Returns:
    A mesh over the first `over_runs * over_data` devices.

  Raises:
    UserError: The devices do not suffice, or do not divide runs or batch.
  """
  devices = jax.devices() if devices is None else devices
  if not over_runs:
    free = len(devices) // (over_data or 1)
    over_runs = max(n for n in range(1, max(free, 1) + 1) if runs % n == 0)
  if not over_data:
    free = len(devices) // over_runs
    over_data = max(
      n for n in range(1, max(free, 1) + 1) if batch_size % n == 0
    )
  if over_runs * over_data > len(devices):
    raise errors.UserError(
      f"config.mesh asks for {over_runs} x {over_data} devices, got"
      f" {len(devices)}; set config.mesh.runs and config.mesh.data to 0"
    )
  for name, axis, size in (
    ("runs", over_runs, runs),
    ("data", over_data, batch_size),
  ):
    if size % axis:
      raise errors.UserError(
        f"config.mesh.{name} is {axis}, which does not divide {size}"
        f" ({'runs' if name == 'runs' else 'config.training.batch_size'});"
        f" set config.mesh.{name}=0"
      )
  count = over_runs * over_data
  if jax.process_count() > 1 and count != len(devices):
    raise errors.UserError(
      f"a mesh of {over_runs} x {over_data} leaves devices of"
      f" {jax.process_count()} processes without work, expected all"
      f" {len(devices)}; change config.training.batch_size"
    )
  return jax.make_mesh(
    (over_runs, over_data),
    ("runs", "data"),
    axis_types=(AxisType.Auto, AxisType.Auto),
    devices=devices[:count],
  )


def set_mesh(config: ml_collections.ConfigDict, mesh: str) -> None:
  """Sets `config.mesh` from `RxD`.

  Raises:
    UserError: It is not two whole numbers with an x between.
  """
  runs, _, data = mesh.partition("x")
  if not (runs.isdecimal() and data.isdecimal()):
    raise errors.UserError(
      f"--mesh is {mesh!r}, expected devices over the runs and over each batch"
      " as 4x1; 0 for as many as divide them"
    )
  config.mesh.update(runs=int(runs), data=int(data))


def place(tree: Any, mesh: Mesh, *axes: str | None) -> Any:
  """Puts host arrays on the mesh, split along the named axes.

  Every process passes the same arrays and keeps what is its own.
  """

  def put(leaf: Any) -> Array:
    host = np.asarray(leaf)
    sharding = NamedSharding(mesh, PartitionSpec(*axes[: host.ndim]))
    return jax.make_array_from_callback(
      host.shape, sharding, lambda index: host[index]
    )

  return jax.tree.map(put, tree)


def abstract(tree: Any, mesh: Mesh, *axes: str | None) -> Any:
  """Describes what `place` would make of host arrays: nothing is put."""

  def describe(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = NamedSharding(mesh, PartitionSpec(*axes[: leaf.ndim]))
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

  return jax.tree.map(describe, tree)


def replicated(mesh: Mesh) -> NamedSharding:
  """Gives every device the whole of an array."""
  return NamedSharding(mesh, PartitionSpec())


def fetched(mesh: Mesh) -> NamedSharding:
  """Gives the layout of arrays over runs that `fetch` copies to the host.

  One process reaches all devices: each keeps its runs, and none waits for
  another. Of several processes each needs the whole.
  """
  several = jax.process_count() > 1
  return replicated(mesh) if several else NamedSharding(mesh, _OVER_RUNS)


def fetch(tree: Any) -> Any:
  """Copies arrays laid out by `fetched` to the host."""
  return jax.tree.map(np.asarray, jax.device_get(tree))
