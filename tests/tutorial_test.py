"""The tutorial notebook runs from its first cell to its last."""

import contextlib
import json
import pathlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def cells(kind):
  content = json.loads(NOTEBOOK.read_text("utf-8"))
  return [
    "".join(cell["source"])
    for cell in content["cells"]
    if cell["cell_type"] == kind
  ]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
  """What the cells have defined in the end."""
  found = {}
  with contextlib.chdir(tmp_path_factory.mktemp("tutorial")):
    for number, cell in enumerate(cells("code")):
      exec(compile(cell, f"cell {number}", "exec"), found)
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


def test_the_cells_of_the_notebook_are_python():
  for cell in cells("code"):
    compile(cell, "cell", "exec")
