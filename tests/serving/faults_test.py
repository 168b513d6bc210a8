"""Small inputs that went wrong once, from the folder of real data."""

import runpy
import sys

import pytest

import mmer_jax
from mmer_jax import predict as predict_command
from mmer_jax.base import errors
from mmer_jax.serving import model as model_lib
from mmer_jax.serving import predictions


@pytest.fixture
def run(data_dir, monkeypatch, tmp_path):
  """Runs a script, which knows the modules by their earlier names."""
  folder = data_dir / "faults"
  if not folder.is_dir():
    pytest.skip(f"no such inputs at {folder}")
  monkeypatch.setattr(mmer_jax, "predictor", model_lib, raising=False)
  monkeypatch.setitem(sys.modules, "mmer_jax.predictor", model_lib)
  monkeypatch.setattr(
    predict_command, "predict", predictions.predict_file, raising=False
  )
  monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

  def start(number):
    (script,) = folder.glob(f"{number}-*/run.py")
    runpy.run_path(str(script))

  return start


@pytest.mark.parametrize("number", ["01", "02", "03", "04"])
def test_an_array_is_predicted_right(run, number, capsys):
  run(number)
  capsys.readouterr()


@pytest.mark.parametrize(
  "number, match",
  [
    ("06", "in.csv line 3: 6 fields, expected 5 as in the first line"),
    ("07", "in.csv line 2: .* is opened and never closed"),
    ("08", "in.csv line 2 is not UTF-8"),
    ("10", r"one.npz: acoustic has shape \(4,\), expected \(n, 4\)"),
  ],
)
def test_a_table_is_refused_in_one_line(run, number, match, tmp_path):
  with pytest.raises(errors.UserError, match=match) as caught:
    run(number)
  assert "\n" not in str(caught.value)
  assert not (tmp_path / "out.jsonl").exists()
