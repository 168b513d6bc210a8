"""Where numbers come from, and commands that can be pasted."""

import pathlib
import shlex

import pytest

from mmer_jax.reporting import page_provenance

ARGUMENTS = (
  "--config=configs/a.py:b",
  "--config.seeds=(0, 1)",
  "--config.data.emotions=('sad', 'happy')",
  "--workdir=a folder",
)


@pytest.mark.parametrize("join", [shlex.join, " ".join])
def test_a_command_can_be_pasted_whether_it_was_saved_quoted_or_not(join):
  saved = join(["/some/where/mmer_jax/train.py", *ARGUMENTS])
  text = page_provenance.pasteable(saved)
  assert shlex.split(text.replace("\\\n", "")) == [
    *("python", "-m", "mmer_jax.train"),
    *ARGUMENTS,
  ]


def test_an_installed_command_keeps_its_name():
  text = page_provenance.pasteable("/usr/bin/mmer train --workdir=w")
  assert text.splitlines()[0].startswith("mmer train")


def test_the_workdir_is_quoted():
  commands = page_provenance.commands(
    pathlib.Path("a b"), {"command": "x.py --workdir=w"}
  )
  assert len(commands) == 3
  for _, text in commands[1:]:
    assert "--workdir=a b" in shlex.split(text.replace("\\\n", ""))


def test_failed_runs_are_named():
  run = {"run": 3, "fold": "2", "seed": 1, "failed_step": 7}
  other = {**run, "run": 4, "failed_step": None}
  assert page_provenance.failed_runs({"runs": [run, other]}) == [
    "run 3 (fold 2, seed 1, at step 7)"
  ]
