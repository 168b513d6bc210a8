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
import importlib.resources
import pathlib
from collections.abc import Sequence
from typing import Any

import rich.console
from absl import flags

from mmer_jax import (
  errors,
  experiment,
  figures,
  layout,
  published,
  results,
  workdir,
)

_SHOWN = (
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
_NAMES = {
  "accuracy": "accuracy",
  "unweighted_accuracy": "unweighted acc.",
  "weighted_accuracy": "W-Acc",
  "f1": "F1",
  "weighted_f1": "weighted F1",
  "auc": "AUC",
}
_SINGLE = {**_NAMES, "unweighted_accuracy": "recall"}


def write(folders: Sequence[pathlib.Path], out: pathlib.Path) -> pathlib.Path:
  """Writes the page.

  Args:
    folders: Workdirs.
    out: The folder.

  Returns:
    The page.

  Raises:
    UserError: A folder is no finished workdir, or a package is missing.
  """
  template = _template()
  tables, systems, seen = [], [], set()
  for folder in folders:
    table = folder / "table.json"
    inner = [folder]
    if table.exists():
      content = workdir.read_json(table)
      tables.append(_table(content))
      inner = [folder / name for name in content["programs"]]
    for each in inner:
      name = each.name if each is folder else f"{folder.name}/{each.name}"
      if name in seen:
        raise errors.UserError(
          f"--workdirs has two folders called {name}, expected different names"
          " to tell them apart by; rename one"
        )
      seen.add(name)
      systems.append(_system(each, name, out / "figures" / name))
  page = template.render(
    title="Multimodal emotion recognition: results",
    overview=[_overview(system) for system in systems],
    shown=[_NAMES[name] for name in _SHOWN],
    tables=tables,
    systems=systems,
    environment=results.environment(),
  )
  workdir.write_text(out / "index.html", page)
  return out / "index.html"


def _template() -> Any:
  try:
    import jinja2
  except ImportError:
    raise errors.UserError(
      "a report needs the package jinja2, which is not installed;"
      " pip install 'mmer_jax[report]'"
    ) from None
  source = importlib.resources.files("mmer_jax") / "templates" / "report.html"
  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.from_string(source.read_text(encoding="utf-8"))


def _system(
  folder: pathlib.Path, name: str, out: pathlib.Path
) -> dict[str, Any]:
  """All that the page says of a workdir."""
  description = workdir.read_json(folder / "run.json")
  config = workdir.read_config(folder)
  outcome = _outcome(folder)
  runs = [r for r in outcome["runs"] if r["setting"] == outcome["setting"]]
  drawn, missing = _figures(folder, config, outcome, out)
  return {
    "name": name,
    "id": "".join(c if c.isalnum() else "-" for c in name),
    "outcome": outcome,
    "decision": outcome["protocol"]["decision"],
    "emotions": _emotions(outcome, runs),
    "confusion": _confusion(outcome, drawn.pop("confusion", None)),
    "distances": _distances(drawn.get("distances")),
    "ablation": _ablation(folder, outcome),
    "settings": _settings(outcome),
    "figures": [
      {**_SAYS[kind](content), "source": _embedded(out / f"{kind}.svg")}
      for kind, content in drawn.items()
      if kind in _SAYS
    ],
    "missing": missing,
    "runs": [
      {
        "run": run["run"],
        "fold": run["fold"],
        "seed": run["seed"],
        "setting": layout.show(run["setting"]),
        "unseen": ", ".join(run["unseen"]),
        "failed": run["failed_step"],
        "examples": run["examples"],
        "values": [_share(run["metrics"][metric]) for metric in _SHOWN],
      }
      for run in outcome["runs"]
    ],
    "provenance": _provenance(description, outcome),
    "config": (folder / "config.json").read_text(encoding="utf-8"),
  }


def _outcome(folder: pathlib.Path) -> dict[str, Any]:
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


def _figures(
  folder: pathlib.Path,
  config: Any,
  outcome: dict[str, Any],
  out: pathlib.Path,
) -> tuple[dict[str, dict[str, Any]], str]:
  """Draws what there is; also says what the shards were missing for."""
  contents = [figures.losses(folder), figures.confusion(outcome)]
  contents.append(figures.sweep(outcome))
  system, missing = experiment.build_system(config), ""
  if system.spaces is not None or config.training.curve_thresholds:
    try:
      setup = experiment.build(config)
      if system.spaces is not None:
        contents.append(figures.distances(folder, setup))
      if config.training.curve_thresholds:
        contents.append(figures.threshold_curves(folder, setup))
    except errors.UserError as error:
      missing = str(error)
  found = {each["figure"]: each for each in contents if each is not None}
  for content in found.values():
    figures.save(content, out)
  return found, missing


def _embedded(path: pathlib.Path) -> str:
  data = base64.b64encode(path.read_bytes()).decode()
  return f"data:image/svg+xml;base64,{data}"


def _overview(system: dict[str, Any]) -> dict[str, Any]:
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
    "values": [results.percent(outcome["summary"][m]) for m in _SHOWN],
    "baseline": [_share(baseline[m]) for m in _SHOWN],
  }


