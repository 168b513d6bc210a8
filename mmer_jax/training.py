"""The state, the stages and the runs of training, and their compiled step."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Scalar

from mmer_jax import metrics
from mmer_jax.data import repair as repair_lib
from mmer_jax.data import schema

Params = Any

# Dai et al. 2020, Figures 4 and 5.
CURVES = ("weighted_f1", "weighted_accuracy")

# The part of a system's parameters that is not descended: see `LossFn`.
STATISTICS = "statistics"

_OPTIMIZERS = {"adam": optax.scale_by_adam(), "sgd": optax.identity()}
OPTIMIZERS = tuple(_OPTIMIZERS)


@flax.struct.dataclass
class Runs:
  """The settings in which the runs of one program differ.

  Inside a step the leading axis is gone: a loss sees the settings of one run.

  Attributes:
    seed: Root of every random stream of the run.
    fold: Which fold of the protocol the run trains on, from 0.
    learning_rate: Before any plateau.
    weight_decay: L2, added to the gradient after the clip.
    clip_norm: Largest global norm of a gradient; 0 for none.
    known: Role to the emotions whose labels its rows have. Roles are numbered
      by the stage that brings the rows, from 0, the source; after them comes
      one for each emotion, of source rows with that emotion's label alone.
    class_weight: Per role and emotion; its meaning is the loss's (`pos_weight`
      of a binary decision, the weight of a class under a softmax).
    mean: Modality name to the mean of the run's training rows.
    scale: Modality name to 1 / standard deviation of the same.
    vectors: The word vectors of the emotions.
    keep: Modality name to whether the run sees it; empty where all runs see
      all.
    epoch: Of the stage, from 0, as a loss sees it; None outside of training.
    repair: What the modality check and the proxies in front of the system were
      fitted to; None where there are none.
  """

  seed: Int[Array, "*r"]
  fold: Int[Array, "*r"]
  learning_rate: Float[Array, "*r"]
  weight_decay: Float[Array, "*r"]
  clip_norm: Float[Array, "*r"]
  known: Bool[Array, "*r s k"]
  class_weight: Float[Array, "*r s k"]
  mean: dict[str, Float[Array, "*r d"]]
  scale: dict[str, Float[Array, "*r d"]]
  vectors: Float[Array, "*r k e"]
  keep: dict[str, Bool[Array, "*r"]]
  epoch: Int[Array, "*r"] | None = None
  repair: repair_lib.Fitted | None = None


class Prediction(NamedTuple):
  """What a system says of a batch.

  Attributes:
    logits: Before the sigmoid or the softmax of the protocol.
    per_modality: Modality name to its own scores; empty where the system
      has none.
    weights: Modality name to what it counts for in each utterance, summing to
      one; empty where the system has no such thing.
  """

  logits: Float[Array, "b k"]
  per_modality: dict[str, Float[Array, "b k"]]
  weights: dict[str, Float[Array, " b"]] = {}  # noqa: RUF012


class WordMaps(NamedTuple):
  """What a system says of the words of a batch; zeros where there is none.

  Attributes:
    attention: What each word counts for; the sum over an utterance is 1.
    acoustic: How much of each word was acoustic, from 0 to 1; None where the
      system does not weigh modalities.
  """

  attention: Float[Array, "b w"]
  acoustic: Float[Array, "b w"] | None


@flax.struct.dataclass
class Explanation:
  """Something a system can say of how it came to a prediction.

  Attributes:
    values: One entry per utterance.
    axes: What each axis after the first is: the name of a modality for its
      frames, `emotion`, or any other word.
  """

  values: Float[Array, "b ..."]
  axes: tuple[str, ...] = flax.struct.field(pytree_node=False)


# (key, batch, emotions) -> params
InitFn = Callable[[PRNGKeyArray, schema.Batch, Array], Params]
# (params, batch, emotions) -> Prediction. Sees no label and no key.
PredictFn = Callable[[Params, schema.Batch, Array], Prediction]
# (params, batch, emotions, run, key) -> (mean loss, terms to log). The key is
# None where nothing is to be random: validation. A term named `STATISTICS`
# is no scalar and not logged: it takes the place of that part of the
# parameters after a step.
LossFn = Callable[
  [Params, schema.Batch, Array, Runs, PRNGKeyArray | None],
  tuple[Scalar, dict[str, Any]],
]
# (params, emotions) -> modality name to the emotions' places (k d) there.
SpacesFn = Callable[[Params, Array], dict[str, Array]]
# (params, batch, emotions) -> WordMaps.
WordsFn = Callable[[Params, schema.Batch, Array], WordMaps]
# (params, batch, emotions) -> name to what the system can say of a batch.
ExplainFn = Callable[[Params, schema.Batch, Array], dict[str, Explanation]]
# The arguments of a loss -> ((loss, terms), gradient).
GradientFn = Callable[
  [Params, schema.Batch, Array, Runs, PRNGKeyArray | None],
  tuple[tuple[Scalar, dict[str, Scalar]], Params],
]


class Stage(NamedTuple):
  """A part of a system's training that has a loss of its own.

  Attributes:
    name: For people, and for its random stream.
    loss: Of a batch.
    section: The part of the config with its epochs and early stopping.
    rate: Of the run's learning rate.
    gradient: What is descended, where it is not the loss's own gradient.
    optimizer: `adam`, or `sgd`, which steps along the gradient itself.
    fresh: Whether it begins with new parameters, and not with those that the
      stage before selected.
    unlabelled: Whether unlabelled rows stand behind those of each batch, as
      many: see `data.unlabelled`.
    following: Whether the rows of the next batch stand behind them all.
    negatives: Whether a negative of each row stands behind them all: pairs of
      emotions, empty for any other; None for no negatives. See
      `data.negatives`.
    frozen: Names of the parts of the parameters that it leaves as they are.
    predict: What validation judges; None for the system's.
  """

  name: str
  loss: LossFn
  section: str = "training"
  rate: float = 1.0
  gradient: GradientFn | None = None
  optimizer: str = "adam"
  fresh: bool = False
  unlabelled: bool = False
  following: bool = False
  negatives: tuple[tuple[str, str], ...] | None = None
  frozen: tuple[str, ...] = ()
  predict: PredictFn | None = None


class System(NamedTuple):
  """All that the verbs may ask of a paper.

  Attributes:
    init: (key, batch, emotions) -> params.
    stages: Run in order.
    predict: (params, batch, emotions) -> Prediction.
    open_vocabulary: Whether `predict` takes emotions it was not trained on.
    spaces: Where the system puts the emotions; None where it has no place
      for them.
    words: What it looks at, word by word; None where it does not.
    explain: What it can say of a prediction beside `Prediction`, such as
      attention or gates; None for nothing.
    aligned: Whether streams of more than one frame have to be of one length.
    acoustic_word: Whether `predict` reads the words of a batch's frames.
  """

  init: InitFn
  stages: tuple[Stage, ...]
  predict: PredictFn
  open_vocabulary: bool
  spaces: SpacesFn | None = None
  words: WordsFn | None = None
  explain: ExplainFn | None = None
  aligned: bool = False
  acoustic_word: bool = False


@flax.struct.dataclass
class TrainState:
  """What an update changes."""

  step: Int[Array, "*r"]
  params: Params
  opt_state: Any


@flax.struct.dataclass
class Progress:
  """Where a run stands: plateau, early stopping, selection, failure.

  Attributes:
    epoch: Epochs finished in this stage.
    rate_scale: What plateaus have made of the learning rate.
    plateau_best: Lowest validation loss so far.
    plateau_bad: Epochs since, as ReduceLROnPlateau counts them.
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
  """All that a run is; with the run's settings, all that it needs to go on.

  Attributes:
    train: What an update changes.
    best_params: What validation selected, in this stage so far.
    progress: Where the run stands.
    finished: What it selected in each stage before.
  """

  train: TrainState
  best_params: Params
  progress: Progress
  finished: tuple[Params, ...]


