r"""Draws what a finished workdir knows: PNG, SVG, and the data as JSON.

Example:
  python -m mmer_jax.figures --workdir=runs/mtee_mosei

`distances`: how far the emotions are from one another in the lexical space and
in the spaces they are mapped to (Dai et al. 2020, Figure 3), and the rank
correlation of the latter with the former. `threshold_curves`: weighted F1 and
weighted accuracy on validation at several thresholds, epoch by epoch (their
Figures 4 and 5), where config.training.curve_thresholds asked for them.
`losses`: every logged term of the loss, epoch by epoch. `confusion`: what was
chosen for what is true; `decisions`: what was answered for what is true, of
each emotion that is decided on its own; `sweep`: a metric over a swept number;
all of WORKDIR/results/test.json where it is there. `regenerated`: a vector,
what noise made of it, and its proxy (Mittal et al. 2020, Figure 7), of a result
of the test split under noise with proxies.
Needs matplotlib: pip install 'mmer_jax[report]'.
"""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from mmer_jax.base import workdir
from mmer_jax.data import schema
from mmer_jax.evaluation import restore, statistics
from mmer_jax.experiment import build
from mmer_jax.reporting import plots
from mmer_jax.training import selection
from mmer_jax.training import session as session_lib


def draw_workdir(folder: pathlib.Path, out: pathlib.Path) -> list[pathlib.Path]:
  """Draws every figure that a workdir has the data for.

  Args:
    folder: A finished workdir.
    out: Where the figures go.

  Returns:
    The PNGs.

  Raises:
    UserError: Training has not finished, or matplotlib is not installed.
  """
  experiment = build.build_experiment(workdir.read_config(folder))
  contents = [losses(folder)]
  if experiment.system.spaces is not None:
    contents.append(distances(folder, experiment))
  if experiment.rules.curve_thresholds:
    contents.append(threshold_curves(folder, experiment))
  results_file = folder / "results" / "test.json"
  if results_file.exists():
    outcome = workdir.read_json(results_file)
    contents += [confusion(outcome), decisions(outcome), sweep(outcome)]
  noisy = sorted((folder / "results").glob("test*.json"))
  for found in map(regenerated, map(workdir.read_json, noisy)):
    if found is not None:
      contents.append(found)
      break
  if jax.process_index():
    return []
  return [
    plots.save(content, out) for content in contents if content is not None
  ]


def distances(
  folder: pathlib.Path, experiment: build.Experiment
) -> dict[str, Any]:
  """The emotions' Euclidean distances in each space, over the runs.

  Returns:
    For JSON: the mean distance matrix of each space, and, for each space that
    the emotions are mapped to, a summary over runs of Spearman's correlation
    of its distances with the lexical ones.
  """
  emotions = experiment.corpus.emotions
  restored = restore.restore(
    folder, session_lib.open_session(experiment), len(emotions)
  )
  spaces = jax.vmap(experiment.system.spaces)(
    restored.params[-1], restored.runs.vectors
  )
  places = {
    name: np.asarray(spaces[name], np.float64)
    for name in schema.MODALITIES
    if name in spaces
  }
  # The lexical space of all runs is one, unless a sweep has other words.
  apart = {
    name: np.linalg.norm(found[:, :, None] - found[:, None], axis=-1)
    for name, found in places.items()
  }
  pairs = np.triu_indices(len(emotions), 1)
  lived = restored.progress.failed_step < 0
  return {
    "figure": "distances",
    "emotions": list(emotions),
    "runs": int(lived.sum()),
    "spaces": {
      name: found[lived].mean(axis=0).tolist() for name, found in apart.items()
    },
    "rank_correlation": {
      name: statistics.summarise(
        [
          rank_correlation(own[pairs], lexical[pairs])
          for own, lexical in zip(
            found[lived], apart["lexical"][lived], strict=True
          )
        ]
      )
      for name, found in apart.items()
      if name != "lexical"
    },
  }


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
  """Spearman's: Pearson's of the midranks; None where one is constant."""

  def centred(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, "left")
    upto = np.searchsorted(ordered, values, "right")
    return (below + upto) / 2 - len(values) / 2

  a, b = centred(a), centred(b)
  scale = np.sqrt((a @ a) * (b @ b))
  return float(a @ b / scale) if scale > 0 else None


