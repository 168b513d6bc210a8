"""Runs a function over tasks, in this process or in several."""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import process
from multiprocessing import connection
from typing import Any, Protocol

from data_prep.writing import workspace
from mmer_jax.base.errors import UserError

# Ours: seconds of work in this process before others are started, which takes
# them as long.
_PATIENCE = 5.0
# Per process: enough that none waits, few enough to stay in memory.
_AHEAD = 2

_function: Callable[[Any], None] | None = None


def cores() -> int:
  """Counts the cores that this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


class Task(Protocol):
  """Something to do, of a number."""

  number: int


def run(
  function: Callable[[Any], None], tasks: Iterable[Task], workers: int
) -> Iterator[int]:
  """Runs a function over tasks; yields their numbers in order, once done.

  Args:
    function: Is copied into each process once, by pickle.
    tasks: Read while others are done, a few ahead. Where it fails, the tasks
      before are done first.
    workers: Processes; 1 for this one, 0 for this one as long as there is
      little to do, and one per core then.

  Raises:
    Resumable: A process was ended from outside.
  """
  if not workers:
    yield from _eventually(function, tasks)
    return
  if workers == 1:
    for task in tasks:
      function(task)
      yield task.number
    return
  # Neither TensorFlow nor JAX nor openSMILE survive a fork, once they have
  # threads: the processes are forks of one that has imported, and run nothing.
  context = multiprocessing.get_context("forkserver")
  context.set_forkserver_preload(["data_prep.writing.rows"])
  executor = concurrent.futures.ProcessPoolExecutor(
    workers, context, initializer=_start, initargs=(function,)
  )
  try:
    yield from _in_order(executor, tasks, _AHEAD * workers)
  except process.BrokenProcessPool as error:
    raise workspace.Resumable(
      "a process of the conversion was ended from outside, expected it to"
      " live; was there too little memory? The same command with fewer"
      " --workers goes on from here"
    ) from error
  finally:
    executor.shutdown(wait=True, cancel_futures=True)


def _eventually(
  function: Callable[[Any], None], tasks: Iterable[Task]
) -> Iterator[int]:
  """Begins in this process, and starts others where that takes long."""
  remaining = iter(tasks)
  spent = 0.0
  while spent < _PATIENCE or cores() == 1:
    task = next(remaining, None)
    if task is None:
      return
    begun = _worked()
    function(task)
    spent += _worked() - begun
    yield task.number
  yield from run(function, remaining, cores())


def _worked() -> float:
  """Computes the seconds that this process and its children have worked."""
  return sum(os.times()[:4])


def _in_order(
  executor: concurrent.futures.Executor, tasks: Iterable[Task], ahead: int
) -> Iterator[int]:
  pending: collections.deque[tuple[int, concurrent.futures.Future[None]]]
  pending = collections.deque()
  failure = None

  def first() -> int:
    number, future = pending.popleft()
    future.result()
    return number

  try:
    for task in tasks:
      pending.append((task.number, executor.submit(_call, task)))
      if len(pending) >= ahead:
        yield first()
  except UserError as error:
    failure = error
  while pending:
    yield first()
  if failure is not None:
    raise failure


def _call(task: Task) -> None:
  _function(task)


def _start(function: Callable[[Any], None]) -> None:
  """Prepares a process, which ends when the conversion does."""
  global _function
  _function = function
  # Control-C is for the conversion, which lets what is begun be ended.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  connection.wait([multiprocessing.parent_process().sentinel])
  os._exit(1)
