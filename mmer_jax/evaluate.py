r"""Evaluates the selected checkpoint of every run of a workdir.

Example:
  python -m mmer_jax.evaluate --workdir=runs/mtee_iemocap --split=test \
    --modalities=lexical

Writes WORKDIR/results/<name>.json and .md and prints the table.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import rich.console
from absl import flags

from mmer_jax import (
  checkpoints,
  errors,
  experiment,
  metrics,
  program,
  results,
  training,
  workdir,
)

SPLITS = ("train", "validation", "test")


def evaluate(
  folder: pathlib.Path,
  *,
  split: str,
  modalities: Sequence[str] = (),
  emotions: Sequence[str] = (),
  data_dir: str = "",
  setup: experiment.Experiment | None = None,
) -> dict[str, Any]:
  """Scores every run of a finished workdir and writes the result.

  Args:
    folder: The workdir.
    split: `train`, `validation` or `test` of each run's fold.
    modalities: What the model may see; empty for all it was trained on.
    emotions: What it is judged on; empty for what it was trained on.
    data_dir: The shard folder, where it is not the one of training.
    setup: The experiment, where the caller has it already.

  Returns:
    The content of `results/<name>.json`.

  Raises:
    UserError: The workdir is not finished, or does not fit the request.
  """
  description = workdir.read_json(folder / "run.json")
  config = workdir.read_config(folder)
  trained = tuple(emotion["name"] for emotion in description["emotions"])
  if setup is None:
    setup = _setup(config, description, trained, emotions, data_dir)
  _check_modalities(config, modalities)

  logits, progress = _predict(folder, setup, split, modalities, len(trained))
  judged = tuple(emotions) or trained
  columns = [setup.corpus.emotions.index(emotion) for emotion in judged]
  labels = setup.corpus.labels[:, columns]
  decision, threshold = setup.rules.decision, setup.rules.threshold
  runs, baselines = [], []
  for record in setup.records:
    rows = getattr(record.fold, split)
    if decision == "softmax":
      rows_known = labels[rows].sum(axis=1) == 1
    else:
      rows_known = np.ones(len(rows), bool)
    if not rows_known.any():
      raise errors.UserError(
        f"the {split} split of fold {record.fold.name} has no utterance of"
        f" {', '.join(judged)}; choose other --emotions"
      )
    truth = labels[rows][rows_known]
    scores = logits[record.run][: len(rows)][rows_known][:, columns]
    # In float64, where large logits do not saturate into ties.
    with jax.enable_x64(True):
      probs = np.asarray(
        training.probabilities(decision, scores.astype(np.float64))
      )
    failed = int(progress.failed_step[record.run])
    runs.append(
      results.run_result(
        run=record.run,
        seed=record.seed,
        fold=record.fold.name,
        setting=record.setting,
        emotions=judged,
        decision=decision,
        probs=probs,
        labels=truth,
        threshold=threshold,
        failed_step=None if failed < 0 else failed,
      )
    )
    baselines.append(
      metrics.majority_baseline(labels[record.fold.train], truth, decision)
    )
  outcome = results.build(
    system=config.system,
    config_sha256=description["config_sha256"],
    dataset={
      "name": setup.corpus.manifest["name"],
      "fingerprint": setup.corpus.manifest["fingerprint"],
    },
    split=split,
    protocol={
      **config.protocol.to_dict(),
      "modalities": list(modalities or config.data.modalities),
      "emotions": list(judged),
    },
    select=config.training.select,
    runs=runs,
    baselines=baselines,
  )
  if "settings" in outcome:
    # A sweep is decided on validation, and only there.
    if split == "validation":
      setting = results.best_setting(outcome)
    else:
      file = folder / "results" / "validation.json"
      setting = workdir.read_json(file)["setting"]
    outcome = results.choose(outcome, setting)
  name = "-".join(
    [split]
    + (["+".join(modalities)] if modalities else [])
    + (["+".join(emotions)] if emotions else [])
  )
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
  data_dir: str,
) -> experiment.Experiment:
  unseen = tuple(name for name in emotions if name not in trained)
  with config.unlocked():
    config.data.emotions = tuple(trained) + unseen
    if data_dir:
      config.data.dir = str(pathlib.Path(data_dir).absolute())
  setup = experiment.build(config)
  if unseen and not setup.system.open_vocabulary:
    raise errors.UserError(
      f"--emotions names {', '.join(unseen)}, but {config.system} was trained"
      f" on {', '.join(trained)} and cannot take a new emotion; mtee can"
    )
  split = config.protocol.split
  if unseen and split == "random" and config.protocol.decision == "softmax":
    raise errors.UserError(
      f"--emotions names {', '.join(unseen)}, whose rows would enter the random"
      " split and mix the training rows with the test rows; train with"
      " another config.protocol.split"
    )
  before = description["dataset"]["fingerprint"]
  now = setup.corpus.manifest["fingerprint"]
  if before != now and not data_dir:
    raise errors.UserError(
      f"the shards in {config.data.dir} have fingerprint {now[:12]}, the"
      f" workdir was trained on {before[:12]}; pass --data_dir=DIR to evaluate"
      " on other shards on purpose"
    )
  return setup


def _check_modalities(config: Any, modalities: Sequence[str]) -> None:
  for modality in modalities:
    if modality not in config.data.modalities:
      raise errors.UserError(
        f"--modalities names {modality!r}, but the model was trained on"
        f" {', '.join(config.data.modalities)}"
      )


def _predict(
  folder: pathlib.Path,
  setup: experiment.Experiment,
  split: str,
  modalities: Sequence[str],
  trained: int,
) -> tuple[np.ndarray, training.Progress]:
  """Returns logits (r, n, k), the rows of each run's split first."""
  store = checkpoints.Checkpoints(folder)
  try:
    if not store.position()["done"]:
      raise errors.UserError(
        f"training in {folder} has not finished; run the same"
        " `python -m mmer_jax.train` command again to resume it"
      )
    compiled = setup.program(
      setup.system.stages[-1], keep=tuple(modalities) or None
    )
    batch = experiment.sample_batch(setup.config, setup.corpus)
    runs = experiment.as_device(setup.runs, setup.mesh)
    target = program.abstract_state(compiled, runs, batch)
    # The checkpoint weighs the emotions of training; new ones come after.
    saved = setup.runs.replace(
      class_weight=setup.runs.class_weight[:, :trained]
    )
    params, runs, progress = store.restore_best(
      target, saved, program.replicated(setup.mesh)
    )
  finally:
    store.close()
  params = program.place(params, setup.mesh, "runs")
  rows = next(setup.feed(iter([setup.rows(split)])))
  prediction = compiled.predict(
    params, experiment.as_device(runs, setup.mesh), setup.source, rows
  )
  logits = program.fetch(prediction.logits)
  assert all(
    len(getattr(record.fold, split)) <= logits.shape[1]
    for record in setup.records
  )
  return logits, progress


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
    "Judge these alone, in this order. A system that reads emotions from word"
    " vectors (mtee) also takes emotions of the shards that it was not"
    " trained on.",
  )
  flags.DEFINE_string(
    "data_dir", "", "Shards, where they have moved since training."
  )
  flags.mark_flag_as_required("workdir")


def main(argv: Sequence[str]) -> None:
  """Reads the flags."""
  del argv
  folder = pathlib.Path(flags.FLAGS.workdir)
  outcome = evaluate(
    folder,
    split=flags.FLAGS.split,
    modalities=flags.FLAGS.modalities,
    emotions=flags.FLAGS.emotions,
    data_dir=flags.FLAGS.data_dir,
  )
  console = rich.console.Console()
  console.print(results.to_rich(outcome))
  console.print(f"results: {folder / 'results'}")


if __name__ == "__main__":
  define_flags()
  errors.run(main)
