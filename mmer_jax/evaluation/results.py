"""Makes the content of a results file: runs, summaries over runs, sweeps."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmer_jax.base import environment
from mmer_jax.core import metrics, regression_metrics
from mmer_jax.evaluation import (
  hierarchical,
  metric_names,
  rating_results,
  statistics,
)
from mmer_jax.evaluation import scores as scores_lib
from mmer_jax.experiment import records


class Failure(NamedTuple):
  """Says how a run failed.

  Attributes:
    step: The step in which it did; 0 where that is not known.
    reason: The reason, for people.
  """

  step: int
  reason: str


def run_result(
  record: records.RunRecord,
  scores: scores_lib.RunScores,
  *,
  decision: str,
  select: str,
  failure: Failure | None = None,
) -> dict[str, Any]:
  """Scores one run.

  Args:
    record: The run.
    scores: What it predicts.
    decision: `binary`, `softmax` or `regression`.
    select: The metric by which training selects.
    failure: How the run failed; None where it did not.

  Returns:
    A metric is None where no emotion defines it, and of a run that failed.
    `selection` is the metric that training selects by, of the emotions that
    the run was taught: what a sweep is decided on. Accuracy, or the error of
    ratings, stands in for the loss, which is no metric of a result. Counts are
    in `confusion` (softmax), `decisions` (binary) or `ratings`.
  """
  result = {
    "run": record.run,
    "seed": record.seed,
    "fold": record.fold.name,
    "setting": record.setting,
    "failed_step": failure.step if failure else None,
    "failure": failure.reason if failure else None,
    "examples": len(scores.labels),
    "unseen": list(record.unseen),
  }
  if failure:
    names = metrics.NAMES
    if decision == "regression":
      names = regression_metrics.names(scores.ranges)
    return {**result, **_no_numbers(scores.emotions, names)}
  if decision == "regression":
    return {**result, **rating_results.numbers(scores, select)}
  return {**result, **_numbers(scores, decision, select)}


def _numbers(
  scores: scores_lib.RunScores, decision: str, select: str
) -> dict[str, Any]:
  """Computes the metrics of a run, of all and of each emotion, and counts."""
  probs = np.asarray(scores.probs, np.float64)
  labels = np.asarray(scores.labels, np.float64)
  threshold = scores.threshold
  mask = np.ones(len(labels), bool)
  each = metrics.per_emotion(decision, probs, labels, mask, threshold)
  confusion, decisions = None, None
  if decision == "softmax":
    confusion = metrics.confusion(probs, labels, mask).astype(int).tolist()
  if decision == "binary":
    decisions = metrics.decisions(probs, labels, threshold).tolist()
  of_taught = metrics.compute(
    decision, probs, labels, mask, threshold, emotions=scores.taught
  )
  return {
    "metrics": metrics.score(decision, probs, labels, threshold),
    "per_emotion": {
      emotion: {
        name: scores_lib.number(values[index]) for name, values in each.items()
      }
      for index, emotion in enumerate(scores.emotions)
    },
    "confusion": confusion,
    "decisions": decisions,
    "selection": float(of_taught["accuracy" if select == "loss" else select]),
  }


def _no_numbers(
  emotions: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
  """Makes the entries of a run that failed: its numbers mean nothing."""
  return {
    "metrics": dict.fromkeys(names),
    "per_emotion": {
      emotion: dict.fromkeys((*names, "support")) for emotion in emotions
    },
    "confusion": None,
    "decisions": None,
    "selection": None,
  }


def build_results(
  evaluated: Mapping[str, Any],
  runs: Sequence[dict[str, Any]],
  baselines: Sequence[Mapping[str, float | None]],
) -> dict[str, Any]:
  """Makes the content of a results file.

  `summary` is over the runs of one setting. Where a sweep made several,
  `settings` holds the summary of each, and `summary` is the first one's until
  `choose` picks another.

  Args:
    evaluated: What was evaluated: system, config_sha256, dataset, split,
      protocol, and the metric by which training selects.
    runs: From `run_result`.
    baselines: From `metrics.majority_baseline`, or of ratings
      `regression_metrics.mean_baseline`, of every run.
  """
  settings: list[records.Setting] = []
  for run in runs:
    if run["setting"] not in settings:
      settings.append(run["setting"])
  summaries = [
    {"setting": setting, "summary": _summary(_runs_of(runs, setting))}
    for setting in settings
  ]
  result = {
    **evaluated,
    "runs": list(runs),
    "summary": summaries[0]["summary"],
    "setting": settings[0],
    "majority_baseline": {
      name: statistics.summarise([baseline[name] for baseline in baselines])[
        "mean"
      ]
      for name in baselines[0]
    },
    "failed": [r["run"] for r in runs if r["failed_step"] is not None],
    "environment": environment.environment(),
  }
  if len(settings) > 1:
    result["settings"] = summaries
  return {**result, **_of_setting(runs, settings[0])}


def every_run_failed(result: Mapping[str, Any]) -> bool:
  """Tells whether a result holds no number."""
  return len(result["failed"]) == len(result["runs"])


def choose(result: dict[str, Any], setting: records.Setting) -> dict[str, Any]:
  """Makes another setting's summary the one of the result."""
  (summary,) = [
    entry["summary"]
    for entry in result["settings"]
    if entry["setting"] == setting
  ]
  return {
    **result,
    "summary": summary,
    "setting": setting,
    **_of_setting(result["runs"], setting),
  }


