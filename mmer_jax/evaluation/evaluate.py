r"""Evaluates the selected checkpoint of every run of a workdir.

Example:
  python -m mmer_jax.evaluate --workdir=runs/mtee_iemocap --split=test \
    --modalities=lexical

Writes WORKDIR/results/<name>.json and .md and prints the table.
"""

import operator
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from mmer_jax.base import errors, workdir
from mmer_jax.core import metrics
from mmer_jax.evaluation import restore, results, robustness, tables
from mmer_jax.evaluation import scores as scores_lib
from mmer_jax.experiment import build, input_repair, records
from mmer_jax.experiment import runs as runs_lib
from mmer_jax.training import mesh
from mmer_jax.training import session as session_lib

SPLITS = ("train", "validation", "test")


def evaluate_workdir(
  folder: pathlib.Path,
  *,
  split: str,
  modalities: Sequence[str] = (),
  emotions: Sequence[str] = (),
  word_vectors: str = "",
  thresholds: str = "fixed",
  data_dir: str = "",
  front: Mapping[str, Any] | None = None,
  session: session_lib.Session | None = None,
) -> dict[str, Any]:
  """Scores every run of a finished workdir and writes the result.

  Args:
    folder: The workdir.
    split: `train`, `validation` or `test` of each run's fold.
    modalities: What the model may see; empty for all it was trained on.
    emotions: What it is judged on; empty for what it was trained on. One that
      is new may be `name=word`, with the word whose vector stands for it.
    word_vectors: A file with the words of new emotions; empty for the vectors
      of the shards.
    thresholds: `fixed`, the config's, or `validation`, the best there of each
      emotion of the source training.
    data_dir: The shard folder, where it is not the one of training. A modality
      that its shards do not hold is absent from every utterance.
    front: What stands between the rows and the system, where it is not as in
      training: `noise.<key>` and `repair.<key>` of the config, as
      `{"noise.kind": "gaussian", "repair.inference": "check"}`.
    session: The runs on their devices, where the caller has them already.

  Returns:
    The content of `results/<name>.json`.

  Raises:
    UserError: The workdir is not finished, or does not fit the request.
  """
  description = workdir.read_json(folder / "run.json")
  config = workdir.read_config(folder)
  front = dict(front or {})
  for key in front:
    # Says what is wrong with an older version's workdir.
    operator.attrgetter(key)(config)
  with config.unlocked():
    config.update_from_flattened_dict(front)
  trained = tuple(emotion["name"] for emotion in description["emotions"])
  if session is None:
    experiment = _experiment(
      config, description, trained, emotions, word_vectors, data_dir
    )
    session = session_lib.open_session(
      input_repair.attach_repair(
        experiment, folder, description["dataset"]["fingerprint"]
      )
    )
  experiment = session.experiment
  _check_modalities(config, modalities)
  decision = experiment.rules.decision
  check_thresholds(thresholds, decision)

  sides = (split, "validation") if thresholds == "validation" else (split,)
  restored = restore.restore(folder, session, len(trained))
  new = len(experiment.corpus.emotions) - len(trained)
  logits = scores_lib.predict_splits(session, restored, sides, modalities, new)
  observed, examples = None, []
  if (experiment.noise.kind != "none" or experiment.repair.used) and not new:
    observed, examples = robustness.measure(
      session,
      mesh.place(restored.params[-1], session.mesh, "runs"),
      session.place_runs(restored.runs),
      experiment.rows(split),
      tuple(modalities) or None,
    )
  judged = tuple(name.partition("=")[0] for name in emotions) or trained
  columns = [experiment.corpus.emotions.index(emotion) for emotion in judged]
  labels = experiment.corpus.labels[:, columns]

  def scores(
    stage: int, record: records.RunRecord, side: str
  ) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of the rows that can be judged."""
    rows = getattr(record.fold, side)
    known = np.ones(len(rows), bool)
    if decision == "softmax":
      known = labels[rows].sum(axis=1) == 1
    if not known.any():
      raise errors.UserError(
        f"the {side} split of fold {record.fold.name} has no utterance of"
        f" {', '.join(judged)}; choose other --emotions"
      )
    found = logits[stage][side][record.run][: len(rows)][known][:, columns]
    return scores_lib.float64_probabilities(decision, found), labels[rows][
      known
    ]

  def result(stage: int, record: records.RunRecord) -> dict[str, Any]:
    probs, truth = scores(stage, record, split)
    threshold = experiment.rules.threshold
    if thresholds == "validation":
      seen = [name in trained and name not in record.unseen for name in judged]
      threshold = metrics.best_thresholds(
        *scores(stage, record, "validation"), np.asarray(seen)
      )
    failed = int(restored.progress.failed_step[record.run])
    # Where there are several stages, the first result is before all of them
    # and the second after the source's.
    learnt = record.unseen[: max(stage - 1, 0)]
    taught = [
      name in trained and (name not in record.unseen or name in learnt)
      for name in judged
    ]
    return results.run_result(
      run=record.run,
      seed=record.seed,
      fold=record.fold.name,
      setting=record.setting,
      unseen=record.unseen,
      taught=np.asarray(taught),
      select=config.training.select,
      emotions=judged,
      decision=decision,
      probs=probs,
      labels=truth,
      threshold=threshold,
      failed_step=None if failed < 0 else failed,
    )

  runs, baselines = [], []
  names = [stage.name for stage in experiment.system.stages]
  for record in experiment.records:
    # Before any training, and after each stage.
    stages = [result(stage, record) for stage in range(len(logits))]
    run = stages[-1]
    if len(names) > 1:
      run["stages"] = [
        {
          "stage": name,
          **{key: after[key] for key in ("metrics", "per_emotion")},
        }
        for name, after in zip(names, stages[1:], strict=True)
      ]
    if record.unseen and len(names) > 1:
      run["transfer"] = results.transfer(
        [after["per_emotion"] for after in stages[1:]],
        stages[0]["per_emotion"],
        [name for name in judged if name in trained],
        [name for name in record.unseen if name in judged],
      )
    if observed is not None:
      run["robustness"] = observed[record.run]
    runs.append(run)
    truth = scores(-1, record, split)[1]
    baselines.append(
      metrics.majority_baseline(labels[record.fold.train], truth, decision)
    )
  outcome = results.build_results(
    system=config.system,
    config_sha256=description["config_sha256"],
    dataset=experiment.corpus.dataset,
    split=split,
    protocol={
      **config.protocol.to_dict(),
      "few_shot": config.few_shot.method,
      "thresholds": thresholds,
      "modalities": list(modalities or config.data.modalities),
      "emotions": list(judged),
      **(
        {}
        if observed is None
        else {
          "noise": experiment.config.noise.to_dict(),
          "repair": experiment.config.repair.to_dict(),
        }
      ),
    },
    select=config.training.select,
    runs=runs,
    baselines=baselines,
  )
  if "settings" in outcome:
    # A sweep is decided on validation, and only there.
    if split == "validation":
      setting = results.best_setting(outcome)
      if config.sweep.words:
        outcome["words"] = results.best_words(outcome)
    else:
      file = folder / "results" / "validation.json"
      setting = workdir.read_json(file)["setting"]
    outcome = results.choose(outcome, setting)
  name = "-".join(
    [split]
    + (["+".join(modalities)] if modalities else [])
    + (["+".join(emotions)] if emotions else [])
    + (["thresholds"] if thresholds == "validation" else [])
    + [f"{key.split('.')[-1]}={value}" for key, value in sorted(front.items())]
  )
  if examples:
    outcome["regenerated"] = examples
  if jax.process_index() == 0:
    workdir.write_json(folder / "results" / f"{name}.json", outcome)
    workdir.write_text(
      folder / "results" / f"{name}.md", tables.markdown(outcome)
    )
  return outcome


def _experiment(
  config: Any,
  description: dict[str, Any],
  trained: Sequence[str],
  emotions: Sequence[str],
  word_vectors: str,
  data_dir: str,
) -> build.Experiment:
  words = {}
  for form in emotions:
    name, equals, word = form.partition("=")
    if name not in trained and (equals or word_vectors):
      words[name] = word or name
    elif equals:
      raise errors.UserError(
        f"--emotions has {form!r}, but the workdir was trained with a word for"
        f" {name}; write {name} alone"
      )
  names = [form.partition("=")[0] for form in emotions]
  unseen = tuple(name for name in names if name not in trained)
  with config.unlocked():
    config.data.emotions = tuple(trained) + unseen
    config.data.words = (
      *config.data.words,
      *(f"{name}={word}" for name, word in words.items()),
    )
    if word_vectors:
      config.data.word_vectors = word_vectors
    if data_dir:
      config.data.dir = str(pathlib.Path(data_dir).absolute())
  experiment = build.build_experiment(
    config, restore.assumed_shapes(description) if data_dir else None
  )
  if unseen and not experiment.system.open_vocabulary:
    logging.warning(
      "%s was not trained on %s and reads no word vectors: it gets a freshly"
      " initialised output for it and guesses",
      config.system,
      ", ".join(unseen),
    )
  split = config.protocol.split
  if unseen and split == "random" and config.protocol.decision == "softmax":
    raise errors.UserError(
      f"--emotions names {', '.join(unseen)}, whose rows would enter the random"
      " split and mix the training rows with the test rows; train with"
      " another config.protocol.split"
    )
  known = experiment.runs.vectors[:, : len(trained)]
  if runs_lib.vectors_digest(known) != description["vectors_sha256"]:
    raise errors.UserError(
      f"the word vectors of {', '.join(trained)} are not those of the training;"
      " use the file and the shards that it had"
    )
  before = description["dataset"]["fingerprint"]
  now = experiment.corpus.dataset["fingerprint"]
  if before != now and not data_dir:
    raise errors.UserError(
      f"the shards in {config.data.dir} have fingerprint {now[:12]}, the"
      f" workdir was trained on {before[:12]}; pass --data_dir=DIR to evaluate"
      " on other shards on purpose"
    )
  return experiment


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


def _check_modalities(config: Any, modalities: Sequence[str]) -> None:
  for modality in modalities:
    if modality not in config.data.modalities:
      raise errors.UserError(
        f"--modalities names {modality!r}, but the model was trained on"
        f" {', '.join(config.data.modalities)}"
      )
