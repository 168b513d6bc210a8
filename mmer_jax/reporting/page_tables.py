r"""Writes one HTML page of what workdirs have found, for people to read.

Example:
  python -m mmer_jax.report --workdirs=runs/mtee_iemocap,runs/table_4 \
    --out=report

A workdir is one of `mmer_jax.train` or of `mmer_jax.table`, whose programs are
shown after its table. Writes DIR/index.html, which needs no other file and no
network, and the figures in it as PNG, SVG and JSON below DIR/figures.
Needs jinja2 and matplotlib: pip install 'mmer_jax[report]'.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from mmer_jax.base import errors, workdir
from mmer_jax.evaluation import published, statistics, tables
from mmer_jax.experiment import records

SHOWN_METRICS = (
  "accuracy",
  "unweighted_accuracy",
  "weighted_accuracy",
  "f1",
  "weighted_f1",
  "auc",
)
# Of one emotion these say different things under either decision.
_BARS = {
  "softmax": ("unweighted_accuracy", "f1", "auc"),
  "binary": ("weighted_accuracy", "f1", "auc"),
}
NAMES = {
  "accuracy": "accuracy",
  "unweighted_accuracy": "unweighted acc.",
  "weighted_accuracy": "W-Acc",
  "f1": "F1",
  "weighted_f1": "weighted F1",
  "auc": "AUC",
}
_SINGLE = {**NAMES, "unweighted_accuracy": "recall"}


def read_result(folder: pathlib.Path) -> dict[str, Any]:
  """The test result, or that of validation where it was not opened."""
  for split in ("test", "validation"):
    file = folder / "results" / f"{split}.json"
    if file.exists():
      return workdir.read_json(file)
  raise errors.UserError(
    f"{folder / 'results'} holds neither test.json nor validation.json,"
    " expected a finished workdir; train it, and run `python -m"
    " mmer_jax.evaluate`"
  )


def overview_table(system: dict[str, Any]) -> dict[str, Any]:
  outcome = system["outcome"]
  baseline = outcome["majority_baseline"]
  return {
    "name": system["name"],
    "id": system["id"],
    "system": outcome["system"],
    "dataset": outcome["dataset"]["name"],
    "fingerprint": outcome["dataset"]["fingerprint"][:12],
    "split": outcome["split"],
    "modalities": " + ".join(outcome["protocol"]["modalities"]),
    "runs": outcome["summary"]["accuracy"]["n"],
    "values": [tables.percent(outcome["summary"][m]) for m in SHOWN_METRICS],
    "baseline": [percent_cell(baseline[m]) for m in SHOWN_METRICS],
  }


def results_table(content: dict[str, Any]) -> dict[str, Any]:
  """A paper's table beside ours."""
  sections = []
  for section in content["sections"]:
    printed = [
      any(row["paper"][at] is not None for row in section["rows"])
      for at in range(len(section["columns"]))
    ]
    rows = [
      {
        "name": row["name"],
        "cells": [
          {
            "ours": "" if entry is None else tables.percent(entry),
            "paper": "" if paper is None else percent_cell(paper),
          }
          for entry, paper in zip(
            row["ours"] or [None] * len(row["paper"]), row["paper"], strict=True
          )
        ],
      }
      for row in section["rows"]
    ]
    differences = None
    if any("difference" in row for row in section["rows"]):
      differences = published.cells(section, "difference")[1]
    sections.append(
      {
        "title": section["title"],
        "columns": section["columns"],
        "printed": printed,
        "rows": rows,
        "against": section["against"],
        "differences": differences,
      }
    )
  return {
    "title": content["title"],
    "notes": content["notes"],
    "split": content["split"],
    "dataset": content["dataset"],
    "sections": sections,
  }


def emotion_bars(
  outcome: dict[str, Any], runs: Sequence[dict[str, Any]]
) -> dict[str, Any]:
  """Bars: a summary of every emotion and metric."""
  shown = _BARS[outcome["protocol"]["decision"]]
  names = _SINGLE if outcome["protocol"]["decision"] == "softmax" else NAMES
  rows = []
  for emotion in outcome["protocol"]["emotions"]:
    scores = [run["per_emotion"][emotion] for run in runs]
    cells = [
      statistics.summarise([s[metric] for s in scores]) for metric in shown
    ]
    rows.append(
      {
        "name": emotion,
        "support": statistics.summarise([s["support"] for s in scores])["mean"],
        "cells": [_bar(entry) for entry in cells],
      }
    )
  return {"columns": [names[metric] for metric in shown], "rows": rows}


def _bar(entry: dict[str, Any]) -> dict[str, Any]:
  """Text, length and interval of a bar, in percent of its track."""
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


def ablation_table(
  folder: pathlib.Path, outcome: dict[str, Any]
) -> list[dict[str, Any]]:
  """Rows by what the model saw: at inference, or trained alone in a sweep."""
  rows = []
  split = outcome["split"]
  for file in sorted((folder / "results").glob(f"{split}*.json")):
    found = workdir.read_json(file)
    protocol = found["protocol"]
    same = protocol["emotions"] == outcome["protocol"]["emotions"]
    if not same or protocol["thresholds"] != outcome["protocol"]["thresholds"]:
      continue
    rows.append(_ablated(protocol["modalities"], "at inference", found))
  for entry in outcome.get("settings", []):
    if set(entry["setting"]) == {"modalities"}:
      seen = entry["setting"]["modalities"].split("+")
      rows.append(_ablated(seen, "in training too", entry))
  if len(rows) < 2:
    return []
  return sorted(rows, key=lambda row: (row["when"], -row["count"]))


def _ablated(
  modalities: Sequence[str], when: str, found: dict[str, Any]
) -> dict[str, Any]:
  return {
    "name": " + ".join(modalities),
    "count": len(modalities),
    "when": when,
    "cells": [_bar(found["summary"][metric]) for metric in SHOWN_METRICS],
  }


def settings_table(outcome: dict[str, Any]) -> list[dict[str, Any]]:
  return [
    {
      "name": records.show(entry["setting"]) or "-",
      "chosen": entry["setting"] == outcome["setting"],
      "cells": [tables.percent(entry["summary"][m]) for m in SHOWN_METRICS],
    }
    for entry in outcome.get("settings", [])
  ]


def provenance_table(
  description: dict[str, Any], outcome: dict[str, Any]
) -> list[tuple[str, str]]:
  environment = description["environment"]
  protocol = outcome["protocol"]
  return [
    ("system", description["system"]),
    ("shards", description["dataset"]["name"]),
    ("fingerprint of the shards", description["dataset"]["fingerprint"]),
    ("config, SHA-256", description["config_sha256"]),
    (
      "protocol",
      f"{protocol['split']}, {protocol['decision']}, threshold"
      f" {protocol['threshold']:g}",
    ),
    ("selected on validation by", outcome["select"]),
    ("stages", ", ".join(description["stages"])),
    ("command", description["command"]),
    (
      "environment",
      ", ".join(f"{name} {value}" for name, value in environment.items()),
    ),
    ("failed runs", ", ".join(map(str, outcome["failed"])) or "none"),
  ]


def percent_cell(value: float | None) -> str:
  return "-" if value is None else f"{100 * value:.1f}"
