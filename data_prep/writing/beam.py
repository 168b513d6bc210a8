"""Runs a function over tasks with Apache Beam, on one machine or on many.

Beam hands out the tasks, starts processes and repeats what fails. What comes
out goes through files in the folder of the conversion, which every machine
must see under the same path, as it must the input: no record passes through
the runner, and a conversion that was killed goes on from these files, by Beam
or without it.
"""

import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from data_prep.writing import chunks, pool, spill, workspace
from mmer_jax.base import errors
from mmer_jax.base.errors import UserError

# Seconds between looks at what is done.
_PAUSE = 0.2


@dataclasses.dataclass(frozen=True)
class Beam:
  """Says where Beam runs.

  Attributes:
    runner: Beam's name of a runner.
    options: Beam's pipeline options, each `NAME=VALUE` or `NAME`.
  """

  runner: str
  options: Sequence[str] = ()

  def run(
    self,
    function: Callable[[Any], None],
    tasks: Iterable[pool.Task],
    is_done: Callable[[pool.Task], bool],
  ) -> Iterator[int]:
    """Runs a function over tasks; yields their numbers in order, once done.

    Args:
      function: Is copied to the workers by pickle.
      tasks: Are copied, too.
      is_done: Says of a task whether what it leaves is there.

    Raises:
      UserError: Beam is not installed, or does not take the options.
    """
    pipeline = self._pipeline()
    listed, failure = _listed(tasks)
    job = _Job(pipeline, function, [t for t in listed if not is_done(t)])
    for task in listed:
      while not is_done(task):
        if job.ended.is_set() and not is_done(task):
          job.refuse()
        time.sleep(_PAUSE)
      yield task.number
    job.ended.wait()
    job.refuse(lost=False)
    if failure is not None:
      raise failure

  def _pipeline(self) -> Any:
    beam = errors.require("apache_beam", "beam", "--runner")
    options = errors.require(
      "apache_beam.options.pipeline_options", "beam", "--runner"
    )
    # Workers report each step of theirs otherwise, in the middle of the bar.
    quiet = ("default_sdk_harness_log_level=ERROR",)
    given = [f"--{each}" for each in (*quiet, *self.options)]
    try:
      return beam.Pipeline(
        options=options.PipelineOptions([f"--runner={self.runner}", *given])
      )
    except (ValueError, SystemExit) as error:
      reason = " ".join(str(error).split())
      raise UserError(
        f"Beam does not take --runner={self.runner} with --beam_options="
        f"{','.join(self.options)} ({reason}); see Beam's documentation of the"
        " runner"
      ) from None


class _Job:
  """Runs a pipeline in a thread of its own.

  Attributes:
    ended: Is set when it has.
  """

  def __init__(
    self,
    pipeline: Any,
    function: Callable[[Any], None],
    tasks: Sequence[pool.Task],
  ) -> None:
    self.ended = threading.Event()
    self._failure: Exception | None = None
    beam = errors.require("apache_beam", "beam", "--runner")
    _ = (
      pipeline
      | "tasks" >> beam.Create(tasks)
      | "spread" >> beam.Reshuffle()
      | "do" >> beam.Map(function)
    )
    if not tasks:
      self.ended.set()
      return
    threading.Thread(target=self._run, args=(pipeline,), daemon=True).start()

  def _run(self, pipeline: Any) -> None:
    try:
      pipeline.run().wait_until_finish()
    except Exception as error:  # noqa: BLE001 Raised where it is waited for.
      self._failure = error
    finally:
      self.ended.set()

  def refuse(self, lost: bool = True) -> None:
    """Raises what has ended the pipeline, or that something is `lost`."""
    if self._failure is not None:
      raise self._failure
    if lost:
      raise workspace.Resumable(
        "Beam has ended, and what its workers wrote is not there; expected a"
        " folder of --output that every worker sees under the same path"
      )


def _listed(
  tasks: Iterable[pool.Task],
) -> tuple[list[pool.Task], UserError | None]:
  """Lists tasks up to where they fail, if they do."""
  listed = []
  try:
    listed.extend(tasks)
  except UserError as error:
    return listed, error
  return listed, None


def spilled(
  tasks: Iterable[chunks.Chunk], folder: pathlib.Path
) -> Iterator[chunks.Chunk]:
  """Puts the examples of chunks into files, one at a time."""
  folder.mkdir(exist_ok=True)
  for chunk in tasks:
    if chunk.examples and not chunk.ready:
      path = folder / f"{chunk.number:06d}.npz"
      spill.save(path, chunk.examples)
      chunk = dataclasses.replace(chunk, examples=None, spilled=path)
    yield chunk
