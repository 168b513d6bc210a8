"""Describes a table of a paper: what its rows are trained as, what it printed.

The config of a table defines `get_table(config)`, which makes a `Table` of its
config (with the overrides of the command line in it). `reporting.run_table`
trains what the rows need, `fill` sets the measured numbers beside the printed
ones, and `reporting.tables` formats them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ml_collections

from mmer_jax.base import errors
from mmer_jax.evaluation import hierarchical, statistics

# A run of `results/*.json` -> its number, or None where it has none.
ValueFn = Callable[[dict[str, Any]], float | None]


class Column(NamedTuple):
  """A column of numbers.

  Attributes:
    heading: The text above it.
    value: Takes a run of a result, gives the run's number in this column.
    is_share: Whether the numbers are from 0 to 1, as metrics are, and their
      intervals too; differences are not.
  """

  heading: str
  value: ValueFn
  is_share: bool = True

  def summarise(self, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Summarises the column over runs."""
    values = [self.value(run) for run in runs]
    levels = hierarchical.levels(runs)
    if self.is_share:
      return hierarchical.summarise_shares(values, *levels)
    made = hierarchical.summarise(values, *levels)
    return {**statistics.summarise(values), **made}


class Row(NamedTuple):
  """A row of numbers.

  Attributes:
    name: As in the paper.
    program: Name of the program whose runs it shows; `""` for a system that
      is not built here, of which there are the paper's numbers alone.
    paper: The printed numbers, in percent, one per column; empty for none.
    modalities: What the model may see; empty for all.
    stage: The stage after which it is evaluated; `""` for the last.
    setting: The swept values of its runs; empty for those that validation
      chose.
    input_transform: Changes of the config's `noise` and `repair` keys for the
      evaluation, as `{"noise.kind": "gaussian"}`; empty for those of training.
  """

  name: str
  program: str
  paper: tuple[float | None, ...] = ()
  modalities: tuple[str, ...] = ()
  stage: str = ""
  setting: dict[str, float | str] = {}  # noqa: RUF012
  input_transform: dict[str, float | str] = {}  # noqa: RUF012

  @property
  def evaluation(self) -> tuple[Any, ...]:
    """Identifies the evaluation that the row shows; rows may share one."""
    changes = tuple(sorted(self.input_transform.items()))
    return (self.program, self.modalities, changes)


class Section(NamedTuple):
  """Rows of a table under one heading.

  Attributes:
    title: The heading.
    columns: The columns from left to right.
    rows: The rows in the paper's order.
    against: Name of the row that the others are compared with, run by run;
      `""` for no comparison.
  """

  title: str
  columns: tuple[Column, ...]
  rows: tuple[Row, ...]
  against: str = ""


class Table(NamedTuple):
  """A whole table of a paper.

  Attributes:
    title: The paper and the number of its table.
    notes: What a reader must know, in a sentence or two.
    programs: Name to config, each trained in one program.
    sections: The sections in the paper's order.
    figures: Names of the programs that figures are drawn of.
    begin_with: Name of a program with few-shot stages to the name of the one,
      before it, that trains its first stage.
  """

  title: str
  notes: str
  programs: dict[str, ml_collections.ConfigDict]
  sections: tuple[Section, ...]
  figures: tuple[str, ...] = ()
  begin_with: dict[str, str] = {}  # noqa: RUF012


def of_emotion(heading: str, emotion: str, metric: str) -> Column:
  """Makes a column of one emotion's metric, over all runs."""
  return Column(heading, lambda run: run["per_emotion"][emotion][metric])


def of_unseen(heading: str, emotion: str, metric: str) -> Column:
  """Makes a column of an emotion's metric, over the runs without it."""

  def value(run: dict[str, Any]) -> float | None:
    if emotion not in run["unseen"]:
      return None
    return run["per_emotion"][emotion][metric]

  return Column(heading, value)


def of_all_unseen(heading: str, metric: str) -> Column:
  """Makes a column of the mean over the emotions that a run leaves out."""
  return Column(
    heading,
    lambda run: statistics.summarise(
      [run["per_emotion"][emotion][metric] for emotion in run["unseen"]]
    )["mean"],
  )


def of_others(heading: str, emotion: str, metric: str) -> Column:
  """Makes a column of the other emotions' mean, over the runs without one."""

  def value(run: dict[str, Any]) -> float | None:
    if emotion not in run["unseen"]:
      return None
    return _mean_of_seen(run, metric)

  return Column(heading, value)


def of_seen(heading: str, metric: str) -> Column:
  """Makes a column of the mean over the emotions that a run is trained on."""
  return Column(heading, lambda run: _mean_of_seen(run, metric))


def of_all(heading: str, metric: str, modalities: str = "") -> Column:
  """Makes a column of a metric over all emotions.

  Args:
    heading: The text above the column.
    metric: The name of the metric.
    modalities: Where modalities are swept, the value whose runs are in the
      column; `""` for all runs.
  """

  def value(run: dict[str, Any]) -> float | None:
    if modalities and run["setting"]["modalities"] != modalities:
      return None
    return run["metrics"][metric]

  return Column(heading, value)


def lost(heading: str, metric: str) -> Column:
  """Makes a column of what the seen emotions lose after the first stage."""

  def value(run: dict[str, Any]) -> float | None:
    before = _mean_of_seen({**run, **run["stages"][0]}, metric)
    after = _mean_of_seen(run, metric)
    return None if before is None or after is None else before - after

  return Column(heading, value, is_share=False)


