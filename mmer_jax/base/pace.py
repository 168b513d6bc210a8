"""Paces the lines of long work where there is no terminal for a bar."""

import time

# Ours: seconds between lines, as in a batch job.
PAUSE = 30.0


class Pace:
  """Says when it is time for another line.

  Attributes:
    begun: When it was made, in seconds of a clock that never goes back.
  """

  def __init__(self, pause: float, *, at_once: bool):
    """Takes the seconds between lines, and whether the first one waits."""
    self.begun = time.monotonic()
    self._pause = pause
    self._last = None if at_once else self.begun

  def due(self) -> bool:
    """Says whether it is time; the next line counts from now if it is."""
    now = time.monotonic()
    if self._last is not None and now - self._last < self._pause:
      return False
    self._last = now
    return True

  def seconds(self) -> float:
    """Counts the seconds since it was made."""
    return time.monotonic() - self.begun


def duration(seconds: float) -> str:
  """Formats seconds as h:mm:ss."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}"
