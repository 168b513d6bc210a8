"""Says what goes on: a bar on a terminal, now and then a line elsewhere.

Whatever takes long says so by `doing` or `each`. It is shown where somebody has
asked for it by `shown`, as every command does; by itself nothing is.
"""

import contextlib
import contextvars
import importlib.util
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import rich.console
import rich.progress
import rich.table
import rich.text

# Ours: seconds between lines, as in the log of a batch job.
PAUSE = 30.0
# Seconds between two looks at the clock.
_LOOK = 1.0
# Seconds between two movements of a bar.
_REDRAW = 0.05

_Item = TypeVar("_Item")


class Task:
  """Holds how far something is that takes long.

  Attributes:
    what: What is done, to what.
    total: How many there are to do; None where that is not known.
    done: How many are done; a part counts as a fraction.
    before: How many were done when it began.
  """

  def __init__(
    self,
    what: str,
    total: int | None = None,
    unit: str = "",
    done: float = 0,
    *,
    at_most: bool = False,
  ):
    """Takes what `doing` takes."""
    self.what = what
    self.total = total
    self.done = self.before = done
    self._unit = f" {unit}" if unit else ""
    self._at_most = "at most " if at_most else ""
    self._shown: tuple[str, ...] = ()
    self._rates = not at_most
    self._begun = time.monotonic()
    # The rate is of what is done since, and beyond.
    self._counted = self._begun, done
    self._over = False
    self._display: _Display | None = None

  def advance(self, count: float = 1, ready: bool = False) -> None:
    """Counts what is done; what was ready before does not count as fast."""
    self.done += count
    if ready:
      when, done = self._counted
      self._counted = when, done + count
    self._tell()

  def update(self, done: float, *shown: str, unusual: bool = False) -> None:
    """Says how many are done by now.

    Args:
      done: How many.
      *shown: What else there is to see of them.
      unusual: Whether they took longer than those to come: the time left is not
        reckoned by them.
    """
    self.done = done
    self._shown = shown or self._shown
    if unusual:
      self._counted = time.monotonic(), done
    self._tell()

  def state(self) -> str:
    """Describes how far it is, and what is left."""
    now = time.monotonic()
    rate = self._rate(now)
    parts = []
    if self.total is not None:
      parts = [f"{int(self.done):,} of {self.total:,}{self._unit}"]
    elif self.done:
      parts = [f"{int(self.done):,}{self._unit}"]
    parts += self._shown
    if rate >= 1 and self._unit and self._rates:
      parts.append(f"{rate:,.{0 if rate >= 10 else 1}f} per second")
    if self._over:
      parts.append(f"in {duration(now - self._begun)}")
    elif rate and self.total is not None:
      left = max(self.total - self.done, 0) / rate
      parts.append(f"{self._at_most}{duration(left)} left")
    else:
      parts.append(f"{duration(now - self._begun)} so far")
    return ", ".join(parts)

  def end(self) -> None:
    """Says that nothing more of it is done."""
    self._over = True
    if self._display is not None:
      self._display.end(self)

  def _rate(self, now: float) -> float:
    """Counts what is done in a second; 0 where nothing is."""
    when, done = self._counted
    return (self.done - done) / max(now - when, 1e-9)

  def _tell(self) -> None:
    if self._display is not None:
      self._display.changed(self)


class _Display(Protocol):
  """Shows tasks."""

  def begin(self, task: Task, kept: bool) -> None:
    """Shows a task; where it is kept its last state stays to be read."""

  def changed(self, task: Task) -> None:
    """Shows how far a task is."""

  def end(self, task: Task) -> None:
    """Shows a task no longer; it may have gone before."""

  def close(self) -> None:
    """Ends all tasks."""


_display: contextvars.ContextVar[_Display | None] = contextvars.ContextVar(
  "display", default=None
)


@contextlib.contextmanager
def shown(
  console: rich.console.Console, pause: float = PAUSE
) -> Iterator[None]:
  """Shows on a console whatever says in the block what it is doing.

  Args:
    console: Where it is shown: nowhere where the console is quiet, bars on a
      terminal and in a notebook that can draw them, lines elsewhere.
    pause: Seconds between lines.
  """
  display: _Display | None
  if console.quiet:
    display = None
  elif console.is_terminal or (console.is_jupyter and _has_widgets()):
    display = _Bars(console)
  else:
    display = _Lines(console, pause)
  token = _display.set(display)
  try:
    yield
  finally:
    _display.reset(token)
    if display is not None:
      display.close()


@contextlib.contextmanager
def doing(
  what: str,
  total: int | None = None,
  unit: str = "",
  done: float = 0,
  *,
  at_most: bool = False,
  kept: bool = False,
) -> Iterator[Task]:
  """Says what is done in the block.

  Args:
    what: What is done, to what, for a reader.
    total: How many there are to do; None where that is not known.
    unit: What they are, in the plural.
    done: How many are done already.
    at_most: Whether it may end before all are done.
    kept: Whether its last state stays to be read, and without a terminal its
      first one, too.

  Yields:
    What is to be told how many are done.
  """
  task = Task(what, total, unit, done, at_most=at_most)
  display = _display.get()
  if display is None:
    yield task
    return
  task._display = display
  display.begin(task, kept)
  try:
    yield task
  finally:
    task.end()


