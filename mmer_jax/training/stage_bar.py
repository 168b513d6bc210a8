"""Shows how far a stage is: a bar on a terminal, now and then a line."""

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Iterator

import jax
import rich.console
import rich.progress

from mmer_jax.base import pace


@contextlib.contextmanager
def stage_bar(
  console: rich.console.Console,
  name: str,
  epochs: int,
  completed: int,
  pause: float = pace.PAUSE,
) -> Iterator[Callable[..., None]]:
  """Shows the progress of a stage.

  Args:
    console: Its stream gets the bar; where that is no terminal and no notebook
      that can draw one, a line after the first epoch, the last one, and every
      so often.
    name: Name of the stage.
    epochs: Number of epochs of the stage.
    completed: Number of epochs that are already done.
    pause: Seconds between lines.

  Yields:
    A function that is told `completed` and texts to show: `loss`, `value`,
    `rate`.
  """
  if jax.process_index() or console.quiet:
    yield lambda **shown: None
  elif console.is_terminal or (console.is_jupyter and _has_widgets()):
    columns = (
      rich.progress.TextColumn("{task.description}"),
      rich.progress.BarColumn(),
      rich.progress.MofNCompleteColumn(),
      rich.progress.TextColumn("loss {task.fields[loss]}"),
      rich.progress.TextColumn("{task.fields[value]}"),
      rich.progress.TextColumn("{task.fields[rate]}"),
      rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as bars:
      task = bars.add_task(
        name, total=epochs, completed=completed, loss="-", value="-", rate="-"
      )
      yield functools.partial(bars.update, task)
  else:
    yield _Lines(console, name, epochs, completed, pause).update


def _has_widgets() -> bool:
  return importlib.util.find_spec("ipywidgets") is not None


class _Lines:
  """Prints a line when enough time has passed since the last."""

  def __init__(
    self,
    console: rich.console.Console,
    name: str,
    epochs: int,
    completed: int,
    pause: float,
  ):
    self._console = console
    self._name = name
    self._epochs = epochs
    self._first = completed
    self._pace = pace.Pace(pause, at_once=True)

  def update(self, completed: int, **shown: str) -> None:
    """Prints the state after an epoch, if it is time, and after the last."""
    if not self._pace.due() and completed < self._epochs:
      return
    each = self._pace.seconds() / max(completed - self._first, 1)
    parts = [
      f"{self._name}: epoch {completed} of {self._epochs}",
      *([f"loss {shown['loss']}"] if "loss" in shown else []),
      *(shown[key] for key in ("value", "rate") if key in shown),
      f"at most {pace.duration(each * (self._epochs - completed))} left",
    ]
    self._console.print(
      ", ".join(parts), markup=False, highlight=False, soft_wrap=True
    )
