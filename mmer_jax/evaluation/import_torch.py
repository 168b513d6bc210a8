r"""Turns a published PyTorch MTEE into a workdir of ours.

Example:
  python -c "import numpy, torch; \
    state = torch.load('model.pt', weights_only=True); \
    numpy.savez('model.npz', **{k: v.numpy() for k, v in state.items()})"
  python -m mmer_jax.import_torch --state_dict=model.npz \
    --config=configs/mtee/mosei.py --config.data.dir=DIR --workdir=W

The state dict is that of the implementation that Dai et al. published: names
`RNNs.{0,1,2}.*` for text, audio and visual, `affineAudio.*`,
`affineVisual.*`, `modality_weights.weight`, `textEmoEmbs.weight`. It used no
padding mask: logits agree where nothing is masked.
"""

import pathlib

import jax
import ml_collections
import numpy as np

from mmer_jax.base import errors, workdir
from mmer_jax.experiment import build, provenance
from mmer_jax.systems.mtee import torch_weights
from mmer_jax.training import checkpoints, loop, mesh
from mmer_jax.training import session as session_lib


def write_workdir(
  path: pathlib.Path, config: ml_collections.ConfigDict, folder: pathlib.Path
) -> None:
  """Writes a workdir that `evaluate` takes for a trained one.

  Args:
    path: The state dict as .npz.
    config: With `config.data.dir`, of one fold; its seeds become one run.
    folder: The workdir, which must not exist.
  """
  if folder.exists() and any(folder.iterdir()):
    raise errors.UserError(
      f"--workdir={folder} exists, expected a new one; choose another"
    )
  state = torch_weights.read_state_dict(path)
  params = torch_weights.params_from_torch(state, config)
  provenance.fix_paths(config)
  with config.unlocked():
    config.seeds = config.seeds[:1]
  experiment = build.build_experiment(config)
  session = session_lib.open_session(experiment)
  if len(experiment.records) != 1:
    raise errors.UserError(
      f"the config has {len(experiment.records)} folds and settings, expected one:"
      " a state dict is one model; set config.protocol.folds"
    )
  _check_emotions(state, experiment)
  compiled = session.program(0)
  batch = build.sample_batch(config, experiment.corpus)
  runs = session.place_runs(experiment.runs)
  begun = compiled.init(runs, mesh.place(batch, session.mesh))
  expected = jax.tree.map(lambda leaf: leaf[0], begun.best_params)
  jax.tree.map(torch_weights.check_shape, params, expected)
  stacked = mesh.place(
    jax.tree.map(lambda leaf: np.asarray(leaf)[None], params),
    session.mesh,
    "runs",
  )
  finished = begun.replace(
    best_params=stacked, train=begun.train.replace(params=stacked)
  )
  workdir.write_json(folder / "config.json", config.to_dict())
  workdir.write_json(
    folder / "run.json", provenance.describe(experiment, session.mesh.shape)
  )
  workdir.write_text(folder / "metrics.jsonl", "")
  store = checkpoints.Checkpoints(folder)
  store.save(1, finished, runs, loop.Position(0, 0, 0, done=True)._asdict())
  store.close()


def _check_emotions(
  state: dict[str, np.ndarray], experiment: build.Experiment
) -> None:
  """The model's own emotion vectors must be those of the shards."""
  theirs = state.get("textEmoEmbs.weight")
  if theirs is None:
    return
  ours = experiment.corpus.vectors
  if theirs.shape != ours.shape or not np.allclose(theirs, ours, atol=1e-5):
    raise errors.UserError(
      f"textEmoEmbs.weight {theirs.shape} is not the word vectors of"
      f" {', '.join(experiment.corpus.emotions)} in the shards {ours.shape}; set"
      " config.data.emotions to the model's emotions in its order, and convert"
      " with its word vectors"
    )
