"""Results over runs: summaries with intervals, JSON and tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.table

from mmer_jax.core import metrics
from mmer_jax.evaluation import metric_names, statistics
from mmer_jax.experiment import records


def markdown(outcome: dict[str, Any]) -> str:
  """The result as a page: summary, emotions, confusion, runs."""
  parts = [
    f"# {outcome['system']}, {outcome['split']} split",
    (
      f"{outcome['dataset']['name']}"
      f" (fingerprint `{outcome['dataset']['fingerprint'][:12]}`), protocol"
      f" `{outcome['protocol']['split']}`, decision"
      f" `{outcome['protocol']['decision']}`, modalities"
      f" {' + '.join(outcome['protocol']['modalities'])}."
    ),
  ]
  parts.append(
    "Percent; mean over the runs that define the metric ± half of the 95 %"
    " interval of the mean."
  )
  if outcome["failed"]:
    parts.append(f"Runs that failed and are left out: {outcome['failed']}.")
  for heading, rows in _tables(outcome):
    parts.append(markdown_table(heading, rows))
  return "\n\n".join(parts) + "\n"


def to_rich(outcome: dict[str, Any]) -> rich.table.Table:
  """The summary as a table for the terminal."""
  heading, rows = _tables(outcome)[0]
  table = rich.table.Table(
    title=(
      f"{outcome['system']} on {outcome['dataset']['name']},"
      f" {outcome['split']} split"
    ),
    caption="percent, mean over runs ± half of the 95 % interval",
  )
  for index, title in enumerate(heading):
    table.add_column(title, justify="left" if index == 0 else "right")
  for row in rows:
    table.add_row(*row)
  return table


def percent(entry: dict[str, Any]) -> str:
  """A summary as text, `-` where there is none."""
  if entry["mean"] is None:
    return "-"
  text = f"{100 * entry['mean']:.1f}"
  if entry["ci95"][0] is None:
    return text
  return f"{text} ± {100 * (entry['ci95'][1] - entry['mean']):.1f}"


def _tables(
  outcome: dict[str, Any],
) -> list[tuple[list[str], list[list[str]]]]:
  """Heading and rows of every table, formatted."""
  runs = [r for r in outcome["runs"] if r["setting"] == outcome["setting"]]
  emotions = list(runs[0]["per_emotion"])
  summary = [
    [
      name,
      percent(outcome["summary"][name]),
      str(outcome["summary"][name]["n"]),
      percent(statistics.summarise([outcome["majority_baseline"][name]])),
    ]
    for name in metrics.NAMES
  ]
  each = []
  for emotion in emotions:
    scores = [run["per_emotion"][emotion] for run in runs]
    support = [s["support"] for s in scores if s["support"] is not None]
    each.append(
      [
        emotion,
        *(
          percent(statistics.summarise([s[name] for s in scores]))
          for name in metric_names.SHOWN
        ),
        f"{np.mean(support):.0f}" if support else "-",
      ]
    )
  tables = [
    (["metric", "mean", "runs", "majority"], summary),
    (["emotion", *metric_names.SHOWN, "support"], each),
  ]
  counted = [run["confusion"] for run in runs if run["confusion"] is not None]
  if counted:
    total = np.sum(counted, axis=0)
    share = 100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
    tables.append(
      (
        ["true \\ predicted, % of the true", *emotions],
        [
          [emotion, *(f"{value:.1f}" for value in row)]
          for emotion, row in zip(emotions, share, strict=True)
        ],
      )
    )
  if "robustness" in outcome:
    rows = [
      [name.replace("_", " "), percent(entry)]
      for name, entry in outcome["robustness"].items()
      if entry["mean"] is not None
    ]
    tables.append((["noise, check and proxies", "mean"], rows))
  if "settings" in outcome:
    tables.append(
      (
        ["setting", *metric_names.SHOWN],
        [
          [
            records.show(entry["setting"]),
            *(percent(entry["summary"][name]) for name in metric_names.SHOWN),
          ]
          for entry in outcome["settings"]
        ],
      )
    )
  if "words" in outcome:
    rows = [[name, word or "-"] for name, word in outcome["words"].items()]
    tables.append((["emotion", "best word on validation"], rows))
  if "unseen" in outcome:
    rows = []
    for entry in outcome["unseen"]:
      for emotion, scores in entry["per_emotion"].items():
        rows.append(
          [emotion, *(percent(scores[name]) for name in metric_names.SHOWN)]
        )
      rest = f"all but {', '.join(entry['emotions'])}"
      rows.append(
        [rest, *(percent(entry["rest"][name]) for name in metric_names.SHOWN)]
      )
    tables.append(
      (["left out of the source training", *metric_names.SHOWN], rows)
    )
  if "transfer" in outcome:
    tables.append(
      (
        ["weighted accuracy over tasks", "mean"],
        [
          [name.replace("_", " "), percent(entry)]
          for name, entry in outcome["transfer"].items()
        ],
      )
    )
  return tables


def markdown_table(
  heading: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
  """A table in Markdown, the first column to the left."""
  lines = [
    "| " + " | ".join(heading) + " |",
    "|---" + "|---:" * (len(heading) - 1) + "|",
  ]
  lines += ["| " + " | ".join(row) + " |" for row in rows]
  return "\n".join(lines)
