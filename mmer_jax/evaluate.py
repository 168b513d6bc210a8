r"""Evaluates the selected checkpoint of every run of a workdir.

Example:
  python -m mmer_jax.evaluate --workdir=runs/mtee_iemocap --split=test \
    --modalities=lexical

Writes WORKDIR/results/<name>.json and .md and prints the table.
"""

import operator
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import rich.console
from absl import flags, logging

from mmer_jax import (
  checkpoints,
  errors,
  experiment,
  layout,
  metrics,
  program,
  results,
  robustness,
  training,
  workdir,
)
from mmer_jax.data import noise, pipeline, repair

SPLITS = ("train", "validation", "test")


def evaluate(
  folder: pathlib.Path,
  *,
  split: str,
  modalities: Sequence[str] = (),
  emotions: Sequence[str] = (),
  word_vectors: str = "",
  thresholds: str = "fixed",
  data_dir: str = "",
  front: Mapping[str, Any] | None = None,
  setup: experiment.Experiment | None = None,
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
    setup: The experiment, where the caller has it already.

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
  if setup is None:
    setup = _setup(
      config, description, trained, emotions, word_vectors, data_dir
    )
    setup = robustness.attach(
      setup, folder, description["dataset"]["fingerprint"]
    )
  _check_modalities(config, modalities)
  decision = setup.rules.decision
  check_thresholds(thresholds, decision)

  sides = (split, "validation") if thresholds == "validation" else (split,)
  restored = restore(folder, setup, len(trained))
  new = len(setup.corpus.emotions) - len(trained)
  logits = _predict(setup, restored, sides, modalities, new)
  observed, examples = None, []
  if robustness.make_front(setup.config) is not None and not new:
    observed, examples = robustness.measure(
      setup,
      program.place(restored.params[-1], setup.mesh, "runs"),
      experiment.as_device(restored.runs, setup.mesh),
      setup.rows(split),
      tuple(modalities) or None,
    )
  judged = tuple(name.partition("=")[0] for name in emotions) or trained
  columns = [setup.corpus.emotions.index(emotion) for emotion in judged]
  labels = setup.corpus.labels[:, columns]

  def scores(
    stage: int, record: layout.RunRecord, side: str
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
    return _probabilities(decision, found), labels[rows][known]

  def result(stage: int, record: layout.RunRecord) -> dict[str, Any]:
    probs, truth = scores(stage, record, split)
    threshold = setup.rules.threshold
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
  names = [stage.name for stage in setup.system.stages]
  for record in setup.records:
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
  outcome = results.build(
    system=config.system,
    config_sha256=description["config_sha256"],
    dataset=setup.corpus.dataset,
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
          "noise": setup.config.noise.to_dict(),
          "repair": setup.config.repair.to_dict(),
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
      folder / "results" / f"{name}.md", results.markdown(outcome)
    )
  return outcome


def _setup(
  config: Any,
  description: dict[str, Any],
  trained: Sequence[str],
  emotions: Sequence[str],
  word_vectors: str,
  data_dir: str,
) -> experiment.Experiment:
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
  setup = experiment.build(config, _lacking(description) if data_dir else None)
  if unseen and not setup.system.open_vocabulary:
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
  known = setup.runs.vectors[:, : len(trained)]
  if layout.digest(known) != description["vectors_sha256"]:
    raise errors.UserError(
      f"the word vectors of {', '.join(trained)} are not those of the training;"
      " use the file and the shards that it had"
    )
  before = description["dataset"]["fingerprint"]
  now = setup.corpus.dataset["fingerprint"]
  if before != now and not data_dir:
    raise errors.UserError(
      f"the shards in {config.data.dir} have fingerprint {now[:12]}, the"
      f" workdir was trained on {before[:12]}; pass --data_dir=DIR to evaluate"
      " on other shards on purpose"
    )
  return setup


def _lacking(description: dict[str, Any]) -> pipeline.Lacking:
  """What training had and other shards may not."""
  return pipeline.Lacking(
    shapes={
      modality: (entry["length"], entry["dim"])
      for modality, entry in description["modalities"].items()
    },
    vectors=np.asarray(
      [emotion["vector"] for emotion in description["emotions"]], np.float32
    ),
  )


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


class Restored(NamedTuple):
  """What a finished workdir knows.

  Attributes:
    params: What each stage selected, with the runs axis.
    runs: The settings, normalised as in training.
    progress: Where each run ended.
  """

  params: tuple[training.Params, ...]
  runs: training.Runs
  progress: training.Progress


def restore(
  folder: pathlib.Path, setup: experiment.Experiment, trained: int
) -> Restored:
  """Reads the selected parameters of a finished workdir.

  Args:
    folder: The workdir.
    setup: Its experiment; emotions that it was not trained on come last.
    trained: How many emotions the workdir has parameters for.

  Raises:
    UserError: Training has not finished.
  """
  last = len(setup.system.stages) - 1
  batch = experiment.sample_batch(setup.config, setup.corpus)
  # The checkpoint has the emotions of training; new ones come after.
  new = len(setup.corpus.emotions) - trained
  roles = setup.runs.known.shape[1] - new
  saved = setup.runs.replace(
    known=setup.runs.known[:, :roles, :trained],
    class_weight=setup.runs.class_weight[:, :roles, :trained],
    vectors=setup.runs.vectors[:, :trained],
    repair=None,
  )
  store = checkpoints.Checkpoints(folder)
  try:
    if not store.position()["done"]:
      raise errors.UserError(
        f"training in {folder} has not finished; run the same"
        " `python -m mmer_jax.train` command again to resume it"
      )
    selected, restored, progress = store.restore_best(
      program.abstract_state(
        setup.program(last),
        saved,
        batch.replace(labels=batch.labels[:, :trained]),
      ),
      saved,
      program.replicated(setup.mesh),
    )
  finally:
    store.close()
  # Whatever rows the folds have by now. What check and proxies were fitted to
  # is not in a checkpoint.
  runs = setup.runs.replace(mean=restored.mean, scale=restored.scale)
  return Restored(selected, runs, progress)


def validation_thresholds(
  setup: experiment.Experiment, restored: Restored, members: Sequence[int]
) -> np.ndarray:
  """The thresholds of `--thresholds=validation`, where all is as in training.

  Args:
    setup: The experiment; its decisions are binary.
    restored: Its parameters.
    members: Runs.

  Returns:
    (len(members), k + 1): of every emotion, and of one that is new.
  """
  logits = _predict(setup, restored, ("validation",), (), 0)[-1]["validation"]
  chosen = []
  for record in (setup.records[member] for member in members):
    rows = record.fold.validation
    probs = _probabilities("binary", logits[record.run][: len(rows)])
    seen = [name not in record.unseen for name in setup.corpus.emotions]
    # A column that nobody reads stands for the new one.
    columns = [
      np.pad(each, ((0, 0), (0, 1)))
      for each in (probs, setup.corpus.labels[rows])
    ]
    chosen.append(metrics.best_thresholds(*columns, np.array([*seen, False])))
  return np.stack(chosen)


def _probabilities(decision: str, logits: np.ndarray) -> np.ndarray:
  """In float64, where large logits do not saturate into ties."""
  with jax.enable_x64(True):
    return np.asarray(
      training.probabilities(decision, logits.astype(np.float64))
    )


def _predict(
  setup: experiment.Experiment,
  restored: Restored,
  sides: Sequence[str],
  modalities: Sequence[str],
  new: int,
) -> list[dict[str, np.ndarray]]:
  """Predicts with what each stage selected.

  Args:
    setup: The experiment.
    restored: Its parameters.
    sides: The splits to predict.
    modalities: Empty for all.
    new: How many emotions there are no parameters for.

  Returns:
    Split to logits (r, n, k), the rows of each run's split first: before any
    training (only where there are several stages), then after each stage.
  """
  last = len(setup.system.stages) - 1
  batch = experiment.sample_batch(setup.config, setup.corpus)
  keep = tuple(modalities) or None
  compiled = setup.program(last, keep=keep)
  runs = experiment.as_device(restored.runs, setup.mesh)
  params = [program.place(each, setup.mesh, "runs") for each in restored.params]
  if last or new:
    fresh = compiled.init(runs, program.place(batch, setup.mesh)).best_params
    params = [jax.tree.map(_extend, each, fresh) for each in params]
    params = [fresh, *params] if last else params
  # A stage that judges by another part of the system has a program of its own.
  programs = [compiled] * len(params)
  for number, stage in enumerate(setup.system.stages[:last]):
    if stage.predict is not None:
      programs[1 + number] = setup.program(number, keep=keep)
  rows = {side: next(setup.feed(iter([setup.rows(side)]))) for side in sides}
  return [
    {
      side: program.fetch(
        each.predict(found, runs, setup.source, rows[side]).logits
      )
      for side in sides
    }
    for each, found in zip(programs, params, strict=True)
  ]


def _extend(trained: jax.Array, fresh: jax.Array) -> jax.Array:
  """Gives what has a row per emotion untrained rows for the new ones."""
  if trained.shape == fresh.shape:
    return trained
  return fresh.at[..., : trained.shape[-1]].set(trained)


def define_flags() -> None:
  """Defines the command line; importing this module does not."""
  flags.DEFINE_string("workdir", None, "Of `mmer_jax.train`.")
  flags.DEFINE_enum("split", "test", SPLITS, "Which rows.")
  flags.DEFINE_list(
    "modalities", [], "The model sees these alone; all by default."
  )
  flags.DEFINE_list(
    "emotions",
    [],
    "Judge these alone, in this order. They may be emotions of the shards that"
    " training had no label of: mtee reads them from their word vectors, a"
    " system without word vectors guesses with an untrained output. Such a one"
    " may be NAME=WORD, to be read from the vector of another word.",
  )
  flags.DEFINE_string(
    "word_vectors",
    "",
    "File of word vectors for new --emotions; by default the shards' vectors.",
  )
  flags.DEFINE_enum(
    "thresholds",
    "fixed",
    ("fixed", "validation"),
    "Of binary decisions: config.protocol.threshold, or the best of each"
    " emotion on the validation split; an unseen emotion takes the one that is"
    " best on average over the others.",
  )
  flags.DEFINE_string(
    "data_dir", "", "Shards, where they have moved since training."
  )
  flags.DEFINE_enum(
    "noise", None, noise.KINDS, "What fails; by default as in training."
  )
  flags.DEFINE_float("snr", None, "Of --noise=gaussian: power of the signal.")
  flags.DEFINE_float("noise_share", None, "Of the utterances, with --noise.")
  flags.DEFINE_enum(
    "repair",
    None,
    repair.METHODS,
    "In front of the system: modalities that do not fit the others are taken"
    " away, or regenerated; by default as in training. Fitted to the training"
    " rows of each run, once.",
  )
  flags.DEFINE_enum("score", None, repair.SCORES, "Of --repair.")
  flags.DEFINE_enum("proxy", None, repair.PROXIES, "Of --repair=proxy.")
  flags.DEFINE_float(
    "tau", None, "Of --repair; chosen on validation by default."
  )
  flags.mark_flag_as_required("workdir")


def front_of_flags() -> dict[str, Any]:
  """The `front` of `evaluate` that the flags ask for."""
  found = {
    "noise.kind": flags.FLAGS.noise,
    "noise.snr": flags.FLAGS.snr,
    "noise.share": flags.FLAGS.noise_share,
    "repair.inference": flags.FLAGS.repair,
    "repair.score": flags.FLAGS.score,
    "repair.proxy": flags.FLAGS.proxy,
    "repair.tau_from": None if flags.FLAGS.tau is None else "config",
    "repair.tau": flags.FLAGS.tau,
  }
  return {key: value for key, value in found.items() if value is not None}


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  outcome = evaluate(
    folder,
    split=flags.FLAGS.split,
    modalities=flags.FLAGS.modalities,
    emotions=flags.FLAGS.emotions,
    word_vectors=flags.FLAGS.word_vectors,
    thresholds=flags.FLAGS.thresholds,
    data_dir=flags.FLAGS.data_dir,
    front=front_of_flags(),
  )
  console = rich.console.Console()
  console.print(results.to_rich(outcome))
  console.print(f"results: {folder / 'results'}")


if __name__ == "__main__":
  define_flags()
  errors.run(main)
