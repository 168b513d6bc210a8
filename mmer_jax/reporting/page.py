r"""Writes one HTML page of what workdirs have found, for people to read.

Example:
  python -m mmer_jax.report --workdirs=runs/mtee_iemocap,runs/table_4 \
    --out=report

A workdir is one of `mmer_jax.train` or of `mmer_jax.table`, whose programs are
shown after its table. Writes DIR/index.html, which needs no other file and no
network, and the figures in it as PNG, SVG and JSON below DIR/figures.
Needs jinja2 and matplotlib: pip install 'mmer_jax[report]'.
"""

import importlib.resources
import pathlib
from collections.abc import Sequence
from typing import Any

from mmer_jax.base import environment as environment_lib
from mmer_jax.base import errors, workdir
from mmer_jax.experiment import records
from mmer_jax.reporting import page_figures, page_tables


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
      tables.append(page_tables.results_table(content))
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
    overview=[page_tables.overview_table(system) for system in systems],
    shown=[page_tables.NAMES[name] for name in page_tables.SHOWN_METRICS],
    tables=tables,
    systems=systems,
    environment=environment_lib.environment(),
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
  source = importlib.resources.files("mmer_jax.reporting") / "report.html"
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
  outcome = page_tables.read_result(folder)
  runs = [r for r in outcome["runs"] if r["setting"] == outcome["setting"]]
  drawn, missing = page_figures.figure_panels(folder, config, outcome, out)
  return {
    "name": name,
    "id": "".join(c if c.isalnum() else "-" for c in name),
    "outcome": outcome,
    "decision": outcome["protocol"]["decision"],
    "emotions": page_tables.emotion_bars(outcome, runs),
    "confusion": page_figures.confusion_heat_map(
      outcome, drawn.pop("confusion", None)
    ),
    "distances": page_figures.distance_heat_map(drawn.get("distances")),
    "ablation": page_tables.ablation_table(folder, outcome),
    "settings": page_tables.settings_table(outcome),
    "figures": [
      {
        **page_figures.CAPTIONS[kind](content),
        "source": page_figures.embed_image(out / f"{kind}.svg"),
      }
      for kind, content in drawn.items()
      if kind in page_figures.CAPTIONS
    ],
    "missing": missing,
    "runs": [
      {
        "run": run["run"],
        "fold": run["fold"],
        "seed": run["seed"],
        "setting": records.show(run["setting"]),
        "unseen": ", ".join(run["unseen"]),
        "failed": run["failed_step"],
        "examples": run["examples"],
        "values": [
          page_tables.percent_cell(run["metrics"][metric])
          for metric in page_tables.SHOWN_METRICS
        ],
      }
      for run in outcome["runs"]
    ],
    "provenance": page_tables.provenance_table(description, outcome),
    "config": (folder / "config.json").read_text(encoding="utf-8"),
  }
