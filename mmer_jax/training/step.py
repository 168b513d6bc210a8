"""Defines the state of one run and updates it by one step."""

import zlib
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Scalar

from mmer_jax.data import schema
from mmer_jax.systems import interface

_OPTIMIZERS = {"adam": optax.scale_by_adam(), "sgd": optax.identity()}


@flax.struct.dataclass
class TrainState:
  """Holds what an update changes: parameters and optimiser."""

  step: Int[Array, "*r"]
  params: interface.Params
  opt_state: Any


@flax.struct.dataclass
class Progress:
  """Records a run's plateau, early stopping, selection and failure.

  Attributes:
    epoch: Epochs finished in this stage.
    rate_scale: Factor of the learning rate after the plateaus so far.
    plateau_best: Lowest validation loss so far.
    plateau_bad: Epochs since that loss, as ReduceLROnPlateau counts them.
    best: Best value of the selection metric, larger is better.
    best_epoch: The epoch it was reached in, from 1; 0 before any.
    stopped: The run changes no more: early stopping or failure.
    failed_step: The step whose loss or gradient was not finite; -1 for none.
    sums: Sums over this epoch's examples of the loss and of its terms.
    examples: Examples of this epoch so far.
  """

  epoch: Int[Array, "*r"]
  rate_scale: Float[Array, "*r"]
  plateau_best: Float[Array, "*r"]
  plateau_bad: Int[Array, "*r"]
  best: Float[Array, "*r"]
  best_epoch: Int[Array, "*r"]
  stopped: Bool[Array, "*r"]
  failed_step: Int[Array, "*r"]
  sums: dict[str, Float[Array, "*r"]]
  examples: Float[Array, "*r"]


@flax.struct.dataclass
class RunState:
  """Holds the whole state of a run; with its settings, enough to resume it.

  Attributes:
    train: Parameters and optimiser, which an update changes.
    best_params: Parameters that validation selected in this stage so far.
    progress: Epoch, plateau, selection and failure.
    finished: Parameters that validation selected in each stage before.
  """

  train: TrainState
  best_params: interface.Params
  progress: Progress
  finished: tuple[interface.Params, ...]


def stream_key(seed: Array, name: str, step: Array | int) -> PRNGKeyArray:
  """Derives the key of one random stream at one step from the seed alone."""
  root = jax.random.fold_in(
    jax.random.key(seed), zlib.crc32(name.encode()) & 0x7FFFFFFF
  )
  return jax.random.fold_in(root, step)


def init_run(
  params: interface.Params,
  terms: Sequence[str],
  optimizer: str = "adam",
  first_step: Array | int = 0,
  finished: tuple[interface.Params, ...] = (),
) -> RunState:
  """Makes the state of a run before its first step of a stage.

  Args:
    params: Parameters from `System.init`, or the best of the stage before.
    terms: Names of what the stage's loss logs beside its value.
    optimizer: Optimiser of the stage, `adam` or `sgd`.
    first_step: Number of steps in the stages before.
    finished: Parameters that validation selected in each stage before.
  """
  # Two buffers: the state is donated, and a buffer is given away once.
  best_params = jax.tree.map(jnp.copy, params)
  return RunState(
    train=TrainState(
      step=jnp.asarray(first_step, jnp.int32),
      params=params,
      opt_state=_OPTIMIZERS[optimizer].init(params),
    ),
    best_params=best_params,
    progress=Progress(
      epoch=jnp.zeros((), jnp.int32),
      rate_scale=jnp.ones(()),
      plateau_best=jnp.full((), jnp.inf, jnp.float32),
      plateau_bad=jnp.zeros((), jnp.int32),
      best=jnp.full((), -jnp.inf, jnp.float32),
      best_epoch=jnp.zeros((), jnp.int32),
      stopped=jnp.zeros((), bool),
      failed_step=jnp.full((), -1, jnp.int32),
      sums={
        name: jnp.zeros(())
        for name in ("loss", *terms)
        if name != interface.STATISTICS
      },
      examples=jnp.zeros(()),
    ),
    finished=finished,
  )


def train_step(
  stage: interface.Stage,
  state: RunState,
  batch: schema.Batch,
  run: interface.RunSettings,
) -> RunState:
  """Updates one run by one batch, in the order of PyTorch: clip, L2, Adam.

  Under `sgd` what is clipped and decayed is the step itself.

  Nothing changes where the batch holds no example, where the run has stopped,
  and where the loss or its gradient is not finite; the last stops the run and
  records the step.
  """
  train, progress = state.train, state.progress
  key = stream_key(run.seed, stage.name, train.step)
  gradient = stage.gradient or jax.value_and_grad(stage.loss, has_aux=True)
  (loss, terms), grads = gradient(
    train.params, batch, run.replace(epoch=progress.epoch), key
  )
  still = (*stage.frozen, interface.STATISTICS)
  grads = _without(grads, still)
  norm = optax.tree.norm(grads)
  finite = jnp.isfinite(loss) & jnp.isfinite(norm)
  live = batch.example_mask.any() & ~progress.stopped
  apply = live & finite

  grads = _clip_and_decay(grads, norm, _without(train.params, still), run)
  optimizer = _OPTIMIZERS[stage.optimizer]
  updates, opt_state = optimizer.update(grads, train.opt_state)
  rate = run.learning_rate * stage.rate * progress.rate_scale
  params = jax.tree.map(
    lambda param, update: param - rate * update, train.params, updates
  )
  if interface.STATISTICS in terms:
    params = {**params, interface.STATISTICS: terms[interface.STATISTICS]}
  params, opt_state = select_tree(
    apply, (params, opt_state), (train.params, train.opt_state)
  )
  progress = progress.replace(
    stopped=progress.stopped | (live & ~finite),
    failed_step=jnp.where(live & ~finite, train.step, progress.failed_step),
  )
  return state.replace(
    train=TrainState(train.step + apply, params, opt_state),
    progress=_add_to_sums(progress, {"loss": loss, **terms}, batch, apply),
  )


def _clip_and_decay(
  grads: interface.Params,
  norm: Scalar,
  params: interface.Params,
  run: interface.RunSettings,
) -> interface.Params:
  """Shortens the gradient to the run's norm, then adds its weight decay."""
  clipping = (run.clip_norm > 0) & (norm > run.clip_norm)
  shrink = jnp.where(clipping, run.clip_norm / jnp.maximum(norm, 1e-30), 1.0)
  return jax.tree.map(
    lambda grad, param: grad * shrink + run.weight_decay * param, grads, params
  )


def _add_to_sums(
  progress: Progress,
  values: dict[str, Scalar],
  batch: schema.Batch,
  apply: Bool[Array, ""],
) -> Progress:
  """Adds a step's loss and terms to the sums of the epoch."""
  examples = jnp.sum(batch.example_mask & batch.labelled).astype(jnp.float32)
  return progress.replace(
    sums={
      name: total + jnp.where(apply, values[name] * examples, 0.0)
      for name, total in progress.sums.items()
    },
    examples=progress.examples + jnp.where(apply, examples, 0.0),
  )


def select_tree(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
  """Chooses the new tree where the condition holds, else the old one."""
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _without(tree: Any, names: tuple[str, ...]) -> Any:
  """Zeroes the named parts; Adam leaves alone what has no gradient."""
  return {
    name: jax.tree.map(jnp.zeros_like, part) if name in names else part
    for name, part in tree.items()
  }
