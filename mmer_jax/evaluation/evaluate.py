"""Evaluates what the runs of a trained workdir selected, and writes the result.

`evaluate_workdir` loads a workdir; `evaluate` scores one that is loaded.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from mmer_jax.base import errors, progress, workdir
from mmer_jax.evaluation import (
  linear_workdir,
  load,
  restore,
  results,
  robustness,
  scores,
  tables,
)
from mmer_jax.evaluation import scored as scored_lib
from mmer_jax.experiment import provenance
from mmer_jax.linear import experiment as linear
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


@progress.doing("evaluating")
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
  description = provenance.read_description(folder)
  if description["system"] == linear.SYSTEM:
    return linear_workdir.evaluate(
      folder,
      description,
      split=request.split,
      thresholds=request.thresholds,
      others={
        "modalities": request.modalities,
        "emotions": request.emotions,
        **inputs._asdict(),
      },
    )
  return evaluate(load.load_workdir(folder, request.emotions, inputs), request)


@progress.doing("evaluating")
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
  result = scored_lib.make_result(
    scored, trained.description["config_sha256"], measured
  )
  if "settings" in result:
    result = _choose_setting(trained, request.split, result)
  if examples:
    result["regenerated"] = examples
  trained_on = trained.description["dataset"]["fingerprint"]
  if experiment.corpus.dataset["fingerprint"] == trained_on:
    overlap = scored_lib.text_overlap(experiment, request.split)
    result["text_overlap"] = overlap
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
    UserError: They are chosen, and decisions are not binary.
  """
  if thresholds == "validation" and decision != "binary":
    raise errors.UserError(
      "--thresholds=validation is of binary decisions, but the workdir was"
      f' trained with config.protocol.decision="{decision}"; leave it out'
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
) -> scored_lib.Scored:
  """Predicts the splits that a request needs, after each stage."""
  experiment = trained.session.experiment
  splits = (request.split,)
  if request.thresholds == "validation":
    splits = (request.split, "validation")
  new = len(experiment.corpus.emotions) - len(trained.emotions)
  return scored_lib.Scored(
    experiment=experiment,
    split=request.split,
    modalities=request.modalities,
    thresholds=request.thresholds,
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
