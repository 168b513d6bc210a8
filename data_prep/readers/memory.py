"""Bounds the memory that reading a file may take."""

import contextlib
import pathlib
from collections.abc import Iterator

try:
  import resource
except ImportError:  # Not a Unix.
  resource = None

_STATM = pathlib.Path("/proc/self/statm")


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
  """Lets the process grow by some bytes at most: more is a `MemoryError`.

  A file of a few bytes may ask for as much memory as there is. The bound is of
  the process as a whole, so that it is for single steps; where the system has
  none it does nothing.

  Args:
    size: Bytes beyond what the process has now.
  """
  if resource is None or not _STATM.exists():
    yield
    return
  now = int(_STATM.read_text().split()[0]) * resource.getpagesize()
  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  known = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
  resource.setrlimit(resource.RLIMIT_AS, (min([now + size, *known]), hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
