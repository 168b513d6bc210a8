"""Makes the report's pictures and matrices, with what they say in words."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

from mmer_jax.evaluation import metric_names, tables
from mmer_jax.reporting import layouts, page_tables, plots


def pictures(contents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  """Draws the figures that are pictures on the page.

  Args:
    contents: The data of figures, from `figures`.

  Returns:
    Of each: `title`, `text` (what it shows, in words), `panels` (each a `title`
    and a `source`) and `tables` (its numbers).
  """
  return [
    {
      **_DESCRIPTIONS[content["figure"]](content),
      "panels": [
        {"title": title or "", "source": _data_uri(svg)}
        for title, svg in plots.draw_panels(content)
      ],
    }
    for content in contents
    if content["figure"] in _DESCRIPTIONS
  ]


def _data_uri(svg: str) -> str:
  data = base64.b64encode(svg.encode()).decode()
  return f"data:image/svg+xml;base64,{data}"


def confusion_matrix(
  contents: Sequence[dict[str, Any]], result: dict[str, Any]
) -> dict[str, Any] | None:
  """Makes the matrix of what was predicted for each true emotion."""
  entry = _of_setting(contents, "confusion", result)
  if entry is None:
    return None
  return _heat_map(
    entry["emotions"],
    entry["shares"],
    caption=f"What was predicted (columns), percent of each true emotion (rows,"
    f" with their utterances) on the {result['split']} split, over the"
    " runs",
    corner="true",
    largest=1.0,
    format_cell=lambda share: f"{100 * share:.1f}",
    counts=entry["counts"],
  )


def rating_matrices(
  contents: Sequence[dict[str, Any]], result: dict[str, Any]
) -> list[dict[str, Any]]:
  """Makes a matrix of rated and predicted for each target."""
  matrices = []
  for content in contents:
    for name, target in content.get("targets", {}).items():
      for entry in target["settings"]:
        if entry["setting"] == result["setting"]:
          matrices.append(
            _heat_map(
              [f"{place:g}" for place in target["places"]],
              entry["shares"],
              caption=f"{name}: what was predicted (columns), percent of each"
              " rating (rows, with their utterances), both at the nearest"
              f" place, on the {result['split']} split, over the runs",
              corner="rated",
              largest=1.0,
              format_cell=lambda share: f"{100 * share:.1f}",
              counts=entry["counts"],
            )
          )
  return matrices


def decision_table(
  contents: Sequence[dict[str, Any]], result: dict[str, Any]
) -> dict[str, Any] | None:
  """Makes a row for each binary decision: how often the answer was yes."""
  entry = _of_setting(contents, "decisions", result)
  if entry is None:
    return None
  rows = []
  for emotion, shares, counts in zip(
    entry["emotions"], entry["shares"], entry["counts"], strict=True
  ):
    absent, present = shares
    cells = [
      {"text": f"{100 * present[1]:.1f}", "heat": 100 * present[1]},
      {"text": f"{100 * absent[1]:.1f}", "heat": 100 * absent[1]},
    ]
    cells += [{"text": str(count), "heat": 0.0} for count in reversed(counts)]
    rows.append({"name": emotion, "cells": cells})
  return {
    "kind": "heat",
    "caption": "How often each emotion was predicted, percent of the utterances"
    f" with it and without it on the {result['split']} split, over the"
    " runs",
    "columns": [
      page_tables.column("emotion"),
      page_tables.column(
        "hits", "Predicted among the utterances with the emotion: its recall."
      ),
      page_tables.column(
        "false alarms", "Predicted among the utterances without the emotion."
      ),
      page_tables.column("utterances with it"),
      page_tables.column("utterances without it"),
    ],
    "rows": rows,
  }


def _of_setting(
  contents: Sequence[dict[str, Any]], figure: str, result: dict[str, Any]
) -> dict[str, Any] | None:
  """Picks a figure's counts of the setting that a result is of."""
  for content in contents:
    if content["figure"] == figure:
      for entry in content["settings"]:
        if entry["setting"] == result["setting"]:
          return {**entry, "emotions": content["emotions"]}
  return None


