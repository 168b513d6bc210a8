"""Fills the report's tables of one workdir: headings, rows, formatted cells.

A table is `caption`, `columns` (each a `label` and a `title`, shown when
pointed at) and `rows`: a `name`, `cells` and maybe a `kind`, by which the style
sheet knows it.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from mmer_jax.evaluation import metric_names, statistics, tables
from mmer_jax.experiment import records
from mmer_jax.reporting import reading


def metric_columns(
  metrics: Sequence[metric_names.Metric],
) -> list[dict[str, str]]:
  """Makes the headings of metrics, explained when pointed at."""
  return [column(metric.label, metric.explanation) for metric in metrics]


def shown_columns(result: dict[str, Any]) -> list[dict[str, str]]:
  """Makes the headings of the metrics that a result is shown by."""
  return metric_columns(
    [metric_names.METRICS[name] for name in metric_names.shown(result)]
  )


def column(label: str, title: str = "", kind: str = "") -> dict[str, str]:
  """Makes a heading.

  Args:
    label: Its text.
    title: What is shown when it is pointed at.
    kind: `text` where the cells below are no numbers.
  """
  return {"label": label, "title": title, "kind": kind}


def chosen_runs(result: dict[str, Any]) -> list[dict[str, Any]]:
  """Picks the runs of the setting that a result is of."""
  return [r for r in result["runs"] if r["setting"] == result["setting"]]


def seen_modalities(result: dict[str, Any]) -> str:
  """Names the modalities that the runs of a result saw."""
  seen = result["protocol"]["modalities"]
  if "modalities" in result["setting"]:
    trained = result["setting"]["modalities"].split("+")
    seen = [name for name in seen if name in trained]
  return " + ".join(seen)


def emotion_table(result: dict[str, Any]) -> dict[str, Any]:
  """Makes the bars of every emotion: metrics with their intervals."""
  metrics = metric_names.of_one_emotion(result["protocol"]["decision"])
  rows = []
  for emotion in result["protocol"]["emotions"]:
    scores = [run["per_emotion"][emotion] for run in chosen_runs(result)]
    support = statistics.summarise([s["support"] for s in scores])["mean"]
    bars = [
      _bar(
        metric.name,
        metric_names.summarise(metric.name, [s[metric.name] for s in scores]),
      )
      for metric in metrics
    ]
    cells = [*bars, "-" if support is None else f"{support:.0f}"]
    rows.append({"name": emotion, "cells": cells})
  rated = result["protocol"]["decision"] == "regression"
  return {
    "kind": "bars",
    "caption": f"{tables.units(result)}, 95 % intervals of the mean"
    if rated
    else "Each emotion against the rest, percent; the thin line in a bar"
    " is the 95 % interval of the mean",
    "columns": [
      column("rating" if rated else "emotion"),
      *metric_columns(metrics),
      column(
        "utterances a run",
        f"Utterances with the {'rating' if rated else 'emotion'}, mean over"
        " runs.",
      ),
    ],
    "rows": rows,
  }


def _bar(name: str, entry: dict[str, Any]) -> dict[str, Any]:
  """Makes the text, length and interval of a bar, in percent of its track.

  A metric that is no share has no bar.
  """
  if not metric_names.METRICS[name].share:
    return {"text": tables.show(name, entry)}
  low, high = (
    None if side is None else min(max(100 * side, 0), 100)
    for side in entry["ci95"]
  )
  return {
    "text": tables.percent(entry),
    "length": 100 * (entry["mean"] or 0),
    "low": low,
    "width": None if low is None else high - low,
  }


def modality_table(
  folder: pathlib.Path, result: dict[str, Any]
) -> dict[str, Any] | None:
  """Compares what is left when the model sees some modalities only.

  Rows are other evaluations of the same split, and settings of a sweep that
  trained on some modalities alone.

  Returns:
    The table; None where there is nothing to compare.
  """
  rows = []
  for file in sorted((folder / "results").glob(f"{result['split']}*.json")):
    other = reading.read_result(file)
    if _differ_in_modalities_alone(other, result):
      shown = metric_names.shown(other)
      seen = other["protocol"]["modalities"]
      rows.append(_seen(seen, "at inference", other, shown))
  # The result of a sweep over modalities is of the setting that was chosen: it
  # has its row below.
  if "modalities" in result["setting"]:
    rows = []
  for entry in result.get("settings", []):
    if set(entry["setting"]) == {"modalities"}:
      seen = entry["setting"]["modalities"].split("+")
      shown = metric_names.shown(result)
      rows.append(_seen(seen, "in training too", entry, shown))
  if len(rows) < 2:
    return None
  return {
    "kind": "bars",
    "caption": "What is left when the model sees some modalities only, on the"
    f" {result['split']} split. {tables.units(result)}",
    "columns": [
      column("seen"),
      *shown_columns(result),
      column("when", kind="text"),
    ],
    "rows": sorted(rows, key=lambda row: (row["when"], -row["count"])),
  }


def _differ_in_modalities_alone(
  one: dict[str, Any], other: dict[str, Any]
) -> bool:
  keys = ("emotions", "thresholds", "noise", "repair", "unseen")
  return (
    one["split"] == other["split"]
    and one["dataset"]["fingerprint"] == other["dataset"]["fingerprint"]
    and all(
      one["protocol"].get(key) == other["protocol"].get(key) for key in keys
    )
  )


def _seen(
  modalities: Sequence[str],
  when: str,
  entry: dict[str, Any],
  shown: Sequence[str],
) -> dict[str, Any]:
  bars = [_bar(name, entry["summary"][name]) for name in shown]
  return {
    "name": " + ".join(modalities),
    "count": len(modalities),
    "when": when,
    "cells": [*bars, {"text": when, "kind": "text"}],
  }


def settings_table(result: dict[str, Any]) -> dict[str, Any] | None:
  """Makes a row for every setting of a sweep; None where there was none."""
  rows = []
  for entry in result.get("settings", []):
    chosen = entry["setting"] == result["setting"]
    name = records.show(entry["setting"]) or "-"
    rows.append(
      {
        "name": f"{name} (chosen)" if chosen else name,
        "kind": "chosen" if chosen else "",
        "cells": [
          tables.show(metric, entry["summary"][metric])
          for metric in metric_names.shown(result)
        ],
      }
    )
  if not rows:
    return None
  return {
    "caption": f"Every setting of the sweep on the {result['split']} split; the"
    f" one that validation chose stands out. {tables.units(result)}",
    "columns": [column("setting"), *shown_columns(result)],
    "rows": rows,
  }


def cell(name: str, value: float | None) -> str:
  """Formats a number of a metric, `-` where there is none."""
  return tables.show(name, {"mean": value, "ci95": [None, None]})


def percent_cell(value: float | None) -> str:
  """Formats a fraction as percent, `-` where there is none."""
  return "-" if value is None else f"{100 * value:.1f}"
