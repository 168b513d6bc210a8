"""Fills the report's tables over workdirs: the overview and papers' tables."""

from collections.abc import Collection, Sequence
from typing import Any

from mmer_jax.evaluation import metric_names, tables
from mmer_jax.reporting import page_tables
from mmer_jax.reporting import tables as paper_tables


def overview_tables(systems: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  """Makes one table of all workdirs for each split.

  Numbers of different splits never stand in one table: checkpoints are chosen
  on validation, so that its numbers are too good.

  Args:
    systems: What `page` knows of each workdir: `name`, `id`, and `results` by
      split.
  """
  overviews = []
  for split in ("test", "validation"):
    entries = [
      (system, system["results"][split])
      for system in systems
      if split in system["results"]
    ]
    # Metrics of emotions and of ratings have no column in common.
    kinds = dict.fromkeys(metric_names.shown(result) for _, result in entries)
    for shown in kinds:
      alike = [each for each in entries if metric_names.shown(each[1]) == shown]
      overviews.append({"split": split, "table": _overview(split, alike)})
  return overviews


def _overview(
  split: str, entries: Sequence[tuple[dict[str, Any], dict[str, Any]]]
) -> dict[str, Any]:
  """Makes the overview's table of one split."""
  best = _best([result for _, result in entries])
  first = entries[0][1]
  rated = first["protocol"]["decision"] == "regression"
  rows, above = [], 0
  for index, (system, result) in enumerate(entries):
    stands_out = {name for at, name in best if at == index}
    rows.append(
      {
        "name": system["name"],
        "link": system["id"],
        "note": f"{result['system']} on {result['dataset']['name']},"
        f" {page_tables.seen_modalities(result)}",
        "cells": _overview_cells(result, stands_out),
      }
    )
    above += 1
    following = entries[index + 1 :]
    if following and _same_baseline(result, following[0][1]):
      continue
    rows.append(_baseline_row(result, above))
    above = 0
  caption = (
    f"{tables.units(first)}, on the {split} split. Below the workdirs, what"
    f" always answering with the {'mean' if rated else 'most frequent class'}"
    " of their training rows would reach."
  )
  if best:
    caption += (
      " Bold: the best mean among workdirs of the same shards, protocol and"
      " emotions."
    )
  return {
    "kind": "wide",
    "label": f"All workdirs, {split} split",
    "caption": caption,
    "columns": [
      page_tables.column("workdir"),
      *page_tables.shown_columns(first),
      page_tables.column("runs", "Folds x seeds that finished."),
    ],
    "rows": rows,
  }


def _same_baseline(one: dict[str, Any], other: dict[str, Any]) -> bool:
  """Tells whether one row of the majority class stands for two results."""
  return one["dataset"] == other["dataset"] and (
    _baseline_cells(one) == _baseline_cells(other)
  )


def _baseline_cells(result: dict[str, Any]) -> list[str]:
  """Formats what the majority class reaches, as it is printed."""
  return [
    page_tables.cell(name, result["majority_baseline"][name])
    for name in metric_names.shown(result)
  ]


def _baseline_row(result: dict[str, Any], count: int) -> dict[str, Any]:
  """Makes the row of the majority class below the workdirs that it is of."""
  rated = result["protocol"]["decision"] == "regression"
  return {
    "name": "mean rating" if rated else "majority class",
    "kind": "baseline",
    "note": f"of the {count} workdirs above" if count > 1 else "",
    "cells": [*_baseline_cells(result), ""],
  }


def _overview_cells(
  result: dict[str, Any], best: Collection[str]
) -> list[dict[str, Any] | str]:
  """Formats a result for the overview; `best` names what stands out."""
  summary, shown = result["summary"], metric_names.shown(result)
  return [
    *(
      {"text": tables.show(name, summary[name]), "best": name in best}
      for name in shown
    ),
    _runs_text(summary[shown[0]]["n"], len(page_tables.chosen_runs(result))),
  ]


def _runs_text(finished: int, count: int) -> str:
  return str(count) if finished == count else f"{finished} of {count}"


def _best(results: Sequence[dict[str, Any]]) -> set[tuple[int, str]]:
  """Finds the best results among those that can be compared.

  Args:
    results: Results of one split.

  Returns:
    Index and metric of each.
  """
  groups: dict[tuple[Any, ...], list[int]] = {}
  for index, result in enumerate(results):
    protocol = result["protocol"]
    key = (
      result["split"],
      result["dataset"]["fingerprint"],
      protocol["split"],
      protocol.get("k", 5),
      protocol.get("split_digest", ""),
      repr(protocol.get("folds")),
      repr(protocol.get("unseen")),
      protocol["decision"],
      tuple(protocol["emotions"]),
    )
    groups.setdefault(key, []).append(index)
  best = set()
  for members in groups.values():
    if len(members) < 2:
      continue
    for name in metric_names.shown(results[members[0]]):
      means = {
        index: results[index]["summary"][name]["mean"] for index in members
      }
      known = [mean for mean in means.values() if mean is not None]
      if len(known) > 1:
        up = metric_names.METRICS[name].higher_is_better
        top = max(known) if up else min(known)
        best |= {(index, name) for index in members if means[index] == top}
  return best


def paper_table(content: dict[str, Any]) -> dict[str, Any]:
  """Sets our numbers beside those of a paper's table.

  Args:
    content: The content of a `table.json`.
  """
  with_paper = paper_tables.is_comparable(content)
  return {
    "title": content["title"],
    "notes": content["notes"],
    "split": content["split"],
    "with_paper": with_paper,
    "dataset": content["dataset"],
    "failed": paper_tables.failures(content),
    "sections": [
      _section(section, with_paper) for section in content["sections"]
    ],
  }


def _section(section: dict[str, Any], with_paper: bool) -> dict[str, Any]:
  """Sets our numbers beside the paper's in one section of a table.

  A section with more columns than rows is turned: a page is narrow, and long.
  """
  names = [row["name"] for row in section["rows"]]
  cells = [_paper_cells(row, with_paper) for row in section["rows"]]
  columns = section["columns"]
  turned = len(columns) > len(names)
  if turned:
    names, columns = columns, names
    cells = [list(line) for line in zip(*cells, strict=True)]
  return {
    "title": section["title"],
    "corner": "score" if turned else "row",
    "columns": columns,
    "printed": [
      any(line[at]["paper"] for line in cells) for at in range(len(columns))
    ],
    "rows": [
      {"name": name, "cells": line}
      for name, line in zip(names, cells, strict=True)
    ],
    "differences": _difference_table(section, turned),
  }


def _paper_cells(row: dict[str, Any], with_paper: bool) -> list[dict[str, str]]:
  ours = row["ours"] or [None] * len(row["paper"])
  return [
    {
      "ours": "" if entry is None else tables.percent(entry),
      "paper": page_tables.percent_cell(paper)
      if with_paper and paper is not None
      else "",
    }
    for entry, paper in zip(ours, row["paper"], strict=True)
  ]


def _difference_table(
  section: dict[str, Any], turned: bool
) -> dict[str, Any] | None:
  """Makes the table of paired differences; None where there are none."""
  heading, rows = paper_tables.cells(section, "difference")
  if not rows:
    return None
  heading[0] = "row"
  if turned:
    heading, *rows = [list(line) for line in zip(heading, *rows, strict=True)]
    heading[0] = "score"
  return {
    "caption": f"Difference to {section['against']} in percentage points, run"
    " by run: same seed, fold and left-out emotions",
    "columns": list(map(page_tables.column, heading)),
    "rows": [{"name": row[0], "cells": row[1:]} for row in rows],
  }
