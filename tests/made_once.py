"""Folders that take long to make: once for all workers of a run of pytest."""

import fcntl
import os
import pathlib
import shutil
from collections.abc import Callable

import pytest


def made_once(
  factory: pytest.TempPathFactory,
  name: str,
  make: Callable[[pathlib.Path], object],
) -> pathlib.Path:
  """Makes a folder in the first worker that asks; the others wait for it.

  Args:
    factory: The worker's own.
    name: Name of the folder.
    make: Fills a folder that does not exist yet.
  """
  root = factory.getbasetemp()
  if "PYTEST_XDIST_WORKER" in os.environ:
    root = root.parent
  folder = root / "made_once" / name
  folder.parent.mkdir(exist_ok=True)
  with open(f"{folder}.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    done = pathlib.Path(f"{folder}.done")
    if not done.exists():
      # What a worker left that failed in the middle.
      shutil.rmtree(folder, ignore_errors=True)
      make(folder)
      done.touch()
  return folder


def copy_of(
  factory: pytest.TempPathFactory, folder: pathlib.Path
) -> pathlib.Path:
  """Copies a folder that tests write into."""
  return shutil.copytree(folder, factory.mktemp("copy") / folder.name)