def distance_matrices(
  contents: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
  """Makes one matrix of the distances between emotions for each space."""
  matrices = []
  for content in contents:
    if content["figure"] != "distances":
      continue
    for space, matrix in content["spaces"].items():
      caption = (
        f"{space} space: Euclidean distance (no unit), mean of"
        f" {content['runs']} runs"
      )
      summary = content["rank_correlation"].get(space)
      if summary is not None and summary["mean"] is not None:
        caption += (
          "; Spearman's rank correlation with the distances in the lexical"
          f" space {layouts.correlation(summary)}"
        )
      matrices.append(
        _heat_map(
          content["emotions"],
          matrix,
          caption=caption,
          corner="emotion",
          largest=max(map(max, matrix)) or 1.0,
          format_cell=lambda distance: f"{distance:.2f}",
        )
      )
  return matrices


def _heat_map(
  names: Sequence[str],
  matrix: Sequence[Sequence[float]],
  *,
  caption: str,
  corner: str,
  largest: float,
  format_cell: Callable[[float], str],
  counts: Sequence[int] | None = None,
) -> dict[str, Any]:
  """Makes a table whose cells are darker the larger their value is."""
  rows = [
    {
      "name": name,
      "cells": [
        {"text": format_cell(value), "heat": 100 * value / largest}
        for value in row
      ],
    }
    for name, row in zip(names, matrix, strict=True)
  ]
  if counts is not None:
    for row, count in zip(rows, counts, strict=True):
      row["name"] = f"{row['name']} ({count})"
  return {
    "kind": "heat",
    "caption": caption,
    "columns": [page_tables.column(name) for name in (corner, *names)],
    "rows": rows,
  }


def _describe_losses(content: dict[str, Any]) -> dict[str, Any]:
  """Says in words and numbers what the learning curves show."""
  sentences, numbers = [], []
  for stage, entry in content["stages"].items():
    for term, values in entry["terms"].items():
      known = [value for value in values if value is not None]
      if term in ("train_loss", "validation_loss") and known:
        sentences.append(
          f"{stage}, {term.replace('_', ' ')}: from {known[0]:.3g} to"
          f" {known[-1]:.3g}, lowest {min(known):.3g}"
        )
    numbers.append(_loss_table(stage, entry))
  text = "Terms of the loss by epoch, means over the runs while they train."
  if sentences:
    text += f" {'; '.join(sentences)}."
  return {"title": "Learning curves", "text": text, "tables": numbers}


def _loss_table(stage: str, entry: dict[str, Any]) -> dict[str, Any]:
  return {
    "caption": f"Stage {stage}, by epoch",
    "columns": [
      page_tables.column(name.replace("_", " "))
      for name in ("epoch", *entry["terms"])
    ],
    "rows": [
      {
        "name": str(epoch),
        "cells": [
          "-" if values[at] is None else f"{values[at]:.4g}"
          for values in entry["terms"].values()
        ],
      }
      for at, epoch in enumerate(entry["epochs"])
    ],
  }


def _describe_curves(content: dict[str, Any]) -> dict[str, Any]:
  """Says in words and numbers what the curves by threshold show."""
  metrics = [metric_names.METRICS[name] for name in content["metrics"]]
  last = [content["metrics"][metric.name][-1] for metric in metrics]
  thresholds = content["thresholds"]
  best = "; ".join(
    f"{metric.label} is best, {page_tables.percent_cell(max(values))} %, at"
    f" threshold {thresholds[values.index(max(values))]:g}"
    for metric, values in zip(metrics, last, strict=True)
  )
  return {
    "title": "Thresholds",
    "text": "Validation metrics by epoch and threshold, means over the runs"
    f" while they train. In the last epoch: {best}.",
    "tables": [
      {
        "caption": "Last epoch, percent on the validation split",
        "columns": [
          page_tables.column("threshold"),
          *page_tables.metric_columns(metrics),
        ],
        "rows": [
          {
            "name": f"{threshold:g}",
            "cells": [page_tables.percent_cell(values[at]) for values in last],
          }
          for at, threshold in enumerate(thresholds)
        ],
      }
    ],
  }


def _describe_sweep(content: dict[str, Any]) -> dict[str, Any]:
  """Says in words and numbers what the sweep's curves show."""
  key = content["key"].replace("_", " ")
  metrics = [metric_names.METRICS[name] for name in content["metrics"]]
  return {
    "title": f"Sweep over {key}",
    "text": f"Metrics on the {content['split']} split over {key}, means over"
    " runs with 95 % intervals.",
    "tables": [
      {
        "caption": f"On the {content['split']} split; shares in percent",
        "columns": [
          page_tables.column(key),
          *page_tables.metric_columns(metrics),
        ],
        "rows": [
          {
            "name": f"{value:g}",
            "cells": [
              tables.show(name, entries[at])
              for name, entries in content["metrics"].items()
            ],
          }
          for at, value in enumerate(content["values"])
        ],
      }
    ],
  }


# The figures that are pictures on the page; the others are tables there.
_DESCRIPTIONS = {
  "losses": _describe_losses,
  "threshold_curves": _describe_curves,
  "sweep": _describe_sweep,
}
