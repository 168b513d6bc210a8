"""Writes one HTML page of the results of workdirs, for people to read.

Needs jinja2 and matplotlib: pip install 'mmer_jax[report]'.
"""

import importlib.resources
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from mmer_jax.base import environment as environment_lib
from mmer_jax.base import errors, progress, workdir
from mmer_jax.evaluation import metric_names
from mmer_jax.experiment import build, provenance
from mmer_jax.reporting import (
  colours,
  figures,
  page_figures,
  page_overview,
  page_provenance,
  page_runs,
  page_tables,
  plots,
  reading,
)
from mmer_jax.systems import registry


@progress.doing("writing the page")
def write(folders: Sequence[pathlib.Path], out: pathlib.Path) -> pathlib.Path:
  """Writes the page, and the figures as files beside it.

  Args:
    folders: Workdirs of `mmer_jax.train` or `mmer_jax.table`; the latter's
      programs are shown after its table.
    out: The folder of the page.

  Returns:
    The page.

  Raises:
    UserError: A folder is no finished workdir, or a package is missing.
  """
  template = _template()
  tables = [
    page_overview.paper_table(reading.read_table(folder / "table.json"))
    for folder in folders
    if (folder / "table.json").exists()
  ]
  systems: list[dict[str, Any]] = []
  for folder, name in _programs(folders):
    if any(system["name"] == name for system in systems):
      raise errors.UserError(
        f"--workdirs has two folders called {name}, expected different names"
        " to tell them apart by; rename one"
      )
    system = _read_system(folder, name, out / "figures" / name)
    systems.append({**system, "id": f"workdir-{len(systems) + 1}"})
  page = template.render(
    title="Multimodal emotion recognition: results",
    style=colours.style_sheet(),
    overview=page_overview.overview_tables(systems),
    metrics=_metrics([system["result"] for system in systems]),
    tables=tables,
    systems=systems,
    environment=environment_lib.environment(),
  )
  workdir.write_text(out / "index.html", page)
  return out / "index.html"


def _metrics(
  results: Sequence[dict[str, Any]],
) -> list[metric_names.Metric]:
  """Lists the metrics that the results of a page are shown by."""
  shown = [metric_names.shown(result) for result in results]
  names = dict.fromkeys(name for each in shown for name in each)
  return [metric_names.METRICS[name] for name in names or metric_names.SHOWN]


def _template() -> Any:
  """Loads the page's template."""
  jinja2 = errors.require("jinja2", "report", "a report")
  file = importlib.resources.files("mmer_jax.reporting") / "report.html"
  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.from_string(file.read_text(encoding="utf-8"))


def _programs(
  folders: Sequence[pathlib.Path],
) -> Iterator[tuple[pathlib.Path, str]]:
  """Yields each workdir of `mmer_jax.train` with its name on the page."""
  for folder in folders:
    # The last part of `.` or `runs/..` is no name.
    name = pathlib.Path(os.path.abspath(folder)).name
    if (folder / "table.json").exists():
      for program in reading.read_table(folder / "table.json")["programs"]:
        yield folder / program, f"{name}/{program}"
    else:
      yield folder, name


def _read_system(
  folder: pathlib.Path, name: str, out: pathlib.Path
) -> dict[str, Any]:
  """Reads all that the page says of a workdir, and draws its figures.

  Where the test split was evaluated the page is of its result, else of that of
  validation.
  """
  description = provenance.read_description(folder)
  results = reading.read_main_results(folder)
  result = results.get("test", results.get("validation"))
  contents, missing = _figures(folder, result)
  plots.save_all(contents, out)
  return {
    "name": name,
    "results": results,
    "result": result,
    "modalities_seen": page_tables.seen_modalities(result),
    "failed": page_provenance.failed_runs(result),
    "emotions": page_tables.emotion_table(result),
    "confusion": page_figures.confusion_matrix(contents, result),
    "decisions": page_figures.decision_table(contents, result),
    "ratings": page_figures.rating_matrices(contents, result),
    "modalities": page_tables.modality_table(folder, result),
    "settings": page_tables.settings_table(result),
    "pictures": page_figures.pictures(contents),
    "distances": page_figures.distance_matrices(contents),
    "missing": missing,
    "runs": page_runs.run_table(result, *page_runs.selected_epochs(folder)),
    "provenance": page_provenance.provenance(description, result),
    "commands": page_provenance.commands(folder, description),
    "config": (folder / "config.json").read_text(encoding="utf-8"),
  }


def _figures(
  folder: pathlib.Path, result: dict[str, Any]
) -> tuple[list[dict[str, Any]], str]:
  """Computes the figures; also says why distances could not be, if so."""
  if result["system"] in registry.FITTED:
    return figures.of_result(result), ""
  # Of a sweep, the runs of the setting that the page is of: another setting may
  # have been too bold, and its loss would be all that a mean shows.
  runs = [run["run"] for run in page_tables.chosen_runs(result)]
  contents = figures.of_training(folder, runs) + figures.of_result(result)
  config = workdir.read_config(folder)
  if build.build_system(config).spaces is None:
    return contents, ""
  try:
    distances = figures.distances(folder, build.build_experiment(config))
  except errors.UserError as error:
    return contents, str(error)
  return contents + ([distances] if distances else []), ""
