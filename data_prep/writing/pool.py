"""Runs a function over tasks, in this process or in several."""

import collections
import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from typing import Any

from mmer_jax.base.errors import UserError

# Per process: enough that none waits, few enough to stay in memory.
_AHEAD = 2

_function: Callable[[Any], Any] | None = None


def cores() -> int:
  """Counts the cores that this process may use."""
  return len(os.sched_getaffinity(0))


def run(
  function: Callable[[Any], Any], tasks: Iterable[Any], workers: int
) -> Iterator[Any]:
  """Yields what a function makes of each task, in the order of the tasks.

  Args:
    function: Is copied into each process once, by pickle.
    tasks: Read while results are taken, a few ahead. Where it fails, the
      results before come first.
    workers: Processes; 1 for this one.
  """
  if workers == 1:
    yield from map(function, tasks)
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
  except concurrent.futures.process.BrokenProcessPool as error:
    raise UserError(
      "a process of the conversion was ended from outside, expected it to"
      " live; was there too little memory? Use fewer --workers"
    ) from error
  finally:
    executor.shutdown(wait=True, cancel_futures=True)


def _in_order(
  executor: concurrent.futures.Executor, tasks: Iterable[Any], ahead: int
) -> Iterator[Any]:
  pending: collections.deque[concurrent.futures.Future] = collections.deque()
  failure = None
  try:
    for task in tasks:
      pending.append(executor.submit(_call, task))
      if len(pending) >= ahead:
        yield pending.popleft().result()
  except UserError as error:
    failure = error
  while pending:
    yield pending.popleft().result()
  if failure is not None:
    raise failure


def _call(task: Any) -> Any:
  return _function(task)


def _start(function: Callable[[Any], Any]) -> None:
  """Prepares a process, which ends when the conversion does."""
  global _function
  _function = function
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  connection.wait([multiprocessing.parent_process().sentinel])
  os._exit(1)
