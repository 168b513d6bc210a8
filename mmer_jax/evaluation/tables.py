"""Formats a result as tables, in Markdown and for the terminal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.table

from mmer_jax.core import metrics
from mmer_jax.evaluation import metric_names, statistics
from mmer_jax.experiment import records

# A heading, and rows of formatted cells.
Table = tuple[list[str], list[list[str]]]


def markdown(result: dict[str, Any]) -> str:
  """Formats a result as a page: summary, emotions, confusion, settings."""
  dataset, protocol = result["dataset"], result["protocol"]
  parts = [
    f"# {result['system']}, {result['split']} split",
    f"{dataset['name']} (fingerprint `{dataset['fingerprint'][:12]}`), protocol"
    f" `{protocol['split']}`, decision `{protocol['decision']}`, modalities"
    f" {' + '.join(protocol['modalities'])}.",
    "Percent; mean over the runs that define the metric ± half of the 95 %"
    " interval of the mean.",
  ]
  parts += failures(result)
  parts += [f"Note: {sentence}." for sentence in result.get("warnings", ())]
  for heading, rows in _tables(result):
    parts.append(markdown_table(heading, rows))
  return "\n\n".join(parts) + "\n"


def to_rich(result: dict[str, Any]) -> rich.table.Table:
  """Formats the summary of a result for the terminal."""
  heading, rows = summary(result)
  table = rich.table.Table(
    title=(
      f"{result['system']} on {result['dataset']['name']},"
      f" {result['split']} split"
    ),
    caption="percent, mean over runs ± half of the 95 % interval",
  )
  for index, title in enumerate(heading):
    table.add_column(title, justify="left" if index == 0 else "right")
  for row in rows:
    table.add_row(*row)
  return table


def failures(result: dict[str, Any]) -> list[str]:
  """Says which runs failed and why; nothing where none did."""
  if not result["failed"]:
    return []
  reasons = {
    run["run"]: run.get("failure") or f"step {run['failed_step']}"
    for run in result["runs"]
    if run["run"] in result["failed"]
  }
  each = "; ".join(f"run {run}: {reason}" for run, reason in reasons.items())
  return [f"Runs that failed and are left out: {result['failed']} ({each})."]


def percent(entry: dict[str, Any]) -> str:
  """Formats a summary in percent, `-` where there is none."""
  if entry["mean"] is None:
    return "-"
  text = f"{100 * entry['mean']:.1f}"
  low, high = entry["ci95"]
  if low is None:
    return text
  above, below = high - entry["mean"], entry["mean"] - low
  if abs(above - below) > 1e-9:
    # Cut where a share ends.
    return f"{text} ({100 * low:.1f} to {100 * high:.1f})"
  return f"{text} ± {100 * above:.1f}"


def markdown_table(
  heading: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
  """Formats a table in Markdown, the first column to the left."""
  lines = [
    "| " + " | ".join(heading) + " |",
    "|---" + "|---:" * (len(heading) - 1) + "|",
  ]
  lines += ["| " + " | ".join(row) + " |" for row in rows]
  return "\n".join(lines)


def _tables(result: dict[str, Any]) -> list[Table]:
  """Formats every table that the result has content for."""
  tables = [summary(result), per_emotion(result)]
  if any(run["confusion"] is not None for run in _chosen_runs(result)):
    tables.append(_confusion(result))
  for part, make in (
    ("robustness", _robustness),
    ("settings", _settings),
    ("words", _words),
    ("unseen", _unseen),
    ("transfer", _transfer),
  ):
    if part in result:
      tables.append(make(result))
  return tables


def _chosen_runs(result: dict[str, Any]) -> list[dict[str, Any]]:
  """Picks the runs of the setting that the result shows."""
  return [run for run in result["runs"] if run["setting"] == result["setting"]]


def _shown(entry: dict[str, Any]) -> list[str]:
  """Formats the shown metrics of a summary."""
  return [percent(entry[name]) for name in metric_names.SHOWN]


def summary(result: dict[str, Any]) -> Table:
  """Formats every metric over runs, beside the majority baseline."""
  rows = [
    [
      name,
      percent(result["summary"][name]),
      str(result["summary"][name]["n"]),
      percent(statistics.summarise([result["majority_baseline"][name]])),
    ]
    for name in metrics.NAMES
  ]
  return ["metric", "mean", "runs", "majority"], rows


def per_emotion(result: dict[str, Any]) -> Table:
  """Formats the shown metrics of each emotion over runs."""
  runs, rows = _chosen_runs(result), []
  for emotion in runs[0]["per_emotion"]:
    scores = [run["per_emotion"][emotion] for run in runs]
    support = [s["support"] for s in scores if s["support"] is not None]
    summaries = {
      name: statistics.summarise_shares([s[name] for s in scores])
      for name in metric_names.SHOWN
    }
    mean_support = f"{np.mean(support):.0f}" if support else "-"
    rows.append([emotion, *_shown(summaries), mean_support])
  return ["emotion", *metric_names.SHOWN, "support"], rows


def _confusion(result: dict[str, Any]) -> Table:
  """Formats the confusion of the emotions, all runs together."""
  runs = _chosen_runs(result)
  emotions = list(runs[0]["per_emotion"])
  counts = [run["confusion"] for run in runs if run["confusion"] is not None]
  total = np.sum(counts, axis=0)
  share = 100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
  rows = [
    [emotion, *(f"{value:.1f}" for value in row)]
    for emotion, row in zip(emotions, share, strict=True)
  ]
  return ["true \\ predicted, % of the true", *emotions], rows


def _robustness(result: dict[str, Any]) -> Table:
  """Formats what noise, check and proxies did."""
  rows = [
    [name.replace("_", " "), percent(entry)]
    for name, entry in result["robustness"].items()
    if entry["mean"] is not None
  ]
  return ["noise, check and proxies", "mean"], rows


def _settings(result: dict[str, Any]) -> Table:
  """Formats the shown metrics of each setting of a sweep."""
  rows = [
    [records.show(entry["setting"]), *_shown(entry["summary"])]
    for entry in result["settings"]
  ]
  return ["setting", *metric_names.SHOWN], rows


def _words(result: dict[str, Any]) -> Table:
  """Formats the best word of each emotion."""
  rows = [[name, word or "-"] for name, word in result["words"].items()]
  return ["emotion", "best word on validation"], rows


def _unseen(result: dict[str, Any]) -> Table:
  """Formats the emotions that source training left out, and the others."""
  rows = []
  for entry in result["unseen"]:
    for emotion, scores in entry["per_emotion"].items():
      rows.append([emotion, *_shown(scores)])
    rest = f"all but {', '.join(entry['emotions'])}"
    rows.append([rest, *_shown(entry["rest"])])
  return ["left out of the source training", *metric_names.SHOWN], rows


def _transfer(result: dict[str, Any]) -> Table:
  """Formats the transfer between emotions that were learnt in turn."""
  rows = [
    [name.replace("_", " "), percent(entry)]
    for name, entry in result["transfer"].items()
  ]
  return ["weighted accuracy over tasks", "mean"], rows
