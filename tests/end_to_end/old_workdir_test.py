"""A workdir and an export of version 0.1.0 go on as if nothing had changed.

The fixture was trained, evaluated, exported and predicted with before the
package was divided into folders: MTEE on 32 synthetic utterances of acoustic
and visual features, one fold, two seeds, two epochs, under the settings of
`tests/conftest.py`.
"""

import hashlib
import json
import pathlib
import platform
import re
import shutil
import tarfile

import jaxlib
import numpy as np
import pytest
import rich.console

import mmer_jax
from mmer_jax.base import workdir
from mmer_jax.evaluation import evaluate, train_and_evaluate
from mmer_jax.serving import export, load, predictions

FIXTURE = pathlib.Path(__file__).parents[1] / "fixtures/workdir_0_1_0.tar.xz"

# Where the fixture was made. Elsewhere XLA may emit other instructions.
MADE_WITH = ("0.10.2", "fc7df03f53a7dec4")
TOLERANCE = 2e-5


def same_machine() -> bool:
  """Whether XLA makes the same instructions as when the fixture was made."""
  if platform.system() != "Linux" or platform.machine() != "x86_64":
    return False
  info = pathlib.Path("/proc/cpuinfo").read_text()
  flags = re.search(r"^flags\s*:\s*(.*)$", info, re.MULTILINE).group(1)
  digest = hashlib.sha256(" ".join(sorted(flags.split())).encode())
  return MADE_WITH == (jaxlib.__version__, digest.hexdigest()[:16])


def assert_same(now, before, where=""):
  """Compares contents of JSON: bits on the machine of the fixture."""
  if isinstance(before, dict):
    # What has been added since is not compared.
    assert before.keys() <= now.keys(), where
    for key, value in before.items():
      assert_same(now[key], value, f"{where}.{key}")
  elif isinstance(before, list):
    assert len(now) == len(before), where
    for number, (a, b) in enumerate(zip(now, before, strict=True)):
      assert_same(a, b, f"{where}[{number}]")
  elif isinstance(before, float) and not same_machine():
    assert now == pytest.approx(before, abs=TOLERANCE), where
  else:
    assert now == before, where


def read_lines(path: pathlib.Path) -> list:
  return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def old(tmp_path, monkeypatch) -> pathlib.Path:
  """The unpacked fixture, which is the current folder too."""
  with tarfile.open(FIXTURE) as archive:
    archive.extractall(tmp_path, filter="data")
  # Its config names the shards by a relative path.
  monkeypatch.chdir(tmp_path)
  return tmp_path


def test_the_fixture_is_small():
  assert FIXTURE.stat().st_size < 200_000


@pytest.mark.parametrize(
  "name, modalities", [("test", ()), ("test-acoustic", ("acoustic",))]
)
def test_it_is_evaluated_with_the_same_bits(old, name, modalities):
  before = workdir.read_json(old / "workdir/results" / f"{name}.json")
  now = evaluate.evaluate_workdir(
    old / "workdir", evaluate.Request("test", modalities=modalities)
  )
  for result in (before, now):
    result.pop("environment")
    # Two runs have no interval that means anything, see docs/protocol.md.
    for summary in [result["summary"], *result.get("settings", [])]:
      for value in summary.values():
        value.pop("ci95", None)
  assert_same(json.loads(json.dumps(workdir.finite(now))), before)


def test_it_is_resumed_with_the_same_bits(old):
  folder = old / "workdir"
  log = read_lines(folder / "metrics.jsonl")
  epochs = sorted(int(path.name) for path in (folder / "checkpoints").iterdir())
  before = parameters(folder)
  # As if it had been killed after the first epoch.
  shutil.rmtree(folder / "checkpoints" / str(epochs[-1]))
  shutil.rmtree(folder / "results")
  train_and_evaluate.train_and_evaluate(
    workdir.read_config(folder),
    folder,
    console=rich.console.Console(quiet=True),
  )
  assert_same(read_lines(folder / "metrics.jsonl"), log)
  after = parameters(folder)
  assert before.keys() == after.keys()
  for name, value in before.items():
    if same_machine():
      np.testing.assert_array_equal(after[name], value, err_msg=name)
    else:
      np.testing.assert_allclose(after[name], value, atol=TOLERANCE)


def parameters(folder: pathlib.Path) -> dict[str, np.ndarray]:
  """The parameters of an export of the workdir."""
  out = folder.parent / "anew"
  export.export(folder, out, platforms=("cpu",), run=1)
  _, tensors = load.read(out)
  return tensors


def test_it_is_exported_with_the_same_bits(old):
  export.export(old / "workdir", old / "anew", platforms=("cpu",))
  _, before = load.read(old / "export")
  _, now = load.read(old / "anew")
  assert before.keys() == now.keys()
  for name, value in before.items():
    np.testing.assert_array_equal(now[name], value, err_msg=name)


@pytest.mark.parametrize("kind", ["workdir", "export"])
def test_it_predicts_with_the_same_bits(old, kind):
  out = old / "now.jsonl"
  predictions.predict_file(mmer_jax.load(old / kind), old / "shards", out)
  assert_same(read_lines(out), read_lines(old / f"{kind}_predictions.jsonl"))
