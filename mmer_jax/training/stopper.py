"""Turns the signals that end a process into a checkpoint and a clean end."""

import signal
import threading
from types import FrameType

import jax
import numpy as np
from jax.experimental import multihost_utils


class Stopper:
  """Notes SIGTERM and Ctrl-C until the loop can save; a second Ctrl-C ends."""

  def __init__(self):
    """Takes the signals over; `close` gives them back.

    In another thread than the main one Python lets nobody: training cannot be
    asked to stop there.
    """
    self.asked = False
    in_main = threading.current_thread() is threading.main_thread()
    self._before = {
      number: signal.signal(number, self._ask)
      for number in (signal.SIGTERM, signal.SIGINT)
      if in_main
    }

  def _ask(self, number: int, frame: FrameType | None) -> None:
    del frame
    if self.asked and number == signal.SIGINT:
      raise KeyboardInterrupt
    self.asked = True

  def agreed(self) -> bool:
    """Says whether any process was asked to stop; all call it together."""
    if jax.process_count() == 1:
      return self.asked
    return bool(multihost_utils.process_allgather(np.asarray(self.asked)).any())

  def close(self) -> None:
    """Gives the signals back."""
    for number, handler in self._before.items():
      signal.signal(number, handler)
