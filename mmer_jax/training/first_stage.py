"""Takes the first stage of a training from the workdir that trained it."""

import pathlib

import jax

from mmer_jax.base import errors, workdir
from mmer_jax.experiment import build, provenance
from mmer_jax.training import checkpoints, step


def check_first_stage(
  experiment: build.Experiment, first_stage: pathlib.Path
) -> None:
  """Refuses a workdir that does not end where the second stage begins.

  Args:
    experiment: The training that would begin with its second stage.
    first_stage: The workdir of `--first_stage`.

  Raises:
    UserError: Config, data or state of the workdir do not fit.
  """
  if len(experiment.system.stages) < 2:
    raise errors.UserError(
      "--first_stage stands in for the first of several stages, got"
      f" config.few_shot.method {experiment.config.few_shot.method!r}; leave"
      " it out"
    )
  config = workdir.read_config(first_stage)
  method = config.few_shot.method
  before = provenance.comparable(config.to_dict())
  now = provenance.comparable(experiment.config.to_dict())
  for each in (before, now):
    each.pop("few_shot")
  changed = sorted(provenance.differing_keys("config", before, now))
  if method != "none":
    changed.append(f"config.few_shot.method was {method!r}, expected 'none'")
  if changed:
    raise errors.UserError(
      f"--first_stage={first_stage} was trained with another config"
      f" ({'; '.join(changed)}); use one of the same config, or leave it out"
    )
  provenance.check_data(experiment, first_stage)
  store = checkpoints.Checkpoints(first_stage)
  try:
    if not store.position().done:
      raise errors.UserError(
        f"training in --first_stage={first_stage} has not finished; resume it"
        " first"
      )
  finally:
    store.close()


def take_over(
  first_stage: pathlib.Path, folder: pathlib.Path, target: step.RunState
) -> step.RunState:
  """Copies the log of the first stage and reads its last state.

  Args:
    first_stage: The workdir that trained it.
    folder: The workdir that goes on with the second stage.
    target: The abstract state of the first stage.
  """
  if jax.process_index() == 0:
    log = (first_stage / "metrics.jsonl").read_text(encoding="utf-8")
    workdir.write_text(folder / "metrics.jsonl", log)
  store = checkpoints.Checkpoints(first_stage)
  try:
    return store.restore(target)
  finally:
    store.close()