def transfer(
  stages: Sequence[dict[str, Any]],
  untrained: dict[str, Any],
  emotions: Sequence[str],
  unseen: Sequence[str],
) -> dict[str, Any]:
  """Measures how learning new emotions changes what is known of others.

  Source: Lopez-Paz and Ranzato 2017, Eq. 2 to 4. Task 0 is the source
  emotions, each other one of the new emotions; what is measured is the
  weighted accuracy, of the source emotions their mean.

  Args:
    stages: `per_emotion` of the run after each stage.
    untrained: `per_emotion` of the run before the first stage.
    emotions: The emotions of the source and the new ones.
    unseen: The new emotions, in the order in which they are learnt.

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
    """Averages the differences; None where a number is undefined."""
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


def best_setting(result: dict[str, Any]) -> records.Setting:
  """Finds the setting with the best mean of the runs' `selection`."""
  sign = -1 if errs(result) else 1

  def value(entry: dict[str, Any]) -> float:
    runs = _runs_of(result["runs"], entry["setting"])
    mean = statistics.summarise([run["selection"] for run in runs])["mean"]
    return -np.inf if mean is None else sign * mean

  return max(result["settings"], key=value)["setting"]


def errs(result: Mapping[str, Any]) -> bool:
  """Tells whether the `selection` of runs is an error: smaller is better."""
  select = result["select"]
  if select == "loss":
    return result["protocol"]["decision"] == "regression"
  return select in regression_metrics.ERRORS


def best_words(result: dict[str, Any]) -> dict[str, str]:
  """Finds the best form of each emotion's word that a sweep tried.

  Source: Dai et al. 2020, section 6.2: the forms of each emotion are tried and
  the best is kept. An emotion is judged by its own selection metric in the runs
  that were taught it, so that the form of an unseen one is not chosen.

  Returns:
    Emotion to word, `""` for the one of the shards. Emotions for which no
    setting names a form are left out.
  """
  select = result["select"]
  select = "accuracy" if select == "loss" else select
  tried: dict[str, dict[str, list[float]]] = {}
  for run in result["runs"]:
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


def _runs_of(
  runs: Sequence[dict[str, Any]], setting: records.Setting
) -> list[dict[str, Any]]:
  """Picks the runs of a setting."""
  return [run for run in runs if run["setting"] == setting]


def _of_setting(
  runs: Sequence[dict[str, Any]], setting: records.Setting
) -> dict[str, Any]:
  """Makes the parts of a result, beside `summary`, that are of one setting.

  `unseen` has an entry for each group of emotions that was left out together;
  `transfer` summarises what `transfer` measured, `robustness` what noise,
  check and proxies did. Each is there only where runs have it.
  """
  chosen = _runs_of(runs, setting)
  groups = []
  for run in chosen:
    if run["unseen"] and run["unseen"] not in groups:
      groups.append(run["unseen"])
  parts: dict[str, Any] = {}
  if groups:
    parts["unseen"] = [
      _unseen([run for run in chosen if run["unseen"] == names], names)
      for names in groups
    ]
  measured = [run["transfer"] for run in chosen if "transfer" in run]
  if measured:
    parts["transfer"] = {
      name: statistics.summarise([each[name] for each in measured])
      for name in ("average", "backward_transfer", "forward_transfer")
    }
  if "robustness" in chosen[0]:
    parts["robustness"] = {
      name: statistics.summarise([run["robustness"][name] for run in chosen])
      for name in chosen[0]["robustness"]
    }
  return parts


def _unseen(
  runs: Sequence[dict[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
  """Summarises the emotions that runs left out, and the mean of the others."""

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
        metric: statistics.summarise_shares(
          [run["per_emotion"][emotion][metric] for run in runs]
        )
        for metric in metrics.NAMES
      }
      for emotion in names
      if emotion in runs[0]["per_emotion"]
    },
    "rest": {
      metric: statistics.summarise_shares([rest(run, metric) for run in runs])
      for metric in metrics.NAMES
    },
  }


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Summarises every metric over runs."""
  levels = hierarchical.levels(runs)
  return {
    name: (
      hierarchical.summarise_shares
      if metric_names.METRICS[name].share
      else hierarchical.summarise_numbers
    )([run["metrics"][name] for run in runs], *levels)
    for name in runs[0]["metrics"]
  }
