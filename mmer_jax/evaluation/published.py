"""A table of a paper: what its rows are trained as, and its printed numbers.

The config of a table defines `get_table(config)`, which makes a `Table` of its
config (with the overrides of the command line in it); `mmer_jax.table` trains
what the rows need and sets the measured numbers beside the printed ones.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ml_collections

from mmer_jax.base import errors
from mmer_jax.evaluation import statistics, tables

# A run of `results/*.json` -> its number, or None where it has none.
ValueFn = Callable[[dict[str, Any]], float | None]


class Column(NamedTuple):
  """A column of numbers.

  Attributes:
    heading: Of the column.
    value: What a run has there.
  """

  heading: str
  value: ValueFn


class Row(NamedTuple):
  """A row of numbers.

  Attributes:
    name: As in the paper.
    program: Name of the program whose runs it shows; `""` for a system that
      is not built here, of which there are the paper's numbers alone.
    paper: The printed numbers, in percent, one per column; empty for none.
    modalities: What the model may see; empty for all.
    stage: The stage after which it is judged; `""` for the last.
    setting: The swept values of its runs; empty for those that validation
      chose.
    front: As of `evaluate.evaluate`; empty for what training had.
  """

  name: str
  program: str
  paper: tuple[float | None, ...] = ()
  modalities: tuple[str, ...] = ()
  stage: str = ""
  setting: dict[str, float | str] = {}  # noqa: RUF012
  front: dict[str, float | str] = {}  # noqa: RUF012

  @property
  def judged(self) -> tuple[Any, ...]:
    """What an evaluation is made for once, whatever the rows that show it."""
    return (self.program, self.modalities, tuple(sorted(self.front.items())))


class Section(NamedTuple):
  """Rows under one heading.

  Attributes:
    title: Of the section.
    columns: From left to right.
    rows: In the paper's order.
    against: Name of the row that the others are compared with, run by run;
      `""` for no comparison.
  """

  title: str
  columns: tuple[Column, ...]
  rows: tuple[Row, ...]
  against: str = ""


class Table(NamedTuple):
  """A whole table.

  Attributes:
    title: Its source.
    notes: What a reader must know, in a sentence or two.
    programs: Name to config, each trained in one program.
    sections: In order.
    figures: Names of the programs that figures are drawn of.
    begin_with: Name of a program with few-shot stages to the one, before it,
      that is its first stage.
  """

  title: str
  notes: str
  programs: dict[str, ml_collections.ConfigDict]
  sections: tuple[Section, ...]
  figures: tuple[str, ...] = ()
  begin_with: dict[str, str] = {}  # noqa: RUF012


def of_emotion(heading: str, emotion: str, metric: str) -> Column:
  """A metric of one emotion, over all runs."""
  return Column(heading, lambda run: run["per_emotion"][emotion][metric])


def of_unseen(heading: str, emotion: str, metric: str) -> Column:
  """A metric of an emotion, over the runs that leave it out."""

  def value(run: dict[str, Any]) -> float | None:
    if emotion not in run["unseen"]:
      return None
    return run["per_emotion"][emotion][metric]

  return Column(heading, value)


def of_all_unseen(heading: str, metric: str) -> Column:
  """The mean over the emotions that a run leaves out."""
  return Column(
    heading,
    lambda run: statistics.summarise(
      [run["per_emotion"][emotion][metric] for emotion in run["unseen"]]
    )["mean"],
  )


def of_others(heading: str, emotion: str, metric: str) -> Column:
  """The mean over the others, over the runs that leave an emotion out."""

  def value(run: dict[str, Any]) -> float | None:
    if emotion not in run["unseen"]:
      return None
    return _mean_of_seen(run, metric)

  return Column(heading, value)


def of_seen(heading: str, metric: str) -> Column:
  """The mean over the emotions that a run does not leave out."""
  return Column(heading, lambda run: _mean_of_seen(run, metric))


def of_all(heading: str, metric: str, modalities: str = "") -> Column:
  """A metric as the result of a run has it.

  Args:
    heading: Of the column.
    metric: Its name.
    modalities: Of a sweep over them, the one whose runs are in the column; `""`
      for all runs.
  """

  def value(run: dict[str, Any]) -> float | None:
    if modalities and run["setting"]["modalities"] != modalities:
      return None
    return run["metrics"][metric]

  return Column(heading, value)


def lost(heading: str, metric: str) -> Column:
  """What the seen emotions lose, on average, after the first stage."""

  def value(run: dict[str, Any]) -> float | None:
    before = _mean_of_seen({**run, **run["stages"][0]}, metric)
    after = _mean_of_seen(run, metric)
    return None if before is None or after is None else before - after

  return Column(heading, value)


def of_robustness(heading: str, name: str) -> Column:
  """What `robustness.measure` found, under its name there; None without it."""
  return Column(heading, lambda run: run.get("robustness", {}).get(name))


def transfer(heading: str, name: str) -> Column:
  """What `results.transfer` measured, under its name there."""
  return Column(heading, lambda run: run["transfer"][name])


def _mean_of_seen(run: dict[str, Any], metric: str) -> float | None:
  return statistics.summarise(
    [
      scores[metric]
      for emotion, scores in run["per_emotion"].items()
      if emotion not in run["unseen"]
    ]
  )["mean"]


def fill(section: Section, outcomes: dict[str, list[dict[str, Any]]]) -> Any:
  """The numbers of a section.

  Args:
    section: Of a table.
    outcomes: Row name to the runs that it shows (see `runs_of`).

  Returns:
    For JSON: `columns`, and `rows` with `name`, `paper` (fractions), `ours`
    (a summary per column) and, where there is a row to compare with,
    `difference` (a summary of the differences between runs of the same seed,
    fold and left-out emotions).
  """
  rows = []
  for row in section.rows:
    runs = outcomes.get(row.name)
    filled: dict[str, Any] = {
      "name": row.name,
      "program": row.program,
      "paper": [
        None if number is None else number / 100
        for number in row.paper or (None,) * len(section.columns)
      ],
      "ours": None,
    }
    if runs is not None:
      filled["ours"] = [
        statistics.summarise([column.value(run) for run in runs])
        for column in section.columns
      ]
      if section.against and row.name != section.against:
        filled["difference"] = [
          statistics.summarise(
            _differences(column, runs, outcomes[section.against])
          )
          for column in section.columns
        ]
    rows.append(filled)
  return {
    "title": section.title,
    "columns": [column.heading for column in section.columns],
    "rows": rows,
    "against": section.against,
  }


def check_sweeps(table: Table) -> None:
  """Makes sure that each row is of one setting of its program's sweep.

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


