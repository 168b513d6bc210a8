"""The progress of a stage where there is no terminal."""

import io

import rich.console

from mmer_jax.training import stage_bar


def lines(pause, epochs=4, completed=0, **options):
  console = rich.console.Console(file=io.StringIO(), width=60, **options)
  with stage_bar.stage_bar(
    console, "supervised", epochs, completed, pause
  ) as update:
    for epoch in range(completed, epochs):
      update(completed=epoch + 1, loss="0.5", value="auc 0.7", rate="9/s")
  return console.file.getvalue().splitlines()


def test_a_line_an_epoch_where_each_takes_long():
  shown = lines(pause=0)
  assert len(shown) == 4
  assert shown[0].startswith(
    "supervised: epoch 1 of 4, loss 0.5, auc 0.7, 9/s, at most 0:00:00 left"
  )


def test_the_first_and_the_last_where_none_does():
  shown = lines(pause=1e9)
  assert [line.split(",")[0] for line in shown] == [
    "supervised: epoch 1 of 4",
    "supervised: epoch 4 of 4",
  ]
  assert len(lines(pause=1e9, completed=3)) == 1


def test_nothing_where_nobody_looks_and_a_bar_on_a_terminal():
  assert lines(pause=0, quiet=True) == []
  shown = lines(pause=0, force_terminal=True)
  assert any("4/4" in line for line in shown)
