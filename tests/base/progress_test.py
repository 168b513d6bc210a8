"""What is shown of work that takes long, on a terminal and in a log."""

import contextlib
import io
import re
import sys
import time

import pytest
import rich.console

from mmer_jax.base import progress


@contextlib.contextmanager
def shown(pause=progress.PAUSE, **options):
  """Yields the lines that are printed to a console, once it is closed."""
  console = rich.console.Console(file=io.StringIO(), width=100, **options)
  lines = []
  with progress.shown(console, pause):
    yield lines
  lines += console.file.getvalue().splitlines()


def test_lines_come_now_and_then_with_count_rate_and_time_left():
  with shown(pause=0) as lines:
    with progress.doing("preparing [x]", 1000, "utterances") as task:
      task.advance(600, ready=True)
      time.sleep(0.1)
      task.advance(100)
  first, second = lines
  assert first.startswith("preparing [x]: 600 of 1,000 utterances, ")
  # 100 in 0.1 s, so that 300 are left for 0.3; what was ready does not count.
  what, rate, left = second.split(", ")[-3:]
  assert what.endswith("700 of 1,000 utterances")
  assert 100 < float(rate.split()[0].replace(",", "")) < 1010
  assert left in ("0:00:00 left", "0:00:01 left", "0:00:02 left")


def test_nothing_is_printed_of_what_is_soon_over():
  with shown() as lines:
    assert list(progress.each("abc", "reading", 3)) == ["a", "b", "c"]
  assert lines == []


def test_a_line_comes_though_the_work_says_nothing(monkeypatch):
  """A compiler is at work, for example."""
  monkeypatch.setattr(progress, "_LOOK", 0.02)
  with shown(pause=0.01) as lines:
    with progress.doing("table", 12, "rows"), progress.doing("compiling"):
      time.sleep(0.3)
  assert len(lines) > 1
  assert re.fullmatch(
    r"table: 0 of 12 rows, 0:00:00 so far; compiling: 0:00:00 so far", lines[0]
  )


def test_a_stage_of_training_leaves_its_first_and_its_last_epoch():
  def stage(epochs, done=0, stop=None):
    with shown() as lines:
      with progress.doing(
        "training", epochs, "epochs", done, at_most=True, kept=True
      ) as task:
        task.update(done, "compiling")
        for epoch in range(done, stop or epochs):
          task.update(epoch + 1, f"loss {epoch}")
    return lines

  first, last = stage(4)
  assert first == "training: 1 of 4 epochs, loss 0, at most 0:00:00 left"
  assert last == "training: 4 of 4 epochs, loss 3, in 0:00:00"
  assert len(stage(4, done=3)) == len(stage(1)) == 1
  # Stopped early: no time is left.
  assert stage(40, stop=7)[-1] == "training: 7 of 40 epochs, loss 6, in 0:00:00"


def test_what_took_longer_than_usual_does_not_count_for_the_rest(monkeypatch):
  now = [0.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  task = progress.Task("training", 11, "epochs", at_most=True)
  now[0] = 60.0
  task.update(1, "loss 1", unusual=True)
  # The compiler's minute says nothing of the ten epochs to come.
  assert task.state() == "1 of 11 epochs, loss 1, 0:01:00 so far"
  now[0] = 62.0
  task.update(2)
  # 2 s an epoch since then, 9 epochs left; what is shown stays.
  assert task.state() == "2 of 11 epochs, loss 1, at most 0:00:18 left"


def test_on_a_terminal_there_is_a_bar_and_what_is_printed_stands_above_it():
  with shown(force_terminal=True) as lines:
    with progress.doing("outer"), progress.doing("drawing", 10, "figures"):
      with progress.doing("inner") as task:
        task.advance()
  text = "".join(lines)
  assert "drawing" in text and "0 of 10 figures" in text and "inner" in text
  # All is taken away in the end: the line is erased, the cursor back.
  assert text.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))
  with shown(force_terminal=True) as lines:
    with progress.doing("training", 2, at_most=True, kept=True) as task:
      task.update(2, "loss 0.5")
  assert "training: 2 of 2, loss 0.5, in 0:00:00" in "".join(lines)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_fault_and_a_generator_that_is_left_end_what_is_shown(terminal):
  streams = sys.stdout, sys.stderr
  with shown(pause=0, force_terminal=terminal):
    with pytest.raises(ZeroDivisionError):
      for item in progress.each([1, 0], "dividing", 2):
        1 / item
    left = progress.each([1, 2], "left", 2)
    next(left)
    progress.clear()
    with progress.doing("what comes next", 3) as task:
      task.advance()
  assert (sys.stdout, sys.stderr) == streams
  assert list(left) == [2]


def test_nobody_looks_and_nothing_is_shown():
  with shown(pause=0, quiet=True) as lines:
    with progress.doing("training", 4, kept=True) as task:
      task.update(3, "loss 1")
  assert lines == []
  assert task.done == 3
  assert [*progress.each(range(3), "alone")] == [0, 1, 2]


def test_a_decorated_function_is_shown_each_time():
  @progress.doing("adding")
  def add(a, b):
    task = progress._display.get()._tasks[-1]
    assert task.what == "adding"
    return a + b

  with shown() as lines:
    assert add(1, 2) == 3 and add(2, 3) == 5
  assert lines == []


def test_seconds_are_formatted_as_hours_minutes_seconds():
  assert progress.duration(0.4) == "0:00:00"
  assert progress.duration(3661.5) == "1:01:02"
