"""What is logged of each epoch, and what a resumed training logs again."""

import json
import sys
import types

import numpy as np
import pytest

from mmer_jax.base import errors
from mmer_jax.training import progress


def experiment():
  """Two runs of a system of two stages, as the log sees them."""
  records = [
    types.SimpleNamespace(
      run=run,
      seed=run,
      fold=types.SimpleNamespace(name="1"),
      setting={},
      unseen=(),
      describe=lambda run=run: f"run {run}",
    )
    for run in range(2)
  ]
  stages = [types.SimpleNamespace(name=name) for name in ("first", "second")]
  return types.SimpleNamespace(
    records=records,
    system=types.SimpleNamespace(stages=stages),
    runs=types.SimpleNamespace(learning_rate=np.float32([0.1, 0.2])),
  )


def epoch_log(failed_step=-1):
  """Run 0 trains on; run 1 has failed where a step is given."""
  return {
    "failed_step": np.asarray([-1, failed_step]),
    "live": np.asarray([True, failed_step < 0]),
    "learning_rate_scale": np.float32([1.0, 0.5]),
    "train_loss": np.float32([0.3, 0.4]),
    "validation_loss": np.float32([0.5, 0.6]),
    "best_epoch": np.asarray([1, 1]),
    "step": np.asarray([7, 7]),
  }


def open_log(folder):
  return progress.MetricsLog(folder)


def rows(folder):
  text = (folder / "metrics.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]


def test_a_row_holds_the_numbers_of_one_run_and_epoch(tmp_path):
  open_log(tmp_path).add(experiment(), 1, 2, epoch_log())
  first, second = rows(tmp_path)
  assert (first["stage"], first["stage_name"]) == (1, "second")
  assert (first["epoch"], first["run"], second["run"]) == (3, 0, 1)
  np.testing.assert_allclose(second["learning_rate"], 0.1, rtol=1e-6)
  np.testing.assert_allclose(second["train_loss"], 0.4, rtol=1e-6)
  assert "best_epoch" not in first and "live" not in first


def test_a_failed_run_is_logged_once_whether_training_is_resumed_or_not(
  tmp_path, caplog
):
  whole, broken = tmp_path / "whole", tmp_path / "broken"
  failed = epoch_log(failed_step=5)
  for folder, killed in ((whole, False), (broken, True)):
    folder.mkdir()
    log = open_log(folder)
    log.rewind(0, 0)
    log.add(experiment(), 0, 0, failed)
    log.add(experiment(), 0, 1, failed)
    if killed:
      # Killed before the second epoch was saved.
      log = open_log(folder)
      log.rewind(0, 1)
      log.add(experiment(), 0, 1, failed)
    log.add(experiment(), 1, 0, failed)
  assert "run 1: loss or gradient is not finite at step 5" in caplog.text
  assert rows(whole) == rows(broken)
  failures = [row for row in rows(whole) if "failed_step" in row]
  assert [(row["run"], row["failed_step"]) for row in failures] == [(1, 5)]


def test_tensorboard_that_is_not_installed_is_a_line(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "tensorboardX", None)
  with pytest.raises(errors.UserError, match=r"mmer_jax\[tensorboard\]"):
    progress.Events(tmp_path)
