"""A function of the user's takes the rows of the log."""

import sys

import pytest

from mmer_jax.base import errors
from mmer_jax.training import log_hook

ROWS = [{"run": 0, "epoch": 1, "train_loss": 0.5}, {"run": 1, "epoch": 1}]
MODULE = """
kept = []

class Log:
  def __init__(self, config, folder):
    kept.append((config["system"], folder.name))

  def __call__(self, row):
    kept.append(row["run"])
    row["run"] = None

  def close(self):
    kept.append("closed")

def broken(config, folder):
  raise RuntimeError("no network")

def fails_later(config, folder):
  def add(row):
    return row["absent"]
  return add

def nothing(config, folder):
  pass
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
  """A module in the folder where the command runs."""
  (tmp_path / "toy_log.py").write_text(MODULE)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, "path", list(sys.path))
  yield "toy_log"
  sys.modules.pop("toy_log", None)


def test_rows_reach_the_function_as_copies(module, tmp_path):
  rows = [dict(row) for row in ROWS]
  hook = log_hook.open_hook(f"{module}:Log", {"system": "mtee"}, tmp_path)
  hook.add(rows)
  hook.close()
  assert sys.modules[module].kept == [
    ("mtee", tmp_path.name),
    *(0, 1),
    "closed",
  ]
  assert rows == ROWS


def test_a_function_does_as_well(tmp_path):
  kept = []

  def toy(config, folder):
    del config, folder
    return kept.append

  hook = log_hook.open_hook(toy, {}, tmp_path)
  hook.add(ROWS)
  hook.close()
  assert kept == ROWS


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("toy_log", "expected MODULE:FUNCTION"),
    (":Log", "expected MODULE:FUNCTION"),
    ("no_such_log:Log", "ModuleNotFoundError"),
    ("toy_log:absent", "has no function 'absent'"),
    ("toy_log:kept", "has no function 'kept'"),
    ("toy_log:broken", "RuntimeError: no network"),
    ("toy_log:nothing", "returned NoneType"),
  ],
)
def test_a_mistake_is_one_line(module, tmp_path, name, message):
  del module
  with pytest.raises(errors.UserError, match=message):
    log_hook.open_hook(name, {}, tmp_path)


def test_what_fails_later_is_named_too(module, tmp_path):
  hook = log_hook.open_hook(f"{module}:fails_later", {}, tmp_path)
  with pytest.raises(errors.UserError, match="fails_later: KeyError: 'absent'"):
    hook.add(ROWS)