def each(
  items: Iterable[_Item], what: str, total: int | None = None, unit: str = ""
) -> Iterator[_Item]:
  """Gives items one by one and says how many have been worked on."""
  with doing(what, total, unit) as task:
    for item in items:
      yield item
      task.advance()


def clear() -> None:
  """Shows no more what goes on until now, as the start of a command."""
  display = _display.get()
  if display is not None:
    display.close()


def duration(seconds: float) -> str:
  """Formats seconds as h:mm:ss."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}"


def _has_widgets() -> bool:
  return importlib.util.find_spec("ipywidgets") is not None


class _State(rich.progress.ProgressColumn):
  """Shows how far a task is, in words."""

  max_refresh = None

  def render(self, task: rich.progress.Task) -> rich.text.Text:
    return rich.text.Text(task.fields["task"].state())


class _Bars:
  """Shows a bar for the newest task, and for those that are counted."""

  def __init__(self, console: rich.console.Console):
    self._console = console
    self._numbers: dict[Task, rich.progress.TaskID] = {}
    self._kept: set[Task] = set()
    self._drawn = 0.0
    self._bars: rich.progress.Progress | None = None

  def begin(self, task: Task, kept: bool) -> None:
    if self._bars is None:
      column = rich.table.Column(no_wrap=True, overflow="ellipsis")
      self._bars = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(20),
        _State(table_column=column),
        console=self._console,
        transient=True,
        refresh_per_second=4,
      )
      self._bars.start()
    if kept:
      self._kept.add(task)
    self._numbers[task] = self._bars.add_task(
      task.what, total=task.total, completed=task.done, task=task
    )
    self._choose()

  def changed(self, task: Task) -> None:
    now = time.monotonic()
    if task in self._numbers and now - self._drawn > _REDRAW:
      self._drawn = now
      self._bars.update(self._numbers[task], completed=task.done)

  def end(self, task: Task) -> None:
    if task not in self._numbers:
      return
    if task in self._kept:
      self._kept.remove(task)
      _print(self._bars.console, task)
    self._bars.remove_task(self._numbers.pop(task))
    if self._numbers:
      self._choose()
    else:
      self._bars.stop()
      self._bars = None

  def _choose(self) -> None:
    visible = _worth_showing(list(self._numbers))
    for task, number in self._numbers.items():
      self._bars.update(number, visible=task in visible)

  def close(self) -> None:
    for task in list(self._numbers):
      self.end(task)


class _Lines:
  """Prints a line when enough time has passed since the last."""

  def __init__(self, console: rich.console.Console, pause: float):
    self._console = console
    self._pause = pause
    self._last = time.monotonic()
    self._tasks: list[Task] = []
    self._first: set[Task] = set()
    self._kept: set[Task] = set()
    self._lock = threading.RLock()
    self._closed = threading.Event()
    # While nothing can say how far it is: a compiler is at work, or a disk.
    self._clock: threading.Thread | None = None

  def begin(self, task: Task, kept: bool) -> None:
    with self._lock:
      self._tasks.append(task)
      if kept:
        self._first.add(task)
        self._kept.add(task)
      if self._clock is None:
        self._clock = threading.Thread(target=self._look, daemon=True)
        self._clock.start()

  def changed(self, task: Task) -> None:
    with self._lock:
      first = task in self._first and task.done >= task.before + 1
      if first:
        self._first.remove(task)
      if first and task.done != task.total:
        self._show(task)
      elif self._due():
        self._show(*_worth_showing(self._tasks))

  def end(self, task: Task) -> None:
    with self._lock:
      if task not in self._tasks:
        return
      self._tasks.remove(task)
      self._first.discard(task)
      if task in self._kept:
        self._kept.remove(task)
        self._show(task)

  def close(self) -> None:
    with self._lock:
      self._tasks.clear()
    if self._clock is not None:
      self._closed.set()
      self._clock.join()
      self._clock = None
      self._closed.clear()

  def _look(self) -> None:
    while not self._closed.wait(max(_LOOK, self._pause / 10)):
      with self._lock:
        if self._due():
          self._show(*_worth_showing(self._tasks))

  def _due(self) -> bool:
    return time.monotonic() - self._last >= self._pause

  def _show(self, *tasks: Task) -> None:
    if tasks:
      self._last = time.monotonic()
      _print(self._console, *tasks)


def _worth_showing(tasks: Sequence[Task]) -> list[Task]:
  """Picks the newest of the tasks under way, and those that are counted."""
  return [task for task in tasks if task.total is not None or task is tasks[-1]]


def _print(console: rich.console.Console, *tasks: Task) -> None:
  console.print(
    "; ".join(f"{task.what}: {task.state()}" for task in tasks),
    markup=False,
    highlight=False,
    soft_wrap=True,
  )
