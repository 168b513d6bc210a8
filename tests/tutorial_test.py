"""The tutorial notebook runs from its first cell to its last."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from mmer_jax import __main__ as entry

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def cells(kind):
  content = json.loads(NOTEBOOK.read_text("utf-8"))
  return [
    "".join(cell["source"])
    for cell in content["cells"]
    if cell["cell_type"] == kind
  ]


def shell(line):
  """What a notebook does with `!mmer ...`, by this interpreter."""
  command = line.removeprefix("!").replace(
    "mmer ", f"{sys.executable} -m mmer_jax ", 1
  )
  done = subprocess.run(
    command,
    shell=True,
    check=False,
    capture_output=True,
    text=True,
    env={**os.environ, "PYTHONPATH": str(ROOT)},
  )
  assert not done.returncode, done.stderr


@pytest.fixture(scope="module")
def names(tmp_path_factory):
  """What the cells have defined in the end."""
  found = {}
  with contextlib.chdir(tmp_path_factory.mktemp("tutorial")):
    for number, cell in enumerate(cells("code")):
      lines = cell.split("\n")
      for line in lines:
        if line.startswith("!"):
          shell(line)
      code = "\n".join(line for line in lines if not line.startswith("!"))
      exec(compile(code, f"cell {number}", "exec"), found)
    yield found


@pytest.mark.long
def test_every_cell_runs_and_what_it_says_holds(names):
  run, prediction = names["run"], names["prediction"]
  text = run.results("test").summary.to_pandas()
  sound = run.results("test", modalities=["acoustic"]).summary.to_pandas()
  assert len(text) == 10
  assert text.auc.mean() > sound.auc.mean() > 0.7
  assert names["history"].epoch.max() == 8
  assert run.workdir.is_dir() and pathlib.Path("report/index.html").is_file()
  assert prediction.emotions == ("angry", "hate")
  np.testing.assert_allclose(sum(prediction.probs), 1, rtol=1e-5)


def test_commands_and_python_of_the_notebook_can_be_read():

  for cell in cells("code"):
    commands = [line for line in cell.split("\n") if line.startswith("!")]
    for line in commands:
      assert line.split()[0] == "!mmer" and line.split()[1] in entry.COMMANDS
    compile(
      "\n".join(line for line in cell.split("\n") if line not in commands),
      "cell",
      "exec",
    )