def threshold_curves(
  folder: pathlib.Path, experiment: build.Experiment
) -> dict[str, Any]:
  """The validation metrics of `training.CURVES` by epoch and threshold.

  Returns:
    For JSON: of each metric (epochs, thresholds) means over the runs that were
    still training, in the first stage, and how many these were.
  """
  by_epoch = _by_epoch(folder)[experiment.system.stages[0].name]
  epochs = sorted(by_epoch)
  return {
    "figure": "threshold_curves",
    "thresholds": list(experiment.rules.curve_thresholds),
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


def losses(folder: pathlib.Path) -> dict[str, Any]:
  """Every term of the loss by stage and epoch.

  Returns:
    For JSON: stage to its epochs and to each term, means over the runs that
    were still training.
  """
  stages = {}
  for stage, by_epoch in _by_epoch(folder).items():
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
          statistics.summarise([row[term] for row in by_epoch[epoch]])["mean"]
          for epoch in epochs
        ]
        for term in terms
      },
    }
  return {"figure": "losses", "stages": stages}


def confusion(outcome: dict[str, Any]) -> dict[str, Any] | None:
  """Shares of what was chosen for each true emotion, over the runs.

  Returns:
    For JSON: the emotions and, for each setting, (k, k) shares of the pooled
    counts, rows the truth. None where decisions are binary.
  """
  settings = _pooled(outcome, "confusion")
  if not settings:
    return None
  return {
    "figure": "confusion",
    "emotions": list(outcome["runs"][0]["per_emotion"]),
    "settings": settings,
  }


def decisions(outcome: dict[str, Any]) -> dict[str, Any] | None:
  """Shares of the answers of each binary decision, over the runs.

  Source: Mittal et al. 2020, Figure 5, right.
  Deviation: the paper shows one matrix of all emotions. An utterance may have
    several, each decided on its own, so that no one of them is chosen in the
    place of another: here each has a matrix of two answers.

  Returns:
    For JSON: the emotions and, for each setting, (k, 2, 2) shares of the
    pooled counts; rows the truth, absent and present, columns the answer. None
    where one emotion is chosen.
  """
  settings = _pooled(outcome, "decisions")
  if not settings:
    return None
  return {
    "figure": "decisions",
    "emotions": list(outcome["runs"][0]["per_emotion"]),
    "settings": settings,
  }


def _pooled(outcome: dict[str, Any], key: str) -> list[dict[str, Any]]:
  """Of each setting the shares of counts, summed over runs, in each row."""
  settings: list[dict[str, Any]] = []
  for run in outcome["runs"]:
    if run.get(key) is None:
      continue
    counts = np.asarray(run[key])
    for entry in settings:
      if entry["setting"] == run["setting"]:
        entry["counts"] = entry["counts"] + counts
        break
    else:
      settings.append({"setting": run["setting"], "counts": counts})
  return [
    {
      "setting": entry["setting"],
      "shares": (
        entry["counts"]
        / np.maximum(entry["counts"].sum(axis=-1, keepdims=True), 1)
      ).tolist(),
    }
    for entry in settings
  ]


def regenerated(outcome: dict[str, Any]) -> dict[str, Any] | None:
  """A vector of each modality before and after noise, and its proxy.

  Source: Mittal et al. 2020, Figure 7.
  Deviation: an example is the mean over the real frames; the distances are of
    whole sequences, over all that was regenerated.

  Returns:
    For JSON: of each modality the three vectors, and the mean distances of the
    proxies and of the noisy features over the runs, relative to the
    original's length. None where nothing was regenerated.
  """
  if "regenerated" not in outcome:
    return None
  measured = outcome["robustness"]
  return {
    "figure": "regenerated",
    "examples": [
      {
        **example,
        "distance": measured[f"distance_{example['modality']}"]["mean"],
        "noise_distance": measured[f"noise_distance_{example['modality']}"][
          "mean"
        ],
      }
      for example in outcome["regenerated"]
    ],
  }


def sweep(outcome: dict[str, Any]) -> dict[str, Any] | None:
  """Metrics over the one swept number, with intervals.

  Returns:
    For JSON: what was swept, its values, and summaries of some metrics at
    each. None where not one number alone was swept.
  """
  settings = outcome.get("settings", [])
  keys = {key for entry in settings for key in entry["setting"]}
  if len(keys) != 1:
    return None
  (key,) = keys
  values = [entry["setting"][key] for entry in settings]
  if any(isinstance(value, str) for value in values):
    return None
  return {
    "figure": "sweep",
    "key": key,
    "values": values,
    "metrics": {
      name: [entry["summary"][name] for entry in settings]
      for name in ("weighted_average_precision", "unweighted_accuracy")
    },
  }


def _by_epoch(
  folder: pathlib.Path,
) -> dict[str, dict[int, list[dict[str, Any]]]]:
  """The lines of `metrics.jsonl` by stage and epoch, without failures."""
  found: dict[str, dict[int, list[dict[str, Any]]]] = {}
  with (folder / "metrics.jsonl").open(encoding="utf-8") as lines:
    for row in map(json.loads, lines):
      if "validation_loss" in row:
        stage = found.setdefault(row["stage_name"], {})
        stage.setdefault(row["epoch"], []).append(row)
  return found
