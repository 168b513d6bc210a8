r"""Writes one HTML page of what workdirs have found, for people to read.

Example:
  python -m mmer_jax.report --workdirs=runs/mtee_iemocap,runs/table_4 \
    --out=report

A workdir is one of `mmer_jax.train` or of `mmer_jax.table`, whose programs are
shown after its table. Writes DIR/index.html, which needs no other file and no
network, and the figures in it as PNG, SVG and JSON below DIR/figures.
Needs jinja2 and matplotlib: pip install 'mmer_jax[report]'.
"""

import base64
import pathlib
from collections.abc import Sequence
from typing import Any

from mmer_jax.base import errors
from mmer_jax.evaluation import tables
from mmer_jax.experiment import build
from mmer_jax.reporting import figures, page_tables, plots


def figure_panels(
  folder: pathlib.Path,
  config: Any,
  outcome: dict[str, Any],
  out: pathlib.Path,
) -> tuple[dict[str, dict[str, Any]], str]:
  """Draws what there is; also says what the shards were missing for."""
  contents = [figures.losses(folder), figures.confusion(outcome)]
  contents.append(figures.sweep(outcome))
  system, missing = build.build_system(config), ""
  if system.spaces is not None or config.training.curve_thresholds:
    try:
      experiment = build.build_experiment(config)
      if system.spaces is not None:
        contents.append(figures.distances(folder, experiment))
      if config.training.curve_thresholds:
        contents.append(figures.threshold_curves(folder, experiment))
    except errors.UserError as error:
      missing = str(error)
  found = {each["figure"]: each for each in contents if each is not None}
  for content in found.values():
    plots.save(content, out)
  return found, missing


def embed_image(path: pathlib.Path) -> str:
  data = base64.b64encode(path.read_bytes()).decode()
  return f"data:image/svg+xml;base64,{data}"


def confusion_heat_map(
  outcome: dict[str, Any], content: dict[str, Any] | None
) -> dict[str, Any] | None:
  """The shares of the setting that the result is of."""
  if content is None:
    return None
  (entry,) = [
    each
    for each in content["settings"]
    if each["setting"] == outcome["setting"]
  ]
  return _heat(content["emotions"], entry["shares"], 1.0, 100, 1)


def distance_heat_map(content: dict[str, Any] | None) -> list[dict[str, Any]]:
  if content is None:
    return []
  found = []
  for space, matrix in content["spaces"].items():
    largest = max(max(row) for row in matrix) or 1.0
    heat = _heat(content["emotions"], matrix, largest, 1, 2)
    correlation = content["rank_correlation"].get(space)
    found.append(
      {
        **heat,
        "space": space,
        "runs": content["runs"],
        "correlation": None
        if correlation is None or correlation["mean"] is None
        else f"{correlation['mean']:.2f}"
        + (
          ""
          if correlation["ci95"][0] is None
          else f" ± {correlation['ci95'][1] - correlation['mean']:.2f}"
        ),
      }
    )
  return found


def _heat(
  names: Sequence[str],
  matrix: Sequence[Sequence[float]],
  largest: float,
  factor: float,
  digits: int,
) -> dict[str, Any]:
  return {
    "names": names,
    "rows": [
      {
        "name": name,
        "cells": [
          {
            "text": f"{factor * value:.{digits}f}",
            "heat": 100 * value / largest,
          }
          for value in row
        ],
      }
      for name, row in zip(names, matrix, strict=True)
    ],
  }


def _says_losses(content: dict[str, Any]) -> dict[str, Any]:
  said, numbers = [], []
  for stage, entry in content["stages"].items():
    epochs = entry["epochs"]
    for term, values in entry["terms"].items():
      known = [value for value in values if value is not None]
      if term in ("train_loss", "validation_loss") and known:
        said.append(
          f"{stage}, {term.replace('_', ' ')}: from {known[0]:.3g} to"
          f" {known[-1]:.3g}, lowest {min(known):.3g}"
        )
    numbers.append(
      {
        "caption": f"Stage {stage}, by epoch",
        "heading": ["epoch", *(t.replace("_", " ") for t in entry["terms"])],
        "rows": [
          [
            str(epoch),
            *(
              "-" if values[at] is None else f"{values[at]:.4g}"
              for values in entry["terms"].values()
            ),
          ]
          for at, epoch in enumerate(epochs)
        ],
      }
    )
  return {
    "title": "Learning curves",
    "alt": f"Terms of the loss by epoch. {'; '.join(said)}.",
    "numbers": numbers,
  }


def _says_curves(content: dict[str, Any]) -> dict[str, Any]:
  names = {m: page_tables.NAMES[m] for m in content["metrics"]}
  last = {m: values[-1] for m, values in content["metrics"].items()}
  best = "; ".join(
    f"{names[m]} is best, {page_tables.percent_cell(max(values))} %, at threshold"
    f" {content['thresholds'][values.index(max(values))]:g}"
    for m, values in last.items()
  )
  return {
    "title": "Thresholds",
    "alt": f"Validation metrics by epoch and threshold. In the last: {best}.",
    "numbers": [
      {
        "caption": "Last epoch, percent",
        "heading": ["threshold", *names.values()],
        "rows": [
          [
            f"{threshold:g}",
            *(page_tables.percent_cell(values[at]) for values in last.values()),
          ]
          for at, threshold in enumerate(content["thresholds"])
        ],
      }
    ],
  }


def _says_sweep(content: dict[str, Any]) -> dict[str, Any]:
  key = content["key"].replace("_", " ")
  return {
    "title": f"Sweep over {key}",
    "alt": f"Metrics on the judged split over {key}, with intervals.",
    "numbers": [
      {
        "caption": "Percent",
        "heading": [key, *(m.replace("_", " ") for m in content["metrics"])],
        "rows": [
          [
            f"{value:g}",
            *(tables.percent(e[at]) for e in content["metrics"].values()),
          ]
          for at, value in enumerate(content["values"])
        ],
      }
    ],
  }


# The figures that are pictures on the page; the others are tables there.
CAPTIONS = {
  "losses": _says_losses,
  "threshold_curves": _says_curves,
  "sweep": _says_sweep,
}
