"""Results over runs: summaries with intervals, JSON and tables."""

import functools
import math
import platform
from collections.abc import Sequence
from typing import Any

import flax
import jax
import jaxlib
import numpy as np
import optax
import orbax.checkpoint
import rich.table

import mmer_jax
from mmer_jax import layout, metrics

# The columns of the emotions' table; of one emotion, the mean accuracy is its
# accuracy.
_SHOWN = (
  "accuracy",
  "unweighted_accuracy",
  "weighted_accuracy",
  "f1",
  "weighted_f1",
  "auc",
  "weighted_average_precision",
)


@functools.cache
def t_quantile(degrees: int) -> float:
  """The 0.975 quantile of Student's t: half the width of a 95 % interval.

  Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4: P(|T| < t) is a finite
  sum where the degrees of freedom are whole. It is inverted by bisection.

  Args:
    degrees: Of freedom, at least 1.
  """

  def within(t: float) -> float:
    angle = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2
    term, total = 1.0, 0.0
    for j in range(degrees // 2):
      total += term
      # 2/3, 4/5, ... where the degrees are odd, 1/2, 3/4, ... where even.
      term *= (2 * j + 1 + odd) / (2 * j + 2 + odd) * cosine * cosine
    total *= math.sin(angle)
    return 2 / math.pi * (angle + cosine * total) if odd else total

  low, high = 0.0, 16.0
  while high - low > 1e-13 * high:
    middle = (low + high) / 2
    low, high = (middle, high) if within(middle) < 0.95 else (low, middle)
  return (low + high) / 2


def summarise(values: Sequence[float | None]) -> dict[str, Any]:
  """Mean, sample standard deviation and 95 % interval of the mean.

  The interval is Student's; with one value there is none. Values that are
  None (undefined, or of a failed run) are left out and not counted.
  """
  known = [value for value in values if value is not None]
  n = len(known)
  if not n:
    return {"mean": None, "std": None, "ci95": [None, None], "n": 0}
  mean = float(np.mean(known))
  if n == 1:
    return {"mean": mean, "std": None, "ci95": [None, None], "n": 1}
  std = float(np.std(known, ddof=1))
  half = t_quantile(n - 1) * std / n**0.5
  return {"mean": mean, "std": std, "ci95": [mean - half, mean + half], "n": n}


def run_result(
  *,
  run: int,
  seed: int,
  fold: str,
  setting: layout.Setting,
  unseen: Sequence[str],
  taught: np.ndarray,
  select: str,
  emotions: Sequence[str],
  decision: str,
  probs: np.ndarray,
  labels: np.ndarray,
  threshold: float | np.ndarray,
  failed_step: int | None,
) -> dict[str, Any]:
  """Scores one run.

  A metric is None where no emotion defines it, and of a run that failed.
  `selection` is the metric that training selects by, of the emotions that the
  run was taught (`taught`, (k,) bool): what a sweep is decided on. Accuracy
  stands in for the loss, which is no metric of a result. Counts are in
  `confusion` (softmax) or `decisions` (binary).
  """
  probs = np.asarray(probs, np.float64)
  labels = np.asarray(labels, np.float64)
  mask = np.ones(len(labels), bool)
  overall = metrics.score(decision, probs, labels, threshold)
  each = metrics.per_emotion(decision, probs, labels, mask, threshold)
  confusion, decisions = None, None
  if decision == "softmax" and failed_step is None:
    confusion = metrics.confusion(probs, labels, mask).astype(int).tolist()
  if decision == "binary" and failed_step is None:
    decisions = metrics.decisions(probs, labels, threshold).tolist()
  return {
    "run": run,
    "seed": seed,
    "fold": fold,
    "setting": setting,
    "failed_step": failed_step,
    "examples": len(labels),
    "metrics": {
      name: None if failed_step is not None else value
      for name, value in overall.items()
    },
    "per_emotion": {
      emotion: {
        name: _number(values[index]) if failed_step is None else None
        for name, values in each.items()
      }
      for index, emotion in enumerate(emotions)
    },
    "confusion": confusion,
    "decisions": decisions,
    "unseen": list(unseen),
    "selection": None
    if failed_step is not None
    else float(
      metrics.compute(
        decision, probs, labels, mask, threshold, emotions=taught
      )["accuracy" if select == "loss" else select]
    ),
  }


def build(
  *,
  system: str,
  config_sha256: str,
  dataset: dict[str, str],
  split: str,
  protocol: dict[str, Any],
  select: str,
  runs: Sequence[dict[str, Any]],
  baselines: Sequence[dict[str, float | None]],
) -> dict[str, Any]:
  """The content of a results file.

  `summary` is over the runs of one setting. Where a sweep made several,
  `settings` holds the summary of each, and `summary` is the first one's until
  `choose` picks another.

  Args:
    system: Its name.
    config_sha256: Digest of the config.
    dataset: Name and fingerprint of the shards.
    split: Which rows were scored.
    protocol: How they were split and judged.
    select: The metric by which training selects.
    runs: From `run_result`.
    baselines: Of every run, from `metrics.majority_baseline`.
  """
  settings: list[layout.Setting] = []
  for run in runs:
    if run["setting"] not in settings:
      settings.append(run["setting"])
  summaries = [
    {
      "setting": setting,
      "summary": _summary([r for r in runs if r["setting"] == setting]),
    }
    for setting in settings
  ]
  outcome = {
    "system": system,
    "config_sha256": config_sha256,
    "dataset": dataset,
    "split": split,
    "protocol": protocol,
    "select": select,
    "runs": list(runs),
    "summary": summaries[0]["summary"],
    "setting": settings[0],
    "majority_baseline": {
      name: summarise([baseline[name] for baseline in baselines])["mean"]
      for name in metrics.NAMES
    },
    "failed": [r["run"] for r in runs if r["failed_step"] is not None],
    "environment": environment(),
  }
  if len(settings) > 1:
    outcome["settings"] = summaries
  return {
    **outcome,
    **_low_resource(runs, settings[0]),
    **_robustness(runs, settings[0]),
  }


def choose(outcome: dict[str, Any], setting: layout.Setting) -> dict[str, Any]:
  """Makes another setting's summary the one of the result."""
  (found,) = [
    entry["summary"]
    for entry in outcome["settings"]
    if entry["setting"] == setting
  ]
  return {
    **outcome,
    "summary": found,
    "setting": setting,
    **_low_resource(outcome["runs"], setting),
    **_robustness(outcome["runs"], setting),
  }


def transfer(
  stages: Sequence[dict[str, Any]],
  untrained: dict[str, Any],
  emotions: Sequence[str],
  unseen: Sequence[str],
) -> dict[str, Any]:
  """How learning new emotions one by one changes what is known of others.

  Source: Lopez-Paz and Ranzato 2017, Eq. 2 to 4. Task 0 is the source
  emotions, each other one of the new emotions; what is measured is the
  weighted accuracy, of the source emotions their mean.

  Args:
    stages: `per_emotion` of the run after each stage.
    untrained: The same before the first.
    emotions: All.
    unseen: The new ones, in the order in which they are learnt.

  Returns:
    `matrix` R, R[i][j] of task j after stage i; `initial` b, the same before
    training; `average` over the tasks in the end, `backward_transfer`,
    `forward_transfer`.
  """
  tasks = [[name for name in emotions if name not in unseen]]
  tasks += [[name] for name in unseen]

  def row(scores: dict[str, Any]) -> list[float | None]:
    return [
      summarise([scores[name]["weighted_accuracy"] for name in task])["mean"]
      for task in tasks
    ]

  def mean(pairs: Sequence[tuple[Any, Any]]) -> float | None:
    """Of the differences."""
    if any(value is None for pair in pairs for value in pair):
      return None
    return float(np.mean([a - b for a, b in pairs]))

  matrix, initial = [row(scores) for scores in stages], row(untrained)
  later = range(1, len(tasks))
  return {
    "tasks": [" ".join(task) for task in tasks],
    "matrix": matrix,
    "initial": initial,
    "average": mean([(value, 0.0) for value in matrix[-1]]),
    "backward_transfer": mean(
      [(matrix[-1][j - 1], matrix[j - 1][j - 1]) for j in later]
    ),
    "forward_transfer": mean([(matrix[j - 1][j], initial[j]) for j in later]),
  }


def best_setting(outcome: dict[str, Any]) -> layout.Setting:
  """The setting with the best mean of the runs' `selection`."""

  def value(entry: dict[str, Any]) -> float:
    runs = [r for r in outcome["runs"] if r["setting"] == entry["setting"]]
    mean = summarise([run["selection"] for run in runs])["mean"]
    return -1.0 if mean is None else mean

  return max(outcome["settings"], key=value)["setting"]


def best_words(outcome: dict[str, Any]) -> dict[str, str]:
  """The best form of each emotion's word, of those that a sweep tried.

  Source: Dai et al. 2020, section 6.2: the forms of each emotion are tried and
  the best is kept. An emotion is judged by its own selection metric in the runs
  that were taught it, so that the form of an unseen one is not chosen.

  Returns:
    Emotion to word, `""` for the one of the shards. Emotions for which no
    setting names a form are left out.
  """
  select = outcome["select"]
  select = "accuracy" if select == "loss" else select
  tried: dict[str, dict[str, list[float]]] = {}
  for run in outcome["runs"]:
    forms = dict(
      form.split("=", 1) for form in run["setting"]["words"].split(",") if form
    )
    for emotion, scores in run["per_emotion"].items():
      if emotion not in run["unseen"] and scores[select] is not None:
        words = tried.setdefault(emotion, {})
        words.setdefault(forms.get(emotion, ""), []).append(scores[select])
  return {
    emotion: max(words, key=lambda word: float(np.mean(words[word])))
    for emotion, words in tried.items()
    if len(words) > 1
  }


def environment() -> dict[str, Any]:
  """Versions and devices; nothing that names the machine or its user."""
  devices = jax.devices()
  return {
    "python": platform.python_version(),
    "mmer_jax": mmer_jax.__version__,
    "jax": jax.__version__,
    "jaxlib": jaxlib.__version__,
    "flax": flax.__version__,
    "optax": optax.__version__,
    "orbax": orbax.checkpoint.__version__,
    "numpy": np.__version__,
    "platform": platform.system(),
    "devices": len(devices),
    "device_kind": devices[0].device_kind,
  }


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


def _robustness(
  runs: Sequence[dict[str, Any]], setting: layout.Setting
) -> dict[str, Any]:
  """Summaries of what noise, check and proxies did; empty without them."""
  chosen = [run for run in runs if run["setting"] == setting]
  if "robustness" not in chosen[0]:
    return {}
  measured = [run["robustness"] for run in chosen]
  return {
    "robustness": {
      name: summarise([each[name] for each in measured]) for name in measured[0]
    }
  }


def _low_resource(
  runs: Sequence[dict[str, Any]], setting: layout.Setting
) -> dict[str, Any]:
  """What left-out emotions add to a result: a summary for each that was.

  `unseen` has an entry for each group of emotions that was left out together:
  their metrics, and the mean over the emotions that were not (`rest`).
  `transfer` summarises what `transfer` measured.
  """
  chosen = [run for run in runs if run["setting"] == setting]
  groups = []
  for run in chosen:
    if run["unseen"] and run["unseen"] not in groups:
      groups.append(run["unseen"])
  added: dict[str, Any] = {}
  if groups:
    added["unseen"] = [
      _unseen([run for run in chosen if run["unseen"] == names], names)
      for names in groups
    ]
  measured = [run["transfer"] for run in chosen if "transfer" in run]
  if measured:
    added["transfer"] = {
      name: summarise([each[name] for each in measured])
      for name in ("average", "backward_transfer", "forward_transfer")
    }
  return added


def _unseen(
  runs: Sequence[dict[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
  def rest(run: dict[str, Any], metric: str) -> float | None:
    return summarise(
      [
        scores[metric]
        for emotion, scores in run["per_emotion"].items()
        if emotion not in names
      ]
    )["mean"]

  return {
    "emotions": list(names),
    "per_emotion": {
      emotion: {
        metric: summarise([r["per_emotion"][emotion][metric] for r in runs])
        for metric in metrics.NAMES
      }
      for emotion in names
      if emotion in runs[0]["per_emotion"]
    },
    "rest": {
      metric: summarise([rest(run, metric) for run in runs])
      for metric in metrics.NAMES
    },
  }


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
  return {
    name: summarise([run["metrics"][name] for run in runs])
    for name in metrics.NAMES
  }


def _number(value: Any) -> float | None:
  return float(value) if np.isfinite(value) else None


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
      percent(summarise([outcome["majority_baseline"][name]])),
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
        *(percent(summarise([s[name] for s in scores])) for name in _SHOWN),
        f"{np.mean(support):.0f}" if support else "-",
      ]
    )
  tables = [
    (["metric", "mean", "runs", "majority"], summary),
    (["emotion", *_SHOWN, "support"], each),
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
        ["setting", *_SHOWN],
        [
          [
            layout.show(entry["setting"]),
            *(percent(entry["summary"][name]) for name in _SHOWN),
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
        rows.append([emotion, *(percent(scores[name]) for name in _SHOWN)])
      rest = f"all but {', '.join(entry['emotions'])}"
      rows.append([rest, *(percent(entry["rest"][name]) for name in _SHOWN)])
    tables.append((["left out of the source training", *_SHOWN], rows))
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
