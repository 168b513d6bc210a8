r"""Trains and fills a whole table of a paper: all rows, emotions, folds, seeds.

Example:
  python -m mmer_jax.table --config=configs/mtee/few_shot_mosei.py:synthetic \
    --config.data.dir=data/synthetic --workdir=runs/table_4

The config says which programs the rows need (a system and a method each; all
emotions, settings, folds and seeds are the runs of one program) and what the
paper printed. Overrides of the config reach every program. The same command
again resumes. Writes WORKDIR/<program>/, a workdir of `mmer_jax.train`, and
WORKDIR/table.json and table.md, figures beside them, and prints the table.
"""

import importlib.util
import pathlib
import sys
from types import ModuleType
from typing import Any

import jax
import ml_collections
import rich.console
import rich.table

from mmer_jax.base import environment, errors, workdir
from mmer_jax.evaluation import evaluate, published, train_and_evaluate


def run_table(
  table: published.Table,
  folder: pathlib.Path,
  *,
  split: str,
  console: rich.console.Console,
) -> dict[str, Any] | None:
  """Trains what is not trained yet, and evaluates every row.

  Args:
    table: From a config's `get_table`.
    folder: Where everything is written.
    split: As of `evaluate.evaluate`.
    console: For progress.

  Returns:
    The content of `table.json`; None where training was asked to stop.

  Raises:
    UserError: A program sweeps what its rows do not tell apart.
  """
  published.check_sweeps(table)
  programs = table.programs
  for count, (name, config) in enumerate(programs.items(), 1):
    console.print(f"program {count} of {len(programs)}: {name}")
    first = table.begin_with.get(name)
    finished = train_and_evaluate.train_and_evaluate(
      config,
      folder / name,
      console=console,
      source=folder / first if first else None,
    )
    if not finished:
      return None
  outcomes = {}
  for section in table.sections:
    for row in section.rows:
      if row.program and row.judged not in outcomes:
        outcomes[row.judged] = evaluate.evaluate_workdir(
          folder / row.program,
          split=split,
          modalities=row.modalities,
          front=row.front,
        )
  some = next(iter(outcomes.values()))
  content = {
    "title": table.title,
    "notes": table.notes,
    "split": split,
    "dataset": some["dataset"],
    "failed": {
      name: outcome["failed"]
      for (name, *_), outcome in outcomes.items()
      if outcome["failed"]
    },
    "programs": {
      name: {
        "system": outcome["system"],
        "config_sha256": outcome["config_sha256"],
        "runs": len(outcome["runs"]),
      }
      for (name, *_), outcome in outcomes.items()
    },
    "sections": [
      published.fill(
        section,
        {
          row.name: published.runs_of(row, outcomes[row.judged])
          for row in section.rows
          if row.program
        },
      )
      for section in table.sections
    ],
    "environment": environment.environment(),
  }
  if jax.process_index() == 0:
    workdir.write_json(folder / "table.json", content)
    workdir.write_text(folder / "table.md", published.markdown(content))
  return content


def load(
  path: pathlib.Path, config: ml_collections.ConfigDict
) -> published.Table:
  """Asks a config file for its table.

  Raises:
    UserError: The file has none.
  """
  module = _import(path)
  if not hasattr(module, "get_table"):
    raise errors.UserError(
      f"{path} defines no get_table, expected the config of a table, such as"
      " configs/mtee/few_shot_mosei.py; use `python -m mmer_jax.train` for"
      " this one"
    )
  return module.get_table(config)


def _import(path: pathlib.Path) -> ModuleType:
  name = f"mmer_jax_table_{path.stem}"
  spec = importlib.util.spec_from_file_location(name, path)
  if spec is None or spec.loader is None:
    raise errors.UserError(f"{path} is no Python file; see --help")
  module = importlib.util.module_from_spec(spec)
  sys.modules[name] = module
  spec.loader.exec_module(module)
  return module
