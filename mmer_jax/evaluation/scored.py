"""Makes a result of what the runs of a workdir predict."""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from mmer_jax.core import metrics, regression_metrics
from mmer_jax.core import thresholds as thresholds_lib
from mmer_jax.data import duplicates
from mmer_jax.evaluation import results, scores
from mmer_jax.experiment import build, records


class Scored(NamedTuple):
  """Holds what was predicted for a request.

  Attributes:
    experiment: The runs.
    split: The split that is scored.
    modalities: What the system may see; empty for all that it was trained on.
    thresholds: `fixed` or `validation`, see `evaluate.Request`.
    trained: The emotions that there are parameters for.
    emotions: The emotions that are scored.
    progress: Where the training of each run ended; None of runs that are
      fitted, which cannot fail.
    logits: Before any training (only where there are several stages) and after
      each stage: split to (r, n, k).
  """

  experiment: build.Experiment
  split: str
  modalities: Sequence[str]
  thresholds: str
  trained: tuple[str, ...]
  emotions: tuple[str, ...]
  progress: Any
  logits: list[dict[str, np.ndarray]]


def make_result(
  scored: Scored,
  config_sha256: str,
  measured: Sequence[dict[str, float | None]] = (),
) -> dict[str, Any]:
  """Scores every run and summarises them.

  Args:
    scored: What was predicted.
    config_sha256: The digest of the config of the training.
    measured: For each run what noise, check and proxies did; empty for none.

  Returns:
    The content of a results file.
  """
  experiment = scored.experiment
  runs, baselines = [], []
  for record in experiment.records:
    run = _run_result(scored, record)
    if measured:
      numbers = measured[record.run]
      run["robustness"] = dict.fromkeys(numbers) if run["failure"] else numbers
    runs.append(run)
    baselines.append(_majority_baseline(scored, record))
  return results.build_results(
    {
      "system": experiment.config.system,
      "config_sha256": config_sha256,
      "dataset": experiment.corpus.dataset,
      "split": scored.split,
      "protocol": _describe_protocol(scored, with_input=bool(measured)),
      "select": experiment.config.training.select,
    },
    runs,
    baselines,
  )


def text_overlap(
  experiment: build.Experiment, split: str
) -> dict[str, Any] | None:
  """Counts the scored utterances whose text stands in the training rows.

  What a system reaches on words that it has learnt by heart says little of
  others: this stands beside every lexical number.

  Args:
    experiment: The runs.
    split: The split that is scored.

  Returns:
    `folds`, the counts of each fold (`data.duplicates.count_texts`) with its
    `seeds`, and `total` over them, with the `share`; None where the shards
    hold no words.
  """
  digests = experiment.corpus.digests
  folds: dict[bytes, dict[str, Any]] = {}
  for record in experiment.records:
    rows = getattr(record.fold, split)
    trained = np.concatenate([record.fold.train, *record.samples])
    key = rows.tobytes() + b"|" + np.unique(trained).tobytes()
    if key not in folds:
      counts = duplicates.count_texts(digests, rows, trained)
      folds[key] = {"fold": record.fold.name, "seeds": [], **counts}
    if record.seed not in folds[key]["seeds"]:
      folds[key]["seeds"].append(record.seed)
  entries = [entry for entry in folds.values() if "all" in entry]
  if not entries:
    return None
  total = {}
  for name in ("all", "five_words_or_more"):
    shared, count = (
      sum(entry[name][key] for entry in entries)
      for key in ("shared", "utterances")
    )
    share = shared / count if count else None
    total[name] = {"shared": shared, "utterances": count, "share": share}
  return {"folds": entries, "total": total}


def _stage_scores(
  scored: Scored, record: records.RunRecord, stage: int
) -> scores.RunScores:
  """Collects the scores of a run after a stage, counted as in its logits."""
  rules = scored.experiment.rules

  def of(split: str) -> tuple[np.ndarray, np.ndarray]:
    return scores.labelled_scores(
      scored.experiment,
      record,
      split,
      scored.logits[stage][split],
      scored.emotions,
    )

  def known(unseen: Sequence[str]) -> np.ndarray:
    return np.asarray(
      [
        name in scored.trained and name not in unseen
        for name in scored.emotions
      ]
    )

  threshold: float | np.ndarray = rules.threshold
  # Where a number is not finite there is nothing to rank: the run has failed.
  if scored.thresholds == "validation" and not _failure(scored, record):
    threshold = thresholds_lib.best_thresholds(
      *of("validation"), known(record.unseen)
    )
  probs, labels = of(scored.split)
  # Where there are several stages, the first scores are before all of them and
  # the second after the source's, which teaches none of the unseen emotions.
  still_unseen = record.unseen[max(stage - 1, 0) :]
  return scores.RunScores(
    scored.emotions,
    probs,
    labels,
    threshold,
    known(still_unseen),
    scores.rating_ranges(scored.experiment, scored.emotions),
  )