def runs_of(row: Row, outcome: dict[str, Any]) -> list[dict[str, Any]]:
  """The runs of a result that a row shows, as they were after its stage."""
  setting = row.setting
  if not setting and "settings" in outcome:
    setting = outcome["setting"]
  runs = [
    run
    for run in outcome["runs"]
    if all(run["setting"][key] == value for key, value in setting.items())
  ]
  if not row.stage:
    return runs
  return [
    {**run, **next(s for s in run["stages"] if s["stage"] == row.stage)}
    for run in runs
  ]


def _differences(
  column: Column,
  runs: Sequence[dict[str, Any]],
  others: Sequence[dict[str, Any]],
) -> list[float]:
  def by_key(
    runs: Sequence[dict[str, Any]],
  ) -> dict[tuple[Any, ...], float]:
    values = [(run, column.value(run)) for run in runs]
    return {
      (run["seed"], run["fold"], tuple(run["unseen"])): value
      for run, value in values
      if value is not None
    }

  ours, theirs = by_key(runs), by_key(others)
  return [ours[key] - theirs[key] for key in ours if key in theirs]


def markdown(content: dict[str, Any]) -> str:
  """The filled table as a page."""
  parts = [f"# {content['title']}", content["notes"]]
  parts.append(
    f"{content['dataset']['name']} (fingerprint"
    f" `{content['dataset']['fingerprint'][:12]}`), {content['split']} split."
    " Percent: mean over runs ± half of the 95 % interval of the mean; in"
    " brackets the paper's number, of its own features and one seed."
  )
  if content["failed"]:
    parts.append(f"Runs that failed and are left out: {content['failed']}.")
  for section in content["sections"]:
    parts.append(f"## {section['title']}")
    parts.append(tables.markdown_table(*cells(section, "ours")))
    if any("difference" in row for row in section["rows"]):
      parts.append(f"Difference to {section['against']}, run by run:")
      parts.append(tables.markdown_table(*cells(section, "difference")))
  return "\n\n".join(parts) + "\n"


def cells(
  section: dict[str, Any], what: str
) -> tuple[list[str], list[list[str]]]:
  """Heading and formatted rows of a filled section.

  Args:
    section: From `fill`.
    what: `ours` or `difference`.
  """
  rows = []
  for row in section["rows"]:
    if what == "difference" and what not in row:
      continue
    found = row[what] or [None] * len(section["columns"])
    printed = row["paper"] if what == "ours" else [None] * len(found)
    line = [row["name"]]
    for entry, paper in zip(found, printed, strict=True):
      text = "-" if entry is None else tables.percent(entry)
      line.append(text if paper is None else f"{text} [{100 * paper:.1f}]")
    rows.append(line)
  return ["", *section["columns"]], rows
