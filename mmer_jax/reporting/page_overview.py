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
    if entries:
      overviews.append({"split": split, "table": _overview(split, entries)})
  return overviews


def _overview(
  split: str, entries: Sequence[tuple[dict[str, Any], dict[str, Any]]]
) -> dict[str, Any]:
  """Makes the overview's table of one split."""
  best = _best([result for _, result in entries])
  rows = []
  for index, (system, result) in enumerate(entries):
    stands_out = {name for at, name in best if at == index}
    rows.append(
      {
        "name": system["name"],
        "link": system["id"],
        "cells": _overview_cells(result, stands_out),
      }
    )
    baseline = [
      page_tables.percent_cell(result["majority_baseline"][name])
      for name in metric_names.SHOWN
    ]
    rows.append(
      {
        "name": "majority class",
        "kind": "baseline",
        "cells": [*baseline, "", "", "", ""],
      }
    )
  caption = (
    f"Percent on the {split} split. Below each workdir, what always answering"
    " with the most frequent class of its training rows would reach."
  )
  if best:
    caption += (
      " Bold: the best mean among workdirs of the same shards, protocol and"
      " emotions."
    )
  return {
    "label": f"All workdirs, {split} split",
    "caption": caption,
    "columns": [
      page_tables.column("workdir"),
      *page_tables.metric_columns(),
      page_tables.column("runs", "Folds x seeds that finished."),
      page_tables.column("system", kind="text"),
      page_tables.column("data", kind="text"),
      page_tables.column("modalities", kind="text"),
    ],
    "rows": rows,
  }


def _overview_cells(
  result: dict[str, Any], best: Collection[str]
) -> list[dict[str, Any] | str]:
  """Formats a result for the overview; `best` names what stands out."""
  summary = result["summary"]
  texts = (
    result["system"],
    result["dataset"]["name"],
    page_tables.seen_modalities(result),
  )
  return [
    *(
      {"text": tables.percent(summary[name]), "best": name in best}
      for name in metric_names.SHOWN
    ),
    _runs_text(summary["accuracy"]["n"], len(page_tables.chosen_runs(result))),
    *({"text": text, "kind": "text"} for text in texts),
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
    for name in metric_names.SHOWN:
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
  sections = []
  with_paper = paper_tables.is_comparable(content)
  for section in content["sections"]:
    printed = [
      with_paper
      and any(row["paper"][at] is not None for row in section["rows"])
      for at in range(len(section["columns"]))
    ]
    differences = None
    if any("difference" in row for row in section["rows"]):
      differences = _difference_table(section)
    sections.append(
      {
        "title": section["title"],
        "columns": section["columns"],
        "printed": printed,
        "rows": [
          {"name": row["name"], "cells": _paper_cells(row)}
          for row in section["rows"]
        ],
        "differences": differences,
      }
    )
  return {
    "title": content["title"],
    "notes": content["notes"],
    "split": content["split"],
    "with_paper": with_paper,
    "dataset": content["dataset"],
    "failed": paper_tables.failures(content),
    "sections": sections,
  }


def _paper_cells(row: dict[str, Any]) -> list[dict[str, str]]:
  ours = row["ours"] or [None] * len(row["paper"])
  return [
    {
      "ours": "" if entry is None else tables.percent(entry),
      "paper": "" if paper is None else page_tables.percent_cell(paper),
    }
    for entry, paper in zip(ours, row["paper"], strict=True)
  ]


def _difference_table(section: dict[str, Any]) -> dict[str, Any]:
  heading, rows = paper_tables.cells(section, "difference")
  return {
    "caption": f"Difference to {section['against']} in percentage points, run"
    " by run: same seed, fold and left-out emotions",
    "columns": [
      page_tables.column("row"),
      *map(page_tables.column, heading[1:]),
    ],
    "rows": [{"name": row[0], "cells": row[1:]} for row in rows],
  }
