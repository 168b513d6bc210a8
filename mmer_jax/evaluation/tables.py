"""Formats a result as tables, in Markdown and for the terminal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.table

from mmer_jax.evaluation import hierarchical, metric_names, statistics
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
    f"{units(result)}; mean over the runs that define the metric ± half of the"
    " 95 % interval of the mean, Student's of all runs.",
  ]
  parts += [*failures(result), *about_intervals(result), *about_texts(result)]
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
    caption=f"{units(result).replace('Percent', 'percent')}, mean over runs ±"
    " half of the 95 % interval",
  )
  for index, title in enumerate(heading):
    # A name that is too long goes on below: nobody can look up half of it.
    left = {"justify": "left", "overflow": "fold"} if index == 0 else {}
    table.add_column(title, **{"justify": "right"} | left)
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


def about_intervals(result: dict[str, Any]) -> list[str]:
  """Says what the hierarchical interval of a result is of, and is not."""
  first = metric_names.measured(result)[0]
  made = result["summary"][first].get("hierarchy")
  return [hierarchical.explain(made)] if made else []


def about_texts(result: dict[str, Any]) -> list[str]:
  """Says how many of the scored texts the training has, where words count."""
  overlap = result.get("text_overlap")
  if not overlap or "lexical" not in result["protocol"]["modalities"]:
    return []
  every, long = (
    overlap["total"][name] for name in ("all", "five_words_or_more")
  )
  sentence = (
    f"Of {every['utterances']} {result['split']} utterances with a text"
    f" {100 * every['share']:.1f} % stand word for word in the training rows"
  )
  if long["utterances"]:
    sentence += (
      f", of the {long['utterances']} of five words or more"
      f" {100 * long['share']:.1f} %"
    )
  return [
    f"{sentence}: what the words reach is in part what was learnt by heart."
  ]


def percent_over_folds(entry: dict[str, Any], name: str = "accuracy") -> str:
  """Formats the hierarchical interval of a summary, `-` where there is none.

  Args:
    entry: The summary.
    name: The metric: not all are in percent.
  """
  if not entry.get("hierarchy") or entry["ci95_hierarchical"][0] is None:
    return "-"
  mean, ends = entry["hierarchy"]["mean"], entry["ci95_hierarchical"]
  return show(name, {"mean": mean, "ci95": ends})


def show(name: str, entry: dict[str, Any]) -> str:
  """Formats a summary of a metric: a share in percent, others as they are."""
  return percent(entry) if metric_names.METRICS[name].share else number(entry)


def percent(entry: dict[str, Any]) -> str:
  """Formats a summary in percent, `-` where there is none."""
  return _with_interval(entry, 100, 1)


def number(entry: dict[str, Any]) -> str:
  """Formats a summary as a number, `-` where there is none."""
  return _with_interval(entry, 1, 3)


def _with_interval(entry: dict[str, Any], factor: int, digits: int) -> str:
  """Formats the mean of a summary and its interval."""
  if entry["mean"] is None:
    return "-"
  text = f"{factor * entry['mean']:.{digits}f}"
  low, high = entry["ci95"]
  if low is None:
    return text
  above, below = high - entry["mean"], entry["mean"] - low
  if abs(above - below) > 1e-9:
    # Cut where a share ends.
    ends = (f"{factor * end:.{digits}f}" for end in (low, high))
    return f"{text} ({' to '.join(ends)})"
  return f"{text} ± {factor * above:.{digits}f}"


def baseline(result: dict[str, Any]) -> str:
  """Names the answer that learns nothing, in the heading of a column."""
  rated = result["protocol"]["decision"] == "regression"
  return "mean rating" if rated else "majority"


def units(result: dict[str, Any]) -> str:
  """Says what the numbers of a result are in."""
  if result["protocol"]["decision"] == "regression":
    return (
      "MAE in the ratings' units, correlations from -1 to 1, the rest in"
      " percent"
    )
  return "Percent"


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


def _shown(names: Sequence[str], entry: dict[str, Any]) -> list[str]:
  """Formats the shown metrics of a summary."""
  return [show(name, entry[name]) for name in names]


def summary(result: dict[str, Any]) -> Table:
  """Formats every metric over runs, beside the baseline."""
  rows = [
    [
      name,
      show(name, result["summary"][name]),
      percent_over_folds(result["summary"][name], name),
      str(result["summary"][name]["n"]),
      show(name, statistics.summarise([result["majority_baseline"][name]])),
    ]
    for name in metric_names.measured(result)
  ]
  return ["metric", "mean", "over folds", "runs", baseline(result)], rows


def per_emotion(result: dict[str, Any]) -> Table:
  """Formats the shown metrics of each emotion over runs."""
  runs, rows = _chosen_runs(result), []
  shown = metric_names.shown(result)
  for emotion in runs[0]["per_emotion"]:
    scores = [run["per_emotion"][emotion] for run in runs]
    support = [s["support"] for s in scores if s["support"] is not None]
    summaries = {
      name: metric_names.summarise(name, [s[name] for s in scores])
      for name in shown
    }
    mean_support = f"{np.mean(support):.0f}" if support else "-"
    rows.append([emotion, *_shown(shown, summaries), mean_support])
  what = "emotion" if shown == metric_names.SHOWN else "rating"
  return [what, *shown, "support"], rows


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
  shown = metric_names.shown(result)
  rows = [
    [records.show(entry["setting"]), *_shown(shown, entry["summary"])]
    for entry in result["settings"]
  ]
  return ["setting", *shown], rows


def _words(result: dict[str, Any]) -> Table:
  """Formats the best word of each emotion."""
  rows = [[name, word or "-"] for name, word in result["words"].items()]
  return ["emotion", "best word on validation"], rows


def _unseen(result: dict[str, Any]) -> Table:
  """Formats the emotions that source training left out, and the others."""
  rows = []
  for entry in result["unseen"]:
    for emotion, scores in entry["per_emotion"].items():
      rows.append([emotion, *_shown(metric_names.SHOWN, scores)])
    rest = f"all but {', '.join(entry['emotions'])}"
    rows.append([rest, *_shown(metric_names.SHOWN, entry["rest"])])
  return ["left out of the source training", *metric_names.SHOWN], rows


def _transfer(result: dict[str, Any]) -> Table:
  """Formats the transfer between emotions that were learnt in turn."""
  rows = [
    [name.replace("_", " "), percent(entry)]
    for name, entry in result["transfer"].items()
  ]
  return ["weighted accuracy over tasks", "mean"], rows
