"""Results over runs: summaries with intervals, JSON and tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base import environment
from mmer_jax.core import metrics
from mmer_jax.evaluation import statistics
from mmer_jax.experiment import records


def run_result(
  *,
  run: int,
  seed: int,
  fold: str,
  setting: records.Setting,
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


def build_results(
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
  settings: list[records.Setting] = []
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
      name: statistics.summarise([baseline[name] for baseline in baselines])[
        "mean"
      ]
      for name in metrics.NAMES
    },
    "failed": [r["run"] for r in runs if r["failed_step"] is not None],
    "environment": environment.environment(),
  }
  if len(settings) > 1:
    outcome["settings"] = summaries
  return {
    **outcome,
    **_low_resource(runs, settings[0]),
    **_robustness(runs, settings[0]),
  }


def choose(outcome: dict[str, Any], setting: records.Setting) -> dict[str, Any]:
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
      statistics.summarise(
        [scores[name]["weighted_accuracy"] for name in task]
      )["mean"]
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


def best_setting(outcome: dict[str, Any]) -> records.Setting:
  """The setting with the best mean of the runs' `selection`."""

  def value(entry: dict[str, Any]) -> float:
    runs = [r for r in outcome["runs"] if r["setting"] == entry["setting"]]
    mean = statistics.summarise([run["selection"] for run in runs])["mean"]
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


def _robustness(
  runs: Sequence[dict[str, Any]], setting: records.Setting
) -> dict[str, Any]:
  """Summaries of what noise, check and proxies did; empty without them."""
  chosen = [run for run in runs if run["setting"] == setting]
  if "robustness" not in chosen[0]:
    return {}
  measured = [run["robustness"] for run in chosen]
  return {
    "robustness": {
      name: statistics.summarise([each[name] for each in measured])
      for name in measured[0]
    }
  }


def _low_resource(
  runs: Sequence[dict[str, Any]], setting: records.Setting
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
      name: statistics.summarise([each[name] for each in measured])
      for name in ("average", "backward_transfer", "forward_transfer")
    }
  return added


def _unseen(
  runs: Sequence[dict[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
  def rest(run: dict[str, Any], metric: str) -> float | None:
    return statistics.summarise(
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
        metric: statistics.summarise(
          [r["per_emotion"][emotion][metric] for r in runs]
        )
        for metric in metrics.NAMES
      }
      for emotion in names
      if emotion in runs[0]["per_emotion"]
    },
    "rest": {
      metric: statistics.summarise([rest(run, metric) for run in runs])
      for metric in metrics.NAMES
    },
  }


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
  return {
    name: statistics.summarise([run["metrics"][name] for run in runs])
    for name in metrics.NAMES
  }


def _number(value: Any) -> float | None:
  return float(value) if np.isfinite(value) else None
