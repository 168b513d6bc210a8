"""Computes the data of every figure, as JSON; `plots` draws them.

`losses` and `threshold_curves` come from metrics.jsonl; `confusion`,
`decisions`, `ratings`, `sweep` and `regenerated` from a results file;
`distances` from the trained parameters, for which the shards are read.
"""

import pathlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from mmer_jax.base import progress, workdir
from mmer_jax.data import schema
from mmer_jax.evaluation import restore, statistics
from mmer_jax.experiment import build
from mmer_jax.reporting import reading
from mmer_jax.training import selection
from mmer_jax.training import session as session_lib


@progress.doing("reading what the figures show")
def of_workdir(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Computes every figure that a workdir has the data for.

  Args:
    folder: A finished workdir.

  Returns:
    What the functions below give.

  Raises:
    UserError: Training has not finished, or the shards are gone.
  """
  contents = of_training(folder)
  experiment = build.build_experiment(workdir.read_config(folder))
  if experiment.system.spaces is not None:
    contents += _some([distances(folder, experiment)])
  file = folder / "results" / "test.json"
  if file.exists():
    contents += of_result(reading.read_result(file))
  # Proxies are in the result of an evaluation under noise, if in any.
  for file in sorted((folder / "results").glob("test*.json")):
    content = regenerated(reading.read_result(file))
    if content is not None:
      return [*contents, content]
  return contents


def of_training(
  folder: pathlib.Path, runs: Collection[int] | None = None
) -> list[dict[str, Any]]:
  """Computes the figures of how the runs of a workdir were trained.

  Args:
    folder: A workdir.
    runs: Numbers of the runs to average, as those of one setting; None for all.
  """
  config = workdir.read_config(folder)
  contents = [losses(folder, runs)]
  thresholds = config.training.curve_thresholds
  if thresholds:
    first = build.build_system(config).stages[0].name
    contents.append(threshold_curves(folder, first, thresholds, runs))
  return _some(contents)


def of_result(result: dict[str, Any]) -> list[dict[str, Any]]:
  """Computes the figures of the counts and the sweep of a results file."""
  return _some(
    [confusion(result), decisions(result), ratings(result), sweep(result)]
  )


def _some(contents: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
  """Keeps the figures that there are numbers for."""
  return [content for content in contents if content is not None]


@progress.doing("measuring distances")
def distances(
  folder: pathlib.Path, experiment: build.Experiment
) -> dict[str, Any] | None:
  """Measures how far the emotions are from one another in each space.

  Source: Dai et al. 2020, Figure 3.

  Returns:
    For JSON: the mean Euclidean distance matrix of each space over the runs,
    and, for each space that the emotions are mapped to, a summary over runs of
    Spearman's correlation of its distances with the lexical ones. None where
    every run failed.
  """
  emotions = experiment.corpus.emotions
  restored = restore.restore(
    folder, session_lib.open_session(experiment), len(emotions)
  )
  spaces = jax.vmap(experiment.system.spaces)(
    restored.params[-1], restored.runs.vectors
  )
  trained = restored.progress.failed_step < 0
  if not trained.any():
    return None
  # By space (runs, k, k). The lexical space of all runs is one, unless a sweep
  # has other words.
  matrices = {
    name: _distance_matrices(np.asarray(spaces[name], np.float64)[trained])
    for name in schema.MODALITIES
    if name in spaces
  }
  return {
    "figure": "distances",
    "emotions": list(emotions),
    "runs": int(trained.sum()),
    "spaces": {
      name: matrix.mean(axis=0).tolist() for name, matrix in matrices.items()
    },
    "rank_correlation": {
      name: _summarise_correlations(matrix, matrices["lexical"])
      for name, matrix in matrices.items()
      if name != "lexical"
    },
  }


def _distance_matrices(places: np.ndarray) -> np.ndarray:
  """Computes the (k, k) Euclidean distances of (k, d) places, run by run."""
  return np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)


def _summarise_correlations(
  matrices: np.ndarray, others: np.ndarray
) -> dict[str, Any]:
  """Correlates the distances of two spaces run by run; the interval is cut."""
  pairs = np.triu_indices(matrices.shape[-1], 1)
  summary = statistics.summarise(
    [
      rank_correlation(own[pairs], other[pairs])
      for own, other in zip(matrices, others, strict=True)
    ]
  )
  low, high = summary["ci95"]
  if low is not None:
    summary["ci95"] = [max(low, -1.0), min(high, 1.0)]
  return summary


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
  """Computes Spearman's correlation; None where one of them is constant.

  That is Pearson's of the midranks.
  """

  def centred(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, "left")
    upto = np.searchsorted(ordered, values, "right")
    return (below + upto) / 2 - len(values) / 2

  a, b = centred(a), centred(b)
  scale = np.sqrt((a @ a) * (b @ b))
  return float(a @ b / scale) if scale > 0 else None


def threshold_curves(
  folder: pathlib.Path,
  stage: str,
  thresholds: Sequence[float],
  runs: Collection[int] | None = None,
) -> dict[str, Any] | None:
  """Averages the validation metrics by epoch and threshold.

  Source: Dai et al. 2020, Figures 4 and 5.

  Args:
    folder: A workdir.
    stage: The name of its first stage.
    thresholds: The `config.training.curve_thresholds` of its training.
    runs: Numbers of the runs to average; None for all.

  Returns:
    For JSON: of each metric of `selection.CURVES` (epochs, thresholds) means
    over the runs that were still training, and how many these were. None where
    every run failed at once.
  """
  by_epoch = reading.read_metrics(folder, runs).get(stage)
  if by_epoch is None:
    return None
  epochs = sorted(by_epoch)
  return {
    "figure": "threshold_curves",
    "thresholds": list(thresholds),
    "epochs": epochs,
    "runs": [len(by_epoch[epoch]) for epoch in epochs],
    "metrics": {
      name: [
        np.mean(
          [row[f"validation_{name}_by_threshold"] for row in by_epoch[epoch]],
          axis=0,
        ).tolist()
        for epoch in epochs
      ]
      for name in selection.CURVES
    },
  }


def losses(
  folder: pathlib.Path, runs: Collection[int] | None = None
) -> dict[str, Any] | None:
  """Averages every term of the loss by stage and epoch.

  Args:
    folder: A workdir.
    runs: Numbers of the runs to average; None for all.

  Returns:
    For JSON: stage to its epochs and to each term, means over the runs that
    were still training. None where every run failed at once.
  """
  stages = {}
  for stage, by_epoch in reading.read_metrics(folder, runs).items():
    epochs = sorted(by_epoch)
    terms = [
      key
      for key in by_epoch[epochs[0]][0]
      if key.startswith("train_") or key == "validation_loss"
    ]
    stages[stage] = {
      "epochs": epochs,
      "terms": {
        term: [
          statistics.summarise([row.get(term) for row in by_epoch[epoch]])[
            "mean"
          ]
          for epoch in epochs
        ]
        for term in terms
      },
    }
  return {"figure": "losses", "stages": stages} if stages else None


def confusion(result: dict[str, Any]) -> dict[str, Any] | None:
  """Computes the shares of what was predicted for each true emotion.

  Returns:
    For JSON: the emotions and, for each setting, (k, k) shares of the counts,
    summed over the runs, rows the truth; `counts` has the utterances of each
    row. None where decisions are binary.
  """
  return _shares(result, "confusion")


def decisions(result: dict[str, Any]) -> dict[str, Any] | None:
  """Computes the shares of the answers of each binary decision.

  Source: Mittal et al. 2020, Figure 5, right.
  Deviation: the paper shows one matrix of all emotions. An utterance may have
    several, each decided on its own, so that no one of them is chosen in the
    place of another: here each has a matrix of two answers.

  Returns:
    For JSON: the emotions and, for each setting, (k, 2, 2) shares of the
    counts, summed over the runs; rows the truth, absent and present, columns
    the answer; `counts` has the utterances of each row. None where one emotion
    is chosen.
  """
  return _shares(result, "decisions")


def ratings(result: dict[str, Any]) -> dict[str, Any] | None:
  """Computes the shares of the ratings that were predicted for each.

  Returns:
    For JSON: of each target the places of its scale and, for each setting,
    shares of the counts as in `confusion`. None where emotions are predicted.
  """
  targets = {}
  for name in result["protocol"]["emotions"]:
    runs = [
      {**run, "rated": (run.get("ratings") or {}).get(name, {}).get("counts")}
      for run in result["runs"]
    ]
    shares = _shares({**result, "runs": runs}, "rated")
    if shares is not None:
      places = next(run for run in runs if run["rated"])["ratings"][name]
      targets[name] = {
        "places": places["places"],
        "settings": shares["settings"],
      }
  if not targets:
    return None
  return {"figure": "ratings", "split": result["split"], "targets": targets}


def _shares(result: dict[str, Any], key: str) -> dict[str, Any] | None:
  """Divides the counts of each setting, summed over runs, by their row."""
  settings: list[dict[str, Any]] = []
  for run in result["runs"]:
    if run.get(key) is None:
      continue
    counts = np.asarray(run[key])
    for entry in settings:
      if entry["setting"] == run["setting"]:
        entry["counts"] = entry["counts"] + counts
        break
    else:
      settings.append({"setting": run["setting"], "counts": counts})
  if not settings:
    return None
  for entry in settings:
    rows = entry["counts"].sum(axis=-1)
    entry["shares"] = (
      entry["counts"] / np.maximum(rows[..., None], 1)
    ).tolist()
    entry["counts"] = rows.tolist()
  return {
    "figure": key,
    "split": result["split"],
    "emotions": list(result["runs"][0]["per_emotion"]),
    "settings": settings,
  }


def regenerated(result: dict[str, Any]) -> dict[str, Any] | None:
  """Shows a vector of each modality before and after noise, and its proxy.

  Source: Mittal et al. 2020, Figure 7.
  Deviation: an example is the mean over the real frames; the distances are of
    whole sequences, over all that was regenerated.

  Returns:
    For JSON: of each modality the three vectors, and the mean distances of the
    proxies and of the noisy features over the runs, relative to the
    original's length. None where nothing was regenerated.
  """
  if "regenerated" not in result:
    return None
  measured = result["robustness"]
  examples = []
  for example in result["regenerated"]:
    distances = {
      name: measured[f"{name}_{example['modality']}"]["mean"]
      for name in ("distance", "noise_distance")
    }
    # Runs that failed measure nothing.
    if None not in distances.values():
      examples.append({**example, **distances})
  return {"figure": "regenerated", "examples": examples} if examples else None


def sweep(result: dict[str, Any]) -> dict[str, Any] | None:
  """Lists metrics over the one swept number, with intervals.

  Returns:
    For JSON: the swept key, its values, and summaries of some metrics at each.
    None where not one number alone was swept.
  """
  settings = result.get("settings", [])
  keys = {key for entry in settings for key in entry["setting"]}
  if len(keys) != 1:
    return None
  (key,) = keys
  if any(isinstance(entry["setting"][key], str) for entry in settings):
    return None
  settings = sorted(settings, key=lambda entry: entry["setting"][key])
  return {
    "figure": "sweep",
    "split": result["split"],
    "key": key,
    "values": [entry["setting"][key] for entry in settings],
    "metrics": {
      name: [entry["summary"][name] for entry in settings]
      for name in (
        ("pearson", "ccc")
        if result["protocol"]["decision"] == "regression"
        else ("weighted_average_precision", "unweighted_accuracy")
      )
    },
  }