class Rules(NamedTuple):
  """What all runs of a program share.

  Attributes:
    decision: `"binary"` or `"softmax"`.
    threshold: Of a binary decision.
    select: The validation metric that picks the checkpoint; `"loss"`, or
      `"last"` for the last epoch's.
    factor: Of the learning rate at a plateau.
    patience: Epochs without a lower validation loss that a plateau takes.
    early_stopping: Epochs without a better selection value that end a run;
      0 for never.
    curve_thresholds: Of binary decisions: every epoch logs the metrics of
      `CURVES` at each of them.
  """

  decision: str
  threshold: float
  select: str
  factor: float
  patience: int
  early_stopping: int
  curve_thresholds: tuple[float, ...]


def stream_key(seed: Array, name: str, step: Array | int) -> PRNGKeyArray:
  """The key of one random stream at one step; nothing to checkpoint."""
  root = jax.random.fold_in(
    jax.random.key(seed), zlib.crc32(name.encode()) & 0x7FFFFFFF
  )
  return jax.random.fold_in(root, step)


def init_run(
  params: Params,
  terms: Sequence[str],
  optimizer: str = "adam",
  first_step: Array | int = 0,
  finished: tuple[Params, ...] = (),
) -> RunState:
  """A run before its first step of a stage.

  Args:
    params: From `System.init`, or the best of the stage before.
    terms: Names of what the stage's loss logs beside its value.
    optimizer: The stage's.
    first_step: Steps of the stages before.
    finished: What those selected.
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
        name: jnp.zeros(()) for name in ("loss", *terms) if name != STATISTICS
      },
      examples=jnp.zeros(()),
    ),
    finished=finished,
  )


def train_step(
  stage: Stage,
  state: RunState,
  batch: schema.Batch,
  emotions: Float[Array, "k e"],
  run: Runs,
) -> RunState:
  """One update of one run: clip, L2, Adam, as PyTorch's Adam orders them.

  Under `sgd` what is clipped and decayed is the step itself.

  Nothing changes where the batch holds no example, where the run has stopped,
  and where the loss or its gradient is not finite; the last stops the run and
  records the step.
  """
  train, progress = state.train, state.progress
  key = stream_key(run.seed, stage.name, train.step)

  gradient = stage.gradient or jax.value_and_grad(stage.loss, has_aux=True)
  (loss, terms), grads = gradient(
    train.params, batch, emotions, run.replace(epoch=progress.epoch), key
  )
  still = (*stage.frozen, STATISTICS)
  grads = _without(grads, still)
  norm = optax.tree.norm(grads)
  finite = jnp.isfinite(loss) & jnp.isfinite(norm)
  examples = jnp.sum(batch.example_mask & batch.labelled).astype(jnp.float32)
  live = batch.example_mask.any() & ~progress.stopped
  apply = live & finite

  clipping = (run.clip_norm > 0) & (norm > run.clip_norm)
  shrink = jnp.where(clipping, run.clip_norm / jnp.maximum(norm, 1e-30), 1.0)
  grads = jax.tree.map(
    lambda grad, param: grad * shrink + run.weight_decay * param,
    grads,
    _without(train.params, still),
  )
  optimizer = _OPTIMIZERS[stage.optimizer]
  updates, opt_state = optimizer.update(grads, train.opt_state)
  rate = run.learning_rate * stage.rate * progress.rate_scale
  params = jax.tree.map(
    lambda param, update: param - rate * update, train.params, updates
  )
  if STATISTICS in terms:
    params = {**params, STATISTICS: terms[STATISTICS]}
  params, opt_state = _where(
    apply, (params, opt_state), (train.params, train.opt_state)
  )
  values = {"loss": loss, **terms}
  return state.replace(
    train=TrainState(train.step + apply, params, opt_state),
    progress=progress.replace(
      stopped=progress.stopped | (live & ~finite),
      failed_step=jnp.where(live & ~finite, train.step, progress.failed_step),
      sums={
        name: total + jnp.where(apply, values[name] * examples, 0.0)
        for name, total in progress.sums.items()
      },
      examples=progress.examples + jnp.where(apply, examples, 0.0),
    ),
  )


class Validation(NamedTuple):
  """What a pass over the validation rows leaves.

  Attributes:
    logits: Of every row, fillers included.
    labels: Of every row.
    mask: False on fillers and unlabelled rows.
    known: The emotions that the stages so far have taught.
    loss: Mean over the batches, weighted by their examples.
  """

  logits: Float[Array, "n k"]
  labels: Float[Array, "n k"]
  mask: Bool[Array, " n"]
  known: Bool[Array, " k"]
  loss: Scalar


def end_epoch(
  rules: Rules, state: RunState, validation: Validation
) -> tuple[RunState, dict[str, Scalar]]:
  """Plateau, selection and early stopping of one run, from validation alone.

  Args:
    rules: What the config says of them.
    state: After the epoch's last step.
    validation: With the parameters of that step.

  Returns:
    The state at the start of the next epoch, and what to log.
  """
  progress = state.progress
  live = ~progress.stopped
  probs = probabilities(rules.decision, validation.logits)
  scores = metrics.compute(
    rules.decision,
    probs,
    validation.labels,
    validation.mask,
    rules.threshold,
    emotions=validation.known,
  )
  if rules.select == "loss":
    value = -validation.loss
  elif rules.select == "last":
    value = progress.epoch.astype(jnp.float32)
  else:
    value = scores[rules.select]
  # Metrics are finite by design; a model whose validation loss is not must
  # not be selected by them.
  better = live & (value > progress.best) & jnp.isfinite(validation.loss)
  best_epoch = jnp.where(better, progress.epoch + 1, progress.best_epoch)

  # torch.optim.lr_scheduler.ReduceLROnPlateau, mode "min", its relative
  # threshold of 1e-4, no cooldown.
  lower = validation.loss < progress.plateau_best * (1 - 1e-4)
  bad = jnp.where(lower, 0, progress.plateau_bad + 1)
  reduce = bad > rules.patience
  waited = progress.epoch + 1 - best_epoch
  stop = (
    waited >= rules.early_stopping
    if rules.early_stopping
    else jnp.zeros_like(live)
  )
  examples = jnp.maximum(progress.examples, 1.0)
  log = {
    "step": state.train.step,
    "learning_rate_scale": progress.rate_scale,
    **{
      f"train_{name}": total / examples for name, total in progress.sums.items()
    },
    "validation_loss": validation.loss,
    **{f"validation_{name}": score for name, score in scores.items()},
    "epoch": progress.epoch + 1,
    "live": live,
    "best_epoch": best_epoch,
    "failed_step": progress.failed_step,
  }
  following = progress.replace(
    epoch=progress.epoch + 1,
    rate_scale=jnp.where(
      reduce, progress.rate_scale * rules.factor, progress.rate_scale
    ),
    plateau_best=jnp.where(lower, validation.loss, progress.plateau_best),
    plateau_bad=jnp.where(reduce, 0, bad),
    best=jnp.where(better, value, progress.best),
    best_epoch=best_epoch,
    stopped=stop,
  )
  following = _where(live, following, progress)
  reset = following.replace(
    sums=jax.tree.map(jnp.zeros_like, progress.sums),
    examples=jnp.zeros_like(progress.examples),
  )
  log["stopped"] = reset.stopped
  if rules.curve_thresholds:
    log.update(_curves(rules, probs, validation))
  best_params = _where(better, state.train.params, state.best_params)
  return state.replace(best_params=best_params, progress=reset), log


def _curves(
  rules: Rules, probs: Float[Array, "n k"], validation: Validation
) -> dict[str, Float[Array, " thresholds"]]:
  """The metrics of `CURVES` at every threshold, means over the emotions."""

  def at(threshold: Scalar) -> dict[str, Scalar]:
    values = metrics.compute(
      rules.decision,
      probs,
      validation.labels,
      validation.mask,
      threshold,
      emotions=validation.known,
    )
    return {f"validation_{name}_by_threshold": values[name] for name in CURVES}

  # One after another: mapped, they would hold the ranks of the AUC for each.
  return jax.lax.map(at, jnp.asarray(rules.curve_thresholds, jnp.float32))


def probabilities(
  decision: str, logits: Float[Array, "*n k"]
) -> Float[Array, "*n k"]:
  """Sigmoid of a binary decision per emotion, softmax over emotions."""
  if decision == "binary":
    return jax.nn.sigmoid(logits)
  return jax.nn.softmax(logits, axis=-1)


def _where(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _without(tree: Any, names: tuple[str, ...]) -> Any:
  """Zeroes the named parts; Adam leaves alone what has no gradient."""
  return {
    name: jax.tree.map(jnp.zeros_like, part) if name in names else part
    for name, part in tree.items()
  }
