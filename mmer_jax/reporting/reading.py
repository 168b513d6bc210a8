"""Reads the files of workdirs for people, and refuses what is none of them."""

import json
import pathlib
from collections.abc import Collection
from types import NoneType
from typing import Any

from mmer_jax.base import errors, json_shape
from mmer_jax.core import regression_metrics
from mmer_jax.evaluation import metric_names

# What is read of each file: see `base.json_shape`.
_NUMBER = (float, int, NoneType)
_SUMMARY = {"mean": _NUMBER, "ci95": [_NUMBER], "n": int}
_DATASET = {"name": str, "fingerprint": str}
_RUN = {
  "run": int,
  "seed": int,
  "fold": str,
  "setting": dict,
  "unseen": list,
  "failed_step": (int, NoneType),
  "examples": int,
  "metrics": dict,
  "per_emotion": {...: {"support": _NUMBER}},
}
_RESULT = {
  "system": str,
  "dataset": _DATASET,
  "split": str,
  "select": str,
  "protocol": {
    "split": str,
    "decision": str,
    "threshold": (float, int),
    "modalities": [str],
    "emotions": [str],
  },
  "runs": [_RUN],
  "summary": dict,
  "setting": dict,
  "majority_baseline": dict,
  "failed": [int],
}
_TABLE = {
  "title": str,
  "notes": str,
  "failed": {...: [int]},
  "split": str,
  "dataset": _DATASET,
  "programs": {...: {"runs": int}},
  "sections": [
    {
      "title": str,
      "columns": [str],
      "against": str,
      "rows": [{"name": str, "paper": [_NUMBER], "ours": (list, NoneType)}],
    }
  ],
}
_METRICS_LINE = {"stage_name": str, "epoch": int, "run": int}


def read_table(file: pathlib.Path) -> dict[str, Any]:
  """Reads a table.json.

  Raises:
    UserError: It is missing or no table.
  """
  return _read(file, _TABLE, "table")


def read_result(file: pathlib.Path) -> dict[str, Any]:
  """Reads a file of WORKDIR/results.

  Raises:
    UserError: It is missing or no result.
  """
  result = _read(file, _RESULT, "evaluate")
  if fault := json_shape.mismatch(result, _numbers_shape(result)):
    raise errors.UserError(_foreign(file, fault, "evaluate"))
  if not result["runs"]:
    raise errors.UserError(_foreign(file, "runs is empty", "evaluate"))
  emotions = result["protocol"]["emotions"]
  for run in result["runs"]:
    if missing := [e for e in emotions if e not in run["per_emotion"]]:
      place = f"run {run['run']} has no per_emotion.{missing[0]}"
      raise errors.UserError(_foreign(file, place, "evaluate"))
  return result


def _numbers_shape(result: dict[str, Any]) -> dict[str, Any]:
  """Makes the shape of the numbers of a result, by what its decision has."""
  names = metric_names.SHOWN
  if result["protocol"]["decision"] == "regression":
    # Others are there by the range of a rating.
    always = regression_metrics.names(())
    names = tuple(dict.fromkeys([*always, *metric_names.measured(result)]))
  numbers = dict.fromkeys(names, _NUMBER)
  return {
    "runs": [
      {
        "metrics": numbers,
        "per_emotion": {...: {**numbers, "support": _NUMBER}},
      }
    ],
    "summary": dict.fromkeys(names, _SUMMARY),
    "majority_baseline": numbers,
  }


def read_main_results(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Reads the results of all emotions and modalities, by split.

  Raises:
    UserError: Neither test nor validation has been evaluated.
  """
  results = {}
  for split in ("test", "validation"):
    file = folder / "results" / f"{split}.json"
    if file.exists():
      results[split] = read_result(file)
  if not results:
    raise errors.UserError(
      f"{folder / 'results'} holds neither test.json nor validation.json,"
      " expected a finished workdir; train it, and run `python -m"
      " mmer_jax.evaluate`"
    )
  return results


def read_metrics(
  folder: pathlib.Path, runs: Collection[int] | None = None
) -> dict[str, dict[int, list[dict[str, Any]]]]:
  """Reads the lines of metrics.jsonl by stage and epoch, without failures.

  Args:
    folder: A workdir.
    runs: Numbers of the runs whose lines are wanted; None for all.

  Raises:
    UserError: It is missing, or a line is none of ours.
  """
  file = folder / "metrics.jsonl"
  if not file.exists():
    raise errors.UserError(
      f"{file} is missing, expected a workdir of `python -m mmer_jax.train`;"
      " train one, learning curves are drawn of that file"
    )
  stages: dict[str, dict[int, list[dict[str, Any]]]] = {}
  number = 0
  with file.open("rb") as lines:
    for number, line in enumerate(lines, 1):
      row = _read_line(line)
      if row is None:
        raise errors.UserError(
          f"{file} line {number} is no line of `python -m mmer_jax.train`;"
          " run its command again, which mends a file that was cut short"
        )
      wanted = runs is None or row["run"] in runs
      if wanted and "validation_loss" in row:
        by_epoch = stages.setdefault(row["stage_name"], {})
        by_epoch.setdefault(row["epoch"], []).append(row)
  if not number:
    raise errors.UserError(
      f"{file} is empty, expected a line for each epoch of a run; run `python"
      " -m mmer_jax.train`"
    )
  return stages


def _read_line(line: bytes) -> dict[str, Any] | None:
  """Reads a line of metrics.jsonl; None where it is none."""
  try:
    row = json.loads(line)
  except ValueError:
    return None
  return None if json_shape.mismatch(row, _METRICS_LINE) else row


def _read(file: pathlib.Path, shape: Any, command: str) -> dict[str, Any]:
  """Reads a file that a command has written."""
  content, fault = None, ""
  try:
    content = json.loads(file.read_bytes())
  except FileNotFoundError:
    raise errors.UserError(
      f"{file} is missing, expected a finished workdir; run `python -m"
      f" mmer_jax.{command}`"
    ) from None
  except (ValueError, RecursionError) as error:
    fault = f"no JSON: {error}"
  fault = fault or json_shape.mismatch(content, shape)
  if fault:
    raise errors.UserError(_foreign(file, fault, command))
  return content


def _foreign(file: pathlib.Path, fault: str, command: str) -> str:
  return (
    f"{file} is not what `python -m mmer_jax.{command}` writes ({fault});"
    " remove it, or write it again with that command"
  )
