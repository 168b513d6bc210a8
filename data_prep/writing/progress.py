"""Shows how far a conversion is: a bar on a terminal, now and then a line."""

import contextlib
from collections.abc import Callable, Iterator

import rich.console
import rich.progress

from mmer_jax.base import pace


@contextlib.contextmanager
def show(
  what: str,
  total: int | None,
  console: rich.console.Console,
  pause: float = pace.PAUSE,
) -> Iterator[Callable[..., None]]:
  """Yields a function that is told how many further utterances are done.

  Its second argument says that they had been ready before.

  Args:
    what: What is being done to what, for a reader.
    total: How many utterances there are; None where that is not known.
    console: Its stream gets the bar, or the lines.
    pause: Seconds between lines.
  """
  if console.is_terminal:
    columns = (
      rich.progress.TextColumn("{task.description}"),
      rich.progress.BarColumn(),
      rich.progress.MofNCompleteColumn(),
      rich.progress.TimeElapsedColumn(),
      rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(
      *columns, console=console, transient=True
    ) as bar:
      task = bar.add_task(what, total=total)
      yield lambda count, ready=False: bar.advance(task, count)
    return
  lines = _Lines(what, total, console, pause)
  yield lines.advance


class _Lines:
  """Prints a line when enough time has passed since the last."""

  def __init__(
    self,
    what: str,
    total: int | None,
    console: rich.console.Console,
    pause: float,
  ) -> None:
    self._what = what
    self._total = total
    self._console = console
    self._done = self._ready = 0
    self._pace = pace.Pace(pause, at_once=False)

  def advance(self, count: int, ready: bool = False) -> None:
    self._done += count
    self._ready += count if ready else 0
    if not self._pace.due():
      return
    rate = (self._done - self._ready) / self._pace.seconds()
    of, left = "", ""
    if self._total is not None:
      of = f" of {self._total:,}"
      seconds = max(self._total - self._done, 0) / max(rate, 1e-9)
      left = f", {pace.duration(seconds)} left"
    self._console.print(
      f"{self._what}: {self._done:,}{of} utterances, {rate:,.0f} per"
      f" second{left}",
      markup=False,
    )