def of_robustness(heading: str, name: str) -> Column:
  """Makes a column of a number of `evaluation.robustness`, None without it."""
  return Column(
    heading, lambda run: run.get("robustness", {}).get(name), is_share=False
  )


def transfer(heading: str, name: str) -> Column:
  """Makes a column of a number of `results.transfer`, such as `average`."""
  return Column(heading, lambda run: run["transfer"][name], is_share=False)


def _mean_of_seen(run: dict[str, Any], metric: str) -> float | None:
  """Averages a metric over the emotions that a run is trained on."""
  return statistics.summarise(
    [
      scores[metric]
      for emotion, scores in run["per_emotion"].items()
      if emotion not in run["unseen"]
    ]
  )["mean"]


def fill(
  section: Section, runs_by_row: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
  """Computes the numbers of a section.

  Args:
    section: The section of a table.
    runs_by_row: Row name to the runs that the row shows (see `runs_of`); a row
      that is missing has the paper's numbers alone.

  Returns:
    For JSON: `columns`, and `rows` with `name`, `paper` (fractions), `ours`
    (a summary per column) and, where there is a row to compare with,
    `difference` (a summary of the differences between runs of the same seed,
    fold and left-out emotions, with the p-value `p` of the hierarchical
    interval and `p_holm`, adjusted for all `comparisons` of the section).
  """
  rows = [_fill_row(section, row, runs_by_row) for row in section.rows]
  entries = [entry for row in rows for entry in row.get("difference", ())]
  adjusted = statistics.holm([entry["p"] for entry in entries])
  for entry, value in zip(entries, adjusted, strict=True):
    entry["p_holm"] = value
  return {
    "title": section.title,
    "columns": [column.heading for column in section.columns],
    "rows": rows,
    "against": section.against,
    "comparisons": sum(value is not None for value in adjusted),
  }


def _fill_row(
  section: Section, row: Row, runs_by_row: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
  """Sets the summaries of a row's runs beside the paper's numbers."""
  printed = row.paper or (None,) * len(section.columns)
  filled: dict[str, Any] = {
    "name": row.name,
    "program": row.program,
    "paper": [None if number is None else number / 100 for number in printed],
    "ours": None,
  }
  runs = runs_by_row.get(row.name)
  if runs is None:
    return filled
  filled["ours"] = [column.summarise(runs) for column in section.columns]
  if section.against and row.name != section.against:
    others = runs_by_row[section.against]
    filled["difference"] = [
      summarise_difference(column, runs, others) for column in section.columns
    ]
  return filled


def check_sweeps(table: Table) -> None:
  """Checks that each row is of one setting of its program's sweep.

  Rows that name no setting show the one that validation chose.

  Raises:
    UserError: A row names some of the swept keys and not others.
  """
  for section in table.sections:
    for row in section.rows:
      if not row.setting:
        continue
      for key, values in table.programs[row.program].sweep.items():
        if len(values) > 1 and key not in row.setting:
          raise errors.UserError(
            f"config.sweep.{key} has {len(values)} values, but row"
            f" {row.name!r} of the table is of one; expected one value or none,"
            " set it to ()"
          )


def check_decisions(table: Table) -> None:
  """Refuses programs that learn ratings: columns are metrics of emotions.

  Raises:
    UserError: The first such program is named.
  """
  for name, config in table.programs.items():
    if config.protocol.decision == "regression":
      raise errors.UserError(
        'config.protocol.decision is "regression", but the columns of the'
        f" table are of emotions ({name}); train it by `python -m"
        " mmer_jax.train` instead"
      )


def runs_of(row: Row, result: dict[str, Any]) -> list[dict[str, Any]]:
  """Picks the runs of a result that a row shows, as they were at its stage."""
  setting = row.setting
  if not setting and "settings" in result:
    setting = result["setting"]
  runs = [
    run
    for run in result["runs"]
    if all(run["setting"][key] == value for key, value in setting.items())
  ]
  if not row.stage:
    return runs
  return [
    {**run, **next(s for s in run["stages"] if s["stage"] == row.stage)}
    for run in runs
  ]


def summarise_difference(
  column: Column,
  runs: Sequence[dict[str, Any]],
  others: Sequence[dict[str, Any]],
) -> dict[str, Any]:
  """Subtracts from each run's number its partner's, and summarises over runs.

  Args:
    column: What is compared.
    runs: The runs of one system.
    others: Those of another: a partner is of the same seed, fold, left-out
      emotions and, where results say so, utterances.

  Returns:
    Both intervals of the mean difference, and the p-value `p` of the
    hierarchical one: None where the differences do not vary.
  """
  ours, theirs = _numbers(column, runs), _numbers(column, others)
  pairs = [key for key in ours if key in theirs]
  values = [ours[key] - theirs[key] for key in pairs]
  levels = hierarchical.levels([dict(key) for key in pairs])
  made = hierarchical.summarise(values, *levels)
  p = None
  if hierarchy := made["hierarchy"]:
    p = statistics.p_value(
      hierarchy["mean"], hierarchy["error"], hierarchy["degrees"]
    )
  return {**statistics.summarise(values), **made, "p": p}


def _numbers(
  column: Column, runs: Sequence[dict[str, Any]]
) -> dict[tuple[tuple[str, Any], ...], float]:
  """Maps what tells a run from others of its system to its number."""
  numbers = {}
  for run in runs:
    value = column.value(run)
    if value is not None:
      key = (
        ("seed", run["seed"]),
        ("fold", run["fold"]),
        ("unseen", tuple(run["unseen"])),
        ("utterances_sha256", run.get("utterances_sha256", "")),
      )
      numbers[key] = value
  return numbers
