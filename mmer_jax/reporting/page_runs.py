"""Fills the report's table of runs: which trained, how far, and how well."""

import pathlib
from collections.abc import Mapping
from typing import Any

from mmer_jax.base import workdir
from mmer_jax.evaluation import metric_names, tables
from mmer_jax.experiment import build, records
from mmer_jax.reporting import page_tables, reading
from mmer_jax.systems import registry


def selected_epochs(folder: pathlib.Path) -> tuple[str, dict[int, int]]:
  """Finds the epoch of the last stage that each run's parameters are of.

  It is found as training does, in what it logged: the first epoch with the best
  value on validation.

  Args:
    folder: A workdir.

  Returns:
    By what was selected, a metric, `"loss"` or `"last"`; and run to epoch, from
    1, without the runs that logged no such value.
  """
  config = workdir.read_config(folder)
  if config.system in registry.FITTED:
    return config.training.select, {}
  stage = build.build_system(config).stages[-1]
  select = config[stage.section].select or config.training.select
  best: dict[int, tuple[float, int]] = {}
  by_epoch = reading.read_metrics(folder).get(stage.name, {})
  for epoch in sorted(by_epoch):
    for row in by_epoch[epoch]:
      value, run = _selection_value(row, select), row["run"]
      if value is not None and (run not in best or value > best[run][0]):
        best[run] = (value, epoch)
  return select, {run: epoch for run, (_, epoch) in best.items()}


def _selection_value(row: Mapping[str, Any], select: str) -> float | None:
  """Gives the value of an epoch, larger is better; None where there is none."""
  if row["validation_loss"] is None:
    # Neither is an epoch selected whose loss is not finite.
    return None
  if select == "last":
    return float(row["epoch"])
  value = row.get(f"validation_{select}")
  if not isinstance(value, int | float):
    return None
  metric = metric_names.METRICS.get(select)
  error = select == "loss" or (metric and not metric.higher_is_better)
  return -value if error else float(value)


def run_table(
  result: dict[str, Any], select: str, epochs: Mapping[int, int]
) -> dict[str, Any]:
  """Makes a row for every run; one that failed has no numbers.

  Args:
    result: The content of a results file.
    select: By what epochs were selected.
    epochs: The selected epoch of each run; both are from `selected_epochs`.
  """
  swept = any(run["setting"] for run in result["runs"])
  unseen = any(run["unseen"] for run in result["runs"])
  shown = sorted(metric_names.shown(result), key=lambda name: name != select)
  rows = []
  for run in result["runs"]:
    failed = run["failed_step"] is not None
    details = [_outcome(run), run["fold"], str(run["seed"])]
    details += [records.show(run["setting"]) or "-"] * swept
    details += [", ".join(run["unseen"])] * unseen
    epoch = "-" if failed else str(epochs.get(run["run"], "-"))
    rows.append(
      {
        "name": f"run {run['run']}",
        "kind": "failed" if failed else "",
        "cells": [
          *({"text": text, "kind": "text"} for text in details),
          epoch,
          *(
            "-" if failed else page_tables.cell(name, run["metrics"][name])
            for name in shown
          ),
          str(run["examples"]),
        ],
      }
    )
  column = page_tables.column
  return {
    "caption": f"Every run on the {result['split']} split."
    f" {tables.units(result)}. Epochs were selected on validation by"
    f" {_select_label(select)}",
    "columns": [
      column("run"),
      column("outcome", "Whether it was trained to its end.", "text"),
      column("fold", kind="text"),
      column("seed", kind="text"),
      *[column("setting", kind="text")] * swept,
      *[column("left out", "Emotions that its training did not see.", "text")]
      * unseen,
      column("epoch", "The selected epoch, of the last stage."),
      *page_tables.metric_columns(
        [metric_names.METRICS[name] for name in shown]
      ),
      column("utterances", "Utterances that were scored."),
    ],
    "rows": rows,
  }


def _outcome(run: Mapping[str, Any]) -> str:
  if run["failed_step"] is None:
    return "finished"
  return f"failed: {run.get('failure') or 'at step ' + str(run['failed_step'])}"


def _select_label(select: str) -> str:
  special = {"loss": "the loss", "last": "being the last"}
  metric = metric_names.METRICS.get(select)
  return special.get(select, metric.label if metric else select)
