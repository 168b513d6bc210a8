"""Fits linear baselines in a workdir, and scores them like any system.

A workdir of a linear baseline has `config.json`, `run.json` and `results/`, and
no checkpoints: a fit takes seconds and has one solution, so that `evaluate`
fits again, with the penalties that `run.json` says validation chose.
"""

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
import rich.console

from mmer_jax.base import errors, workdir
from mmer_jax.evaluation import scored as scored_lib
from mmer_jax.evaluation import tables
from mmer_jax.experiment import build, provenance
from mmer_jax.linear import experiment as linear


def train(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  notes: Sequence[str],
  console: rich.console.Console,
) -> dict[str, Any]:
  """Fits the runs of a linear baseline and scores them on validation.

  Args:
    config: Its config, settled by the corpus.
    folder: The workdir.
    notes: What was settled, in sentences for people.
    console: For the closing table.

  Returns:
    The result on the validation split.

  Raises:
    UserError: Config, shards and workdir do not fit.
  """
  started = time.time()
  provenance.check_workdir(config, folder)
  experiment = linear.build_linear(config)
  provenance.check_data(experiment, folder)
  chosen, logits = linear.fit_runs(experiment)
  description = provenance.describe(experiment, {}, notes)
  for run in description["runs"]:
    run["c"] = chosen[run["run"]]
  description["seconds_since_last_start"] = round(time.time() - started, 1)
  workdir.write_json(folder / "config.json", config.to_dict())
  workdir.write_json(folder / "run.json", description)
  result = _score(experiment, description, logits, "validation", "fixed")
  _write(folder, "validation", result)
  console.print(tables.to_rich(result))
  return result


def evaluate(
  folder: pathlib.Path,
  description: Mapping[str, Any],
  *,
  split: str,
  thresholds: str,
  others: Mapping[str, Any],
) -> dict[str, Any]:
  """Fits the runs of a workdir again, and scores a split.

  Args:
    folder: The workdir.
    description: Its `run.json`.
    split: `train`, `validation` or `test`.
    thresholds: `fixed` or `validation`.
    others: Flag to what else the evaluation is asked for, which a linear
      baseline does not do.

  Returns:
    The content of `results/<split>.json`.

  Raises:
    UserError: The request is for something else, or the shards have changed.
  """
  for flag, value in others.items():
    if value:
      raise errors.UserError(
        f"--{flag} is given, but {folder} is of a linear baseline, which scores"
        " --split of its own shards, whole; train another with other"
        " config.data keys"
      )
  config = provenance.read_config(folder, description)
  experiment = linear.build_linear(config)
  provenance.check_data(experiment, folder)
  chosen = {run["run"]: run["c"] for run in description["runs"]}
  _, logits = linear.fit_runs(experiment, chosen)
  result = _score(experiment, description, logits, split, thresholds)
  name = split if thresholds == "fixed" else f"{split}-thresholds"
  _write(folder, name, result)
  return result


def _score(
  experiment: build.Experiment,
  description: Mapping[str, Any],
  logits: np.ndarray,
  split: str,
  thresholds: str,
) -> dict[str, Any]:
  """Scores the logits of all utterances, (r, n, k), on a split."""
  emotions = experiment.corpus.emotions
  splits = {split, "validation"} if thresholds == "validation" else {split}
  scored = scored_lib.Scored(
    experiment=experiment,
    split=split,
    modalities=(),
    thresholds=thresholds,
    trained=emotions,
    emotions=emotions,
    progress=None,
    logits=[{name: _rows(experiment, logits, name) for name in splits}],
  )
  result = scored_lib.make_result(scored, description["config_sha256"])
  result["text_overlap"] = scored_lib.text_overlap(experiment, split)
  return result


def _rows(
  experiment: build.Experiment, logits: np.ndarray, split: str
) -> np.ndarray:
  """Takes the logits of each run's split, its rows first."""
  rows = [getattr(record.fold, split) for record in experiment.records]
  widest = max(map(len, rows))
  taken = [
    np.pad(each[own], ((0, widest - len(own)), (0, 0)))
    for each, own in zip(logits, rows, strict=True)
  ]
  return np.stack(taken)


def _write(folder: pathlib.Path, name: str, result: dict[str, Any]) -> None:
  workdir.write_json(folder / "results" / f"{name}.json", result)
  workdir.write_text(folder / "results" / f"{name}.md", tables.markdown(result))