def _table(content: dict[str, Any]) -> dict[str, Any]:
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
            "ours": "" if entry is None else results.percent(entry),
            "paper": "" if paper is None else _share(paper),
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


def _emotions(
  outcome: dict[str, Any], runs: Sequence[dict[str, Any]]
) -> dict[str, Any]:
  """Bars: a summary of every emotion and metric."""
  shown = _BARS[outcome["protocol"]["decision"]]
  names = _SINGLE if outcome["protocol"]["decision"] == "softmax" else _NAMES
  rows = []
  for emotion in outcome["protocol"]["emotions"]:
    scores = [run["per_emotion"][emotion] for run in runs]
    cells = [results.summarise([s[metric] for s in scores]) for metric in shown]
    rows.append(
      {
        "name": emotion,
        "support": results.summarise([s["support"] for s in scores])["mean"],
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
    "text": results.percent(entry),
    "length": 100 * (entry["mean"] or 0),
    "low": low,
    "width": None if low is None else high - low,
  }


def _confusion(
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


def _distances(content: dict[str, Any] | None) -> list[dict[str, Any]]:
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


def _ablation(
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
    "cells": [_bar(found["summary"][metric]) for metric in _SHOWN],
  }


def _settings(outcome: dict[str, Any]) -> list[dict[str, Any]]:
  return [
    {
      "name": layout.show(entry["setting"]) or "-",
      "chosen": entry["setting"] == outcome["setting"],
      "cells": [results.percent(entry["summary"][m]) for m in _SHOWN],
    }
    for entry in outcome.get("settings", [])
  ]


def _provenance(
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


def _share(value: float | None) -> str:
  return "-" if value is None else f"{100 * value:.1f}"


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
  names = {m: _NAMES[m] for m in content["metrics"]}
  last = {m: values[-1] for m, values in content["metrics"].items()}
  best = "; ".join(
    f"{names[m]} is best, {_share(max(values))} %, at threshold"
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
          [f"{threshold:g}", *(_share(values[at]) for values in last.values())]
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
            *(results.percent(e[at]) for e in content["metrics"].values()),
          ]
          for at, value in enumerate(content["values"])
        ],
      }
    ],
  }


# The figures that are pictures on the page; the others are tables there.
_SAYS = {
  "losses": _says_losses,
  "threshold_curves": _says_curves,
  "sweep": _says_sweep,
}


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_list("workdirs", None, "Of `mmer_jax.train` or `.table`.")
  flags.DEFINE_string("out", None, "The folder of the page.")
  flags.mark_flags_as_required(["workdirs", "out"])


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  page = write(
    [pathlib.Path(folder) for folder in flags.FLAGS.workdirs],
    pathlib.Path(flags.FLAGS.out),
  )
  rich.console.Console(soft_wrap=True, highlight=False).print(f"page: {page}")


if __name__ == "__main__":
  define_flags()
  errors.run(main)
