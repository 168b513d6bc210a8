"""Formats a filled table of a paper, in Markdown and for the terminal."""

from typing import Any

import rich.table
import rich.text

from mmer_jax.evaluation import hierarchical
from mmer_jax.evaluation import tables as result_tables


def markdown(content: dict[str, Any]) -> str:
  """Formats a filled table as a page of Markdown.

  Args:
    content: The content of `table.json`.
  """
  dataset = content["dataset"]
  parts = [f"# {content['title']}", content["notes"]]
  parts.append(
    f"{dataset['name']} (fingerprint `{dataset['fingerprint'][:12]}`),"
    f" {content['split']} split. Percent: mean over runs ± half of the 95 %"
    " interval of the mean, or (from to) where 0 or 100 cuts it;"
    f" {about_paper(content)}."
  )
  parts += [*failures(content), *content.get("texts", ())]
  for section in content["sections"]:
    parts.append(f"## {section['title']}")
    lines = cells(section, "ours", with_paper=is_comparable(content))
    parts.append(result_tables.markdown_table(*lines))
    if any("difference" in row for row in section["rows"]):
      parts.append(f"Difference to {section['against']}, run by run:")
      parts.append(result_tables.markdown_table(*cells(section, "difference")))
      parts += [about_comparisons(section)]
      parts.append(result_tables.markdown_table(*tested(section)))
  return "\n\n".join(parts) + "\n"


def about_comparisons(section: dict[str, Any]) -> str:
  """Says what the tests of a section are of, and how many they are.

  Args:
    section: A section of `table.json` with differences.
  """
  made = next(
    (
      entry["hierarchy"]
      for row in section["rows"]
      for entry in row.get("difference", ())
      if entry.get("hierarchy")
    ),
    None,
  )
  count = section.get("comparisons", 0)
  sentence = (
    f"The same differences with p-values for {count} comparisons,"
    " Holm-adjusted: where those below 0.05 are called different, the chance"
    " that one of them all is not is at most 5 %."
  )
  return f"{sentence} {hierarchical.explain(made)}" if made else sentence


def tested(section: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
  """Formats the differences of a section over folds, with adjusted p-values.

  Args:
    section: A section of `table.json` with differences.
  """
  rows = []
  for row in section["rows"]:
    if "difference" in row:
      line = [tested_cell(entry) for entry in row["difference"]]
      rows.append([row["name"], *line])
  return ["", *section["columns"]], rows


def tested_cell(entry: dict[str, Any]) -> str:
  """Formats a difference over folds and its adjusted p-value."""
  text = result_tables.percent_over_folds(entry)
  p = entry.get("p_holm")
  if p is None:
    return text
  return f"{text}, p {p:.3f}" if p >= 0.001 else f"{text}, p < 0.001"


def is_comparable(content: dict[str, Any]) -> bool:
  """Tells whether the paper's numbers may stand beside ours.

  Its numbers are of a test split. Ours on validation, by which checkpoints were
  chosen, are too good.
  """
  return content["split"] == "test"


def about_paper(content: dict[str, Any]) -> str:
  """Says where the paper's numbers are: part of a sentence."""
  if is_comparable(content):
    return (
      "in square brackets the paper's number, of its own features and one seed"
    )
  return (
    "the paper's numbers, of its test split, are left out: those of the"
    f" {content['split']} split cannot be compared with them"
  )


def failures(content: dict[str, Any]) -> list[str]:
  """Names the runs that failed: a sentence for each program that has any.

  Args:
    content: The content of `table.json`.
  """
  return [
    f"{name}: {len(runs)} of {content['programs'][name]['runs']} runs failed"
    f" and are left out: {', '.join(map(str, runs))}."
    for name, runs in content["failed"].items()
  ]


def to_rich(content: dict[str, Any]) -> list[rich.table.Table]:
  """Formats the sections of a filled table for the terminal."""
  tables = []
  for section in content["sections"]:
    table = rich.table.Table(
      title=_plain(f"{content['title']}: {section['title']}"),
      caption=_plain(
        "percent ± half of the 95 % interval of the mean;"
        f" {about_paper(content)}"
      ),
    )
    heading, rows = cells(section, "ours", with_paper=is_comparable(content))
    lines = [heading, *rows]
    if len(heading) > len(lines):
      # A terminal is narrow, and long.
      lines = [list(line) for line in zip(*lines, strict=True)]
    for index, title in enumerate(lines[0]):
      justify = "left" if index == 0 else "right"
      table.add_column(_plain(title), justify=justify)
    for line in lines[1:]:
      table.add_row(*map(_plain, line))
    tables.append(table)
  return tables


def _plain(text: str) -> rich.text.Text:
  """Keeps rich from taking brackets for its markup."""
  return rich.text.Text(text)


def cells(
  section: dict[str, Any], numbers: str, *, with_paper: bool = False
) -> tuple[list[str], list[list[str]]]:
  """Formats the heading and the rows of a filled section.

  Args:
    section: A section of `table.json`, from `published.fill`.
    numbers: `ours` or `difference`.
    with_paper: Whether the paper's numbers follow in brackets.
  """
  rows = []
  for row in section["rows"]:
    if numbers == "difference" and "difference" not in row:
      continue
    entries = row[numbers] or [None] * len(section["columns"])
    printed = row["paper"] if with_paper else [None] * len(entries)
    line = [row["name"]]
    for entry, paper in zip(entries, printed, strict=True):
      text = "-" if entry is None else result_tables.percent(entry)
      line.append(text if paper is None else f"{text} [{100 * paper:.1f}]")
    rows.append(line)
  return ["", *section["columns"]], rows
