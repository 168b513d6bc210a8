"""Writes a workdir of the parameters of a published PyTorch MTEE."""

import pathlib

import jax
import ml_collections
import numpy as np

from mmer_jax.base import errors, progress, workdir
from mmer_jax.evaluation import evaluate, load
from mmer_jax.experiment import build, fit, provenance
from mmer_jax.systems import interface
from mmer_jax.systems.mtee import torch_weights
from mmer_jax.training import checkpoints, mesh, step
from mmer_jax.training import session as session_lib


@progress.doing("importing")
def write_workdir(
  path: pathlib.Path, config: ml_collections.ConfigDict, folder: pathlib.Path
) -> None:
  """Writes a workdir like a trained one, with its results on validation.

  Args:
    path: The state dict as .npz.
    config: A config of one fold, with `config.data.dir`; of its seeds the
      first is taken.
    folder: The workdir, which must not exist.

  Raises:
    UserError: State dict, config and shards do not fit, or the folder is used.
  """
  if folder.exists() and any(folder.iterdir()):
    raise errors.UserError(
      f"--workdir={folder} exists, expected a new one; choose another"
    )
  state = torch_weights.read_state_dict(path)
  provenance.fix_paths(config)
  fit.fit_to_corpus(config)
  params = torch_weights.params_from_torch(state, config)
  with config.unlocked():
    config.seeds = config.seeds[:1]
  experiment = build.build_experiment(config)
  session = session_lib.open_session(experiment)
  if len(experiment.records) != 1:
    raise errors.UserError(
      f"the config has {len(experiment.records)} folds and settings, expected"
      " one: a state dict is one model; set config.protocol.folds"
    )
  _check_emotions(state, experiment)
  runs = session.place_runs(experiment.runs)
  finished = _finished_state(session, runs, params)
  workdir.write_json(folder / "config.json", config.to_dict())
  description = provenance.describe(experiment, session.mesh.shape)
  workdir.write_json(folder / "run.json", description)
  workdir.write_text(folder / "metrics.jsonl", "")
  store = checkpoints.Checkpoints(folder)
  store.save(1, finished, runs, checkpoints.Position(0, 0, 0, done=True))
  store.close()
  # Whoever exports or predicts looks there for the run to take.
  evaluate.evaluate(
    load.TrainedWorkdir(folder, description, session),
    evaluate.Request("validation"),
  )


def _finished_state(
  session: session_lib.Session,
  runs: interface.RunSettings,
  params: interface.Params,
) -> step.RunState:
  """Makes the state of a finished run that selected the parameters."""
  experiment = session.experiment
  batch = build.sample_batch(experiment.config, experiment.corpus)
  begun = session.program(0).init(runs, mesh.place(batch, session.mesh))
  expected = jax.tree.map(lambda leaf: leaf[0], begun.best_params)
  jax.tree.map(torch_weights.check_shape, params, expected)
  stacked = mesh.place(
    jax.tree.map(lambda leaf: np.asarray(leaf)[None], params),
    session.mesh,
    "runs",
  )
  return begun.replace(
    best_params=stacked, train=begun.train.replace(params=stacked)
  )


def _check_emotions(
  state: dict[str, np.ndarray], experiment: build.Experiment
) -> None:
  """Refuses a model whose emotion vectors are not those of the shards."""
  theirs = state.get("textEmoEmbs.weight")
  if theirs is None:
    return
  ours = experiment.corpus.vectors
  if theirs.shape != ours.shape or not np.allclose(theirs, ours, atol=1e-5):
    raise errors.UserError(
      f"textEmoEmbs.weight {theirs.shape} is not the word vectors of"
      f" {', '.join(experiment.corpus.emotions)} in the shards"
      f" {ours.shape}; set config.data.emotions to the model's emotions in its"
      " order, and convert with its word vectors"
    )
