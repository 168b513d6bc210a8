"""Evaluates what the runs of a trained workdir selected, and writes the result.

`evaluate_workdir` loads a workdir; `evaluate` scores one that is loaded.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from mmer_jax.base import errors, workdir
from mmer_jax.core import metrics
from mmer_jax.core import thresholds as thresholds_lib
from mmer_jax.evaluation import (
  load,
  restore,
  results,
  robustness,
  scores,
  tables,
)
from mmer_jax.experiment import build, records
from mmer_jax.training import mesh

SPLITS = ("train", "validation", "test")


class Request(NamedTuple):
  """Says what an evaluation scores.

  Attributes:
    split: `train`, `validation` or `test` of each run's fold.
    modalities: What the model may see; empty for all it was trained on.
    emotions: The emotions to score; empty for those it was trained on. One that
      is new may be `name=word`, with the word whose vector stands for it.
    thresholds: `fixed`, the config's, or `validation`, the best there of each
      emotion of the source training.
  """

  split: str
  modalities: Sequence[str] = ()
  emotions: Sequence[str] = ()
  thresholds: str = "fixed"


class _Scored(NamedTuple):
  """Holds what was predicted for a request.

  Attributes:
    experiment: The runs.
    request: What is scored.
    trained: The emotions that there are parameters for.
    emotions: The emotions that are scored.
    progress: Where the training of each run ended.
    logits: Before any training (only where there are several stages) and after
      each stage: split to (r, n, k).
  """

  experiment: build.Experiment
  request: Request
  trained: tuple[str, ...]
  emotions: tuple[str, ...]
  progress: Any
  logits: list[dict[str, np.ndarray]]


def evaluate_workdir(
  folder: pathlib.Path,
  request: Request,
  inputs: load.Inputs = load.Inputs(),  # noqa: B008
) -> dict[str, Any]:
  """Scores every run of a finished workdir and writes the result.

  Args:
    folder: The workdir.
    request: What is scored.
    inputs: What is read that training did not read.

  Returns:
    The content of `results/<name>.json`.

  Raises:
    UserError: The workdir is not finished, or does not fit the request.
  """
  return evaluate(load.load_workdir(folder, request.emotions, inputs), request)


def evaluate(trained: load.TrainedWorkdir, request: Request) -> dict[str, Any]:
  """Scores every run of a loaded workdir and writes the result.

  Args:
    trained: The workdir. What its session has otherwise than the training is
      in the result's name.
    request: What is scored.

  Returns:
    The content of `results/<name>.json`.

  Raises:
    UserError: The workdir is not finished, or does not fit the request.
  """
  experiment = trained.session.experiment
  _check_request(trained, request)
  restored = restore.restore(
    trained.folder, trained.session, len(trained.emotions)
  )
  scored = _predict(trained, restored, request)
  measured, examples = _measure_input(trained, restored, request)
  runs, baselines = [], []
  for record in experiment.records:
    run = _run_result(scored, record)
    if measured:
      numbers = measured[record.run]
      run["robustness"] = dict.fromkeys(numbers) if run["failure"] else numbers
    runs.append(run)
    baselines.append(_majority_baseline(scored, record))
  result = results.build_results(
    {
      "system": experiment.config.system,
      "config_sha256": trained.description["config_sha256"],
      "dataset": experiment.corpus.dataset,
      "split": request.split,
      "protocol": _describe_protocol(scored, with_input=bool(measured)),
      "select": experiment.config.training.select,
    },
    runs,
    baselines,
  )
  if "settings" in result:
    result = _choose_setting(trained, request.split, result)
  if examples:
    result["regenerated"] = examples
  if trained.description.get("warnings"):
    result["warnings"] = trained.description["warnings"]
  if jax.process_index() == 0:
    name = _result_name(request, trained.input_transform)
    folder = trained.folder / "results"
    workdir.write_json(folder / f"{name}.json", result)
    workdir.write_text(folder / f"{name}.md", tables.markdown(result))
  return result


def check_thresholds(thresholds: str, decision: str) -> None:
  """Refuses thresholds of a decision that has none.

  Raises:
    UserError: They are chosen, and the decision is a softmax.
  """
  if thresholds == "validation" and decision == "softmax":
    raise errors.UserError(
      "--thresholds=validation is of binary decisions, but the workdir was"
      ' trained with config.protocol.decision="softmax"; leave it out'
    )


def _check_request(trained: load.TrainedWorkdir, request: Request) -> None:
  """Refuses modalities, emotions or thresholds that the workdir has not.

  Raises:
    UserError: One of them was not loaded, or the decision has no thresholds.
  """
  experiment = trained.session.experiment
  known = experiment.config.data.modalities
  for modality in request.modalities:
    if modality not in known:
      raise errors.UserError(
        f"--modalities names {modality!r}, but the model was trained on"
        f" {', '.join(known)}"
      )
  for form in request.emotions:
    name, equals, _ = form.partition("=")
    loaded = name in experiment.corpus.emotions
    if not loaded or (equals and form not in experiment.config.data.words):
      raise errors.UserError(
        f"--emotions has {form!r}, but the workdir was loaded with"
        f" {', '.join(experiment.corpus.emotions)}; load it with"
        " `evaluate_workdir`"
      )
  check_thresholds(request.thresholds, experiment.rules.decision)


def _predict(
  trained: load.TrainedWorkdir, restored: restore.Restored, request: Request
) -> _Scored:
  """Predicts the splits that a request needs, after each stage."""
  experiment = trained.session.experiment
  splits = (request.split,)
  if request.thresholds == "validation":
    splits = (request.split, "validation")
  new = len(experiment.corpus.emotions) - len(trained.emotions)
  return _Scored(
    experiment=experiment,
    request=request,
    trained=trained.emotions,
    emotions=load.emotion_names(request.emotions) or trained.emotions,
    progress=restored.progress,
    logits=scores.predict_splits(
      trained.session, restored, splits, request.modalities, new
    ),
  )


def _measure_input(
  trained: load.TrainedWorkdir, restored: restore.Restored, request: Request
) -> tuple[list[dict[str, float | None]], list[dict[str, Any]]]:
  """Measures what noise, check and proxies did; nothing where there is none.

  Returns:
    For each run a number by name, and examples of regenerated features.
  """
  session, experiment = trained.session, trained.session.experiment
  transformed = experiment.noise.kind != "none" or experiment.repair.used
  if not transformed or len(experiment.corpus.emotions) > len(trained.emotions):
    return [], []
  return robustness.measure(
    session,
    mesh.place(restored.params[-1], session.mesh, "runs"),
    session.place_runs(restored.runs),
    experiment.rows(request.split),
    tuple(request.modalities) or None,
  )


def _stage_scores(
  scored: _Scored, record: records.RunRecord, stage: int
) -> scores.RunScores:
  """Collects the scores of a run after a stage, counted as in its logits."""
  request, rules = scored.request, scored.experiment.rules

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
  if request.thresholds == "validation" and not _failure(scored, record):
    threshold = thresholds_lib.best_thresholds(
      *of("validation"), known(record.unseen)
    )
  probs, labels = of(request.split)
  # Where there are several stages, the first scores are before all of them and
  # the second after the source's, which teaches none of the unseen emotions.
  still_unseen = record.unseen[max(stage - 1, 0) :]
  return scores.RunScores(
    scored.emotions, probs, labels, threshold, known(still_unseen)
  )


def _failure(
  scored: _Scored, record: records.RunRecord
) -> results.Failure | None:
  """Says how a run failed: in training, or by what it predicts here."""
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


def _run_result(scored: _Scored, record: records.RunRecord) -> dict[str, Any]:
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
  scored: _Scored, record: records.RunRecord
) -> dict[str, float | None]:
  """Scores the most frequent label of a run's training rows."""
  corpus = scored.experiment.corpus
  columns = [corpus.emotions.index(name) for name in scored.emotions]
  split = scored.request.split
  _, truth = scores.labelled_scores(
    scored.experiment,
    record,
    split,
    scored.logits[-1][split],
    scored.emotions,
  )
  return metrics.majority_baseline(
    corpus.labels[record.fold.train][:, columns],
    truth,
    scored.experiment.rules.decision,
  )


