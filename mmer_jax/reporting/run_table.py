"""Trains the programs of a paper's table and fills the table."""

import inspect
import pathlib
from typing import Any

import jax
import ml_collections
import rich.console

from mmer_jax.base import environment, errors, progress, user_code, workdir
from mmer_jax.evaluation import evaluate, published, train_and_evaluate
from mmer_jax.evaluation import load as load_lib
from mmer_jax.evaluation import tables as result_tables
from mmer_jax.reporting import tables


def run_table(
  table: published.Table,
  folder: pathlib.Path,
  *,
  split: str,
  console: rich.console.Console,
) -> dict[str, Any] | None:
  """Trains what is not trained yet, and evaluates every row.

  Args:
    table: The table that a config's `get_table` describes.
    folder: Where everything is written.
    split: Which rows of the shards are scored: a name of `evaluate.SPLITS`.
    console: Where progress is printed.

  Returns:
    The content of `table.json`; None where training was asked to stop.

  Raises:
    UserError: A program sweeps what its rows do not tell apart, or learns
      ratings.
  """
  published.check_decisions(table)
  published.check_sweeps(table)
  if not _train_programs(table, folder, console):
    return None
  results = _evaluate_rows(table, folder, split)
  content = _content(table, split, results)
  if jax.process_index() == 0:
    workdir.write_json(folder / "table.json", content)
    workdir.write_text(folder / "table.md", tables.markdown(content))
  return content


def _train_programs(
  table: published.Table, folder: pathlib.Path, console: rich.console.Console
) -> bool:
  """Trains each program into its folder; False where it was asked to stop."""
  for count, (name, config) in enumerate(table.programs.items(), 1):
    console.print(f"program {count} of {len(table.programs)}: {name}")
    first = table.begin_with.get(name)
    finished = train_and_evaluate.train_and_evaluate(
      config,
      folder / name,
      console=console,
      first_stage=folder / first if first else None,
    )
    if not finished:
      return False
  return True


def _evaluate_rows(
  table: published.Table, folder: pathlib.Path, split: str
) -> dict[tuple[Any, ...], dict[str, Any]]:
  """Makes each evaluation that a row shows, once."""
  results: dict[tuple[Any, ...], dict[str, Any]] = {}
  rows = [row for section in table.sections for row in section.rows]
  for row in progress.each(rows, "evaluating", len(rows), "rows"):
    if row.program and row.evaluation not in results:
      results[row.evaluation] = evaluate.evaluate_workdir(
        folder / row.program,
        evaluate.Request(split, modalities=row.modalities),
        load_lib.Inputs(input_transform=row.input_transform),
      )
  return results


def _content(
  table: published.Table,
  split: str,
  results: dict[tuple[Any, ...], dict[str, Any]],
) -> dict[str, Any]:
  """Puts the content of `table.json` together."""
  return {
    "title": table.title,
    "notes": table.notes,
    "split": split,
    "dataset": next(iter(results.values()))["dataset"],
    "texts": _about_texts(results),
    "failed": {
      name: result["failed"]
      for (name, *_), result in results.items()
      if result["failed"]
    },
    "programs": {
      name: {
        "system": result["system"],
        "config_sha256": result["config_sha256"],
        "runs": len(result["runs"]),
      }
      for (name, *_), result in results.items()
    },
    "sections": [
      published.fill(
        section,
        {
          row.name: published.runs_of(row, results[row.evaluation])
          for row in section.rows
          if row.program
        },
      )
      for section in table.sections
    ],
    "environment": environment.environment(),
  }


def _about_texts(
  results: dict[tuple[Any, ...], dict[str, Any]],
) -> list[str]:
  """Says what the training rows of the programs know of the scored texts."""
  sentences: dict[str, list[str]] = {}
  for (name, *_), result in results.items():
    for sentence in result_tables.about_texts(result):
      names = sentences.setdefault(sentence, [])
      names.extend({name} - set(names))
  if len(sentences) == 1:
    return list(sentences)
  return [f"{', '.join(names)}: {each}" for each, names in sentences.items()]


def every_run_failed(content: dict[str, Any]) -> bool:
  """Tells whether a filled table holds no number.

  Args:
    content: The content of `table.json`.
  """
  return all(
    len(content["failed"].get(name, ())) == program["runs"]
    for name, program in content["programs"].items()
  )


def load(
  path: pathlib.Path, config: ml_collections.ConfigDict, variant: str = ""
) -> published.Table:
  """Asks a config file for its table.

  Args:
    path: The file, which defines `get_table(config)`, or
      `get_table(config, variant)` where rows depend on the variant.
    config: Its config, with the overrides of the command line.
    variant: Of `FILE:VARIANT`; "" where the command line names none.

  Raises:
    UserError: The file has none, or fails.
  """
  module = user_code.load(path, f"mmer_jax_table_{path.stem}")
  if not hasattr(module, "get_table"):
    raise errors.UserError(
      f"{path} defines no get_table, expected the config of a table, such as"
      " configs/mtee/few_shot_mosei.py; use `python -m mmer_jax.train` for"
      " this one"
    )
  parameters = inspect.signature(module.get_table).parameters
  with user_code.naming_line(path):
    if variant and "variant" in parameters:
      return module.get_table(config, variant)
    return module.get_table(config)
