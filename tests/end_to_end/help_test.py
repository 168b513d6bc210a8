"""Every command shows what it is for and an example."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = sorted(
  f"{package}.{path.stem}"
  for package in ("mmer_jax", "data_prep")
  for path in (ROOT / package).glob("*.py")
  if not path.stem.startswith("__")
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command):
  shown = subprocess.run(
    [sys.executable, "-m", command, "--help"],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert shown.returncode == 0, shown.stderr
  assert re.search(rf"python -m {re.escape(command)} \S", shown.stdout)