def _describe_protocol(scored: _Scored, *, with_input: bool) -> dict[str, Any]:
  """Describes for the result how the rows were split and scored."""
  config, request = scored.experiment.config, scored.request
  protocol = {
    **config.protocol.to_dict(),
    "split_file": pathlib.Path(config.protocol.split_file).name,
    "few_shot": config.few_shot.method,
    "thresholds": request.thresholds,
    "modalities": list(request.modalities or config.data.modalities),
    "emotions": list(scored.emotions),
  }
  if with_input:
    protocol["noise"] = config.noise.to_dict()
    protocol["repair"] = config.repair.to_dict()
  return protocol


def _choose_setting(
  trained: load.TrainedWorkdir, split: str, result: dict[str, Any]
) -> dict[str, Any]:
  """Shows the setting of a sweep that validation chose, and only validation."""
  if split != "validation":
    file = trained.folder / "results" / "validation.json"
    return results.choose(result, workdir.read_json(file)["setting"])
  if trained.session.experiment.config.sweep.words:
    result["words"] = results.best_words(result)
  return results.choose(result, results.best_setting(result))


def _result_name(request: Request, input_transform: dict[str, Any]) -> str:
  """Names the files of a result after all that is not as in training."""
  parts = [request.split]
  if request.modalities:
    parts.append("+".join(request.modalities))
  if request.emotions:
    parts.append("+".join(request.emotions))
  if request.thresholds == "validation":
    parts.append("thresholds")
  for key, value in sorted(input_transform.items()):
    parts.append(f"{key.split('.')[-1]}={value}")
  return "-".join(parts)
