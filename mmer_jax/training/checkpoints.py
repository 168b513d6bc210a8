"""Saves and restores the runs of a workdir (Orbax)."""

import contextlib
import dataclasses
import errno
import os
import pathlib
import re
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from mmer_jax.base import errors
from mmer_jax.systems import interface
from mmer_jax.training import step


class Position(NamedTuple):
  """Says where training goes on; its fields are keys of a checkpoint's JSON.

  Attributes:
    stage: Number of the stage, from 0.
    epoch: Number of the epoch in the stage, from 0.
    chunk: Number of the next dispatch in the epoch, from 0.
    done: Whether all stages are finished.
  """

  stage: int
  epoch: int
  chunk: int
  done: bool


# Fields of `RunSettings` that the first checkpoints do not have.
_LATER_SETTINGS = ("rating_mean", "rating_scale")

START = Position(0, 0, 0, False)


class Checkpoints:
  """Saves the states of a workdir, each whole or not at all.

  A checkpoint holds six items: `train` (parameters and optimiser, only needed
  to go on), `best` (the parameters that validation selected, of each stage so
  far), `progress`, `runs` (the settings, normalisation among them), `position`
  (JSON: a `Position`) and `digests` (JSON: a checksum of each of the first
  four; not written by several processes, nor by older versions).
  """

  def __init__(self, workdir: pathlib.Path, *, keep: int = 2):
    """Opens `workdir/checkpoints`, which need not exist yet."""
    self.folder = (workdir / "checkpoints").absolute()
    self._manager = ocp.CheckpointManager(
      self.folder,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=keep, enable_async_checkpointing=False
      ),
    )

  def latest(self) -> int | None:
    """Gives the number of the newest complete checkpoint; None before any."""
    return self._manager.latest_step()

  def save(
    self,
    number: int,
    state: step.RunState,
    runs: interface.RunSettings,
    position: Position,
  ) -> None:
    """Writes a checkpoint; one of the same number is left as it is."""
    if number == self.latest():
      return
    items = {
      "train": state.train,
      "best": (*state.finished, state.best_params),
      "progress": state.progress,
      "runs": jax.tree.map(_storable, runs),
    }
    saved = {
      name: ocp.args.StandardSave(_as_item(item))
      for name, item in items.items()
    }
    saved["position"] = ocp.args.JsonSave(position._asdict())
    if jax.process_count() == 1:
      digests = {name: _digest(item) for name, item in items.items()}
      saved["digests"] = ocp.args.JsonSave(digests)
    try:
      self._manager.save(number, args=ocp.args.Composite(**saved), force=True)
    except ValueError as error:
      # TensorStore has the system's error in its text alone.
      if os.strerror(errno.ENOSPC) not in str(error):
        raise
      full = os.strerror(errno.ENOSPC)
      raise OSError(errno.ENOSPC, full, str(self.folder)) from error
    self._manager.wait_until_finished()

  def position(self) -> Position:
    """Reads where the newest checkpoint stands."""
    number = self._number()
    with self._naming(number):
      restored = self._manager.restore(
        number, args=ocp.args.Composite(position=ocp.args.JsonRestore())
      )
      return Position(**restored["position"])

  def restore(self, target: step.RunState) -> step.RunState:
    """Reads the newest state onto the shardings of an abstract one."""
    restored = self._restore(
      train=target.train,
      best=(*target.finished, target.best_params),
      progress=target.progress,
    )
    *finished, best = restored["best"]
    return step.RunState(
      train=restored["train"],
      best_params=best,
      progress=restored["progress"],
      finished=tuple(finished),
    )

  def restore_best(
    self,
    target: step.RunState,
    runs: interface.RunSettings,
    sharding: jax.sharding.Sharding,
  ) -> tuple[tuple[Any, ...], interface.RunSettings, step.Progress]:
    """Reads what predicting needs, as arrays of the host.

    Args:
      target: The abstract state, with the runs axis.
      runs: Settings of the same shapes as the saved ones.
      sharding: Replicates over the devices of all processes.

    Returns:
      The selected parameters of each stage, the settings, and the progress
      with which each run ended.
    """
    best, progress, stored = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(
        _stored_shape(leaf), leaf.dtype, sharding=sharding
      ),
      ((*target.finished, target.best_params), target.progress, runs),
    )
    restored = self._restore(best=best, progress=progress, runs=stored)
    best, stored, progress = jax.tree.map(
      np.asarray,
      (tuple(restored["best"]), restored["runs"], restored["progress"]),
    )
    runs = jax.tree.map(
      lambda leaf, wanted: leaf[tuple(map(slice, wanted.shape))], stored, runs
    )
    return best, runs, progress

  def close(self) -> None:
    """Ends Orbax's threads."""
    self._manager.close()

  def _restore(self, **targets: Any) -> Any:
    """Reads parts of the newest checkpoint and compares their checksums."""
    number = self._number()
    wanted = {
      name: ocp.args.StandardRestore(_as_item(target))
      for name, target in targets.items()
    }
    # Neither written nor compared by several processes: none has all arrays.
    file = self.folder / str(number) / "digests"
    summed = jax.process_count() == 1 and file.exists()
    if summed:
      wanted["digests"] = ocp.args.JsonRestore()
    with self._naming(number):
      restored = dict(
        self._manager.restore(number, args=ocp.args.Composite(**wanted))
      )
    if isinstance(targets.get("runs"), interface.RunSettings):
      restored["runs"] = interface.RunSettings(**restored["runs"])
    for name in targets if summed else ():
      if restored["digests"].get(name) != _digest(restored[name]):
        raise errors.UserError(
          self._damaged(number, f"{name} is not what was written")
        )
    return restored

  @contextlib.contextmanager
  def _naming(self, number: int) -> Iterator[None]:
    """Turns what Orbax raises into one line that names the checkpoint."""
    try:
      yield
    except (jax.errors.JaxRuntimeError, MemoryError):
      # The machine's fault and not the checkpoint's.
      raise
    except Exception as error:
      # What Orbax says of another tree takes a page, and has two forms.
      other = re.compile(r"structures? (mismatch|do not match)", re.IGNORECASE)
      if other.search(str(error)):
        raise errors.UserError(
          f"checkpoint {number} of {self.folder} has other parts than this"
          " version of mmer_jax expects: another one wrote it; use that one"
          " (run.json names it), or train into a new workdir"
        ) from error
      reason = str(error.__cause__ or error).strip().partition("\n")[0]
      raise errors.UserError(self._damaged(number, reason)) from error

  def _damaged(self, number: int, reason: str) -> str:
    """Says that a checkpoint cannot be used."""
    return (
      f"checkpoint {number} of {self.folder} is damaged ({reason}); restore it"
      f" from a copy, or remove {self.folder / str(number)} and train again"
    )

  def _number(self) -> int:
    number = self.latest()
    if number is None:
      raise errors.UserError(
        f"{self.folder} holds no checkpoint, expected a trained workdir; run"
        " `python -m mmer_jax.train` first"
      )
    return number


def _as_item(tree: Any) -> Any:
  """Leaves out the settings that came later and that the runs do not have.

  Orbax has an entry for each field, empty or not; older checkpoints have none
  for those.
  """
  if not isinstance(tree, interface.RunSettings):
    return tree
  fields = {
    field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)
  }
  return {
    name: value
    for name, value in fields.items()
    if name not in _LATER_SETTINGS or value is not None
  }


def _stored_shape(leaf: Any) -> tuple[int, ...]:
  """Gives the shape that an array has in a checkpoint."""
  return tuple(max(size, 1) for size in leaf.shape)


def _storable(leaf: Any) -> Any:
  """Fills an empty array, such as word vectors of shards that have none.

  Orbax refuses those.
  """
  return leaf if leaf.size else np.zeros(_stored_shape(leaf), leaf.dtype)


def _digest(tree: Any) -> str:
  """Sums up names, types and values of the arrays of a tree."""
  checksum = 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(tree)):
    array = np.asarray(leaf)
    head = f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}"
    checksum = zlib.crc32(head.encode(), checksum)
    checksum = zlib.crc32(np.ascontiguousarray(array).tobytes(), checksum)
  return f"{checksum:08x}"