def _failure(
  scored: Scored, record: records.RunRecord
) -> results.Failure | None:
  """Says how a run failed: in training, or by what it predicts here."""
  if scored.progress is None:
    return None
  step, epoch = (
    int(each[record.run])
    for each in (scored.progress.failed_step, scored.progress.epoch)
  )
  if step == 0 and epoch > 0:
    return results.Failure(
      0, "its validation loss or predictions were never finite"
    )
  if step >= 0:
    return results.Failure(
      step, f"loss, gradient or validation loss is not finite at step {step}"
    )
  after_training = scored.logits[-1]
  for split, logits in after_training.items():
    rows = getattr(record.fold, split)
    broken = ~np.isfinite(logits[record.run][: len(rows)]).all(axis=-1)
    if broken.any():
      first = scored.experiment.corpus.columns["id"][rows[broken][0]]
      return results.Failure(
        0,
        f"its prediction is not finite for {broken.sum()} rows of the {split}"
        f" split, the first is {first!r}",
      )
  return None


def _run_result(scored: Scored, record: records.RunRecord) -> dict[str, Any]:
  """Scores a run after its last stage, and what it was after the others."""
  experiment = scored.experiment
  failure = _failure(scored, record)
  if failure:
    logging.error("%s failed: %s", record.describe(), failure.reason)
  stages = [
    results.run_result(
      record,
      _stage_scores(scored, record, stage),
      decision=experiment.rules.decision,
      select=experiment.config.training.select,
      failure=failure,
    )
    for stage in range(len(scored.logits))
  ]
  run = stages[-1]
  ids = experiment.corpus.columns["id"][getattr(record.fold, scored.split)]
  digest = hashlib.sha256("\n".join(sorted(ids)).encode())
  run["utterances_sha256"] = digest.hexdigest()
  names = [stage.name for stage in experiment.system.stages]
  if len(names) == 1:
    return run
  untrained, *trained = stages
  run["stages"] = [
    {"stage": name, **{key: each[key] for key in ("metrics", "per_emotion")}}
    for name, each in zip(names, trained, strict=True)
  ]
  if record.unseen:
    run["transfer"] = results.transfer(
      [each["per_emotion"] for each in trained],
      untrained["per_emotion"],
      [name for name in scored.emotions if name in scored.trained],
      [name for name in record.unseen if name in scored.emotions],
    )
  return run


def _majority_baseline(
  scored: Scored, record: records.RunRecord
) -> dict[str, float | None]:
  """Scores the most frequent label of a run's training rows, or their mean."""
  corpus = scored.experiment.corpus
  columns = [corpus.emotions.index(name) for name in scored.emotions]
  split = scored.split
  _, truth = scores.labelled_scores(
    scored.experiment,
    record,
    split,
    scored.logits[-1][split],
    scored.emotions,
  )
  train = corpus.labels[record.fold.train][:, columns]
  decision = scored.experiment.rules.decision
  if decision == "regression":
    ranges = scores.rating_ranges(scored.experiment, scored.emotions)
    return regression_metrics.mean_baseline(train, truth, ranges)
  return metrics.majority_baseline(train, truth, decision)


def _describe_protocol(scored: Scored, *, with_input: bool) -> dict[str, Any]:
  """Describes for the result how the rows were split and scored."""
  config = scored.experiment.config
  protocol = {
    **config.protocol.to_dict(),
    "split_file": pathlib.Path(config.protocol.split_file).name,
    "few_shot": config.few_shot.method,
    "thresholds": scored.thresholds,
    "modalities": list(scored.modalities or config.data.modalities),
    "emotions": list(scored.emotions),
  }
  if with_input:
    protocol["noise"] = config.noise.to_dict()
    protocol["repair"] = config.repair.to_dict()
  return protocol
