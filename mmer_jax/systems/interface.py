"""What a system gives and what it gets: read this to add another system.

A system is a paper's model with the way it is trained. To add one, make

  systems/NAME/system.py    build(config) -> System, with its stages
  systems/NAME/model.py     its networks, as Flax modules
  systems/NAME/loss.py      its loss, where cross-entropy is not all of it
  systems/registry.py       one line in `SYSTEMS`
  configs/NAME/             its configs; `config.model` is the system's own

Data, folds, runs, selection, checkpoints, evaluation and export are shared and
ask for nothing but a `System`. The smallest one is a network, whose module maps
(batch, emotions, key=) to logits, and the loss that most systems share:

  network = network_lib.Network(model.MyModel(**config.model))
  criterion = supervised.Criterion.from_config(config)
  loss = supervised.make_loss(criterion, network.apply)
  return interface.System(
    init=network.init,
    stages=(interface.Stage("supervised", loss),),
    predict=network.predict,
    open_vocabulary=False,
  )

`tests/systems/conformance_test.py` runs every system of `SYSTEMS` through what
all must do: padding, the order of a batch and absent modalities change nothing,
gradients are finite.

Axes: r runs, b rows of a batch, s roles of rows, k emotions, e columns of a
word vector, d features.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Scalar

from mmer_jax.data import schema

# A dict of parts; its leaves are arrays.
Params = Any

# A part of the parameters that is not trained but follows the batches, such as
# the running mean of a batch norm: see `LossFn`.
STATISTICS = "statistics"

# What may step along a gradient: see `Stage.optimizer`.
OPTIMIZERS = ("adam", "sgd")


@flax.struct.dataclass
class RunSettings:
  """Holds the settings in which the runs of one program differ.

  All runs of a sweep are trained in one program, along an axis of runs. A loss
  sees the settings of one run: the axis is gone there.

  Attributes:
    seed: Root of every random stream of the run.
    fold: Which fold of the protocol the run trains on, from 0.
    learning_rate: The rate before any plateau.
    weight_decay: L2, added to the gradient after the clip.
    clip_norm: Largest global norm of a gradient; 0 for none.
    known: Role to the emotions whose labels its rows have. A role is the
      number of the stage that brings the rows, from 0; after them comes one
      for each emotion, of rows with that emotion's label alone.
    class_weight: Per role and emotion; its meaning is the loss's (`pos_weight`
      of a binary decision, the weight of a class under a softmax).
    mean: Modality name to the mean of the run's training rows.
    scale: Modality name to 1 / standard deviation of the same.
    vectors: Word vectors of the emotions; of width 0 where there are none.
    keep: Modality name to whether the run sees it; empty where all runs see
      all.
    epoch: Epoch of the stage, from 0, as a loss sees it; None outside of
      training.
    repair: What the input transform of the run was fitted to, which no system
      reads; None where there is none.
    rating_mean: Mean of the ratings of the run's training rows, in whose
      deviations a network's outputs are; None where the labels are emotions.
    rating_scale: Their deviation.
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
  repair: Any = None
  rating_mean: Float[Array, "*r k"] | None = None
  rating_scale: Float[Array, "*r k"] | None = None


class Prediction(NamedTuple):
  """Holds what a system predicts for a batch.

  Attributes:
    logits: Scores before the sigmoid or the softmax of the protocol; of
      ratings, the number of deviations from their mean.
    per_modality: Modality name to its own scores; empty where the system
      has none.
    weights: Modality name to its share in the fusion of each utterance, which
      sum to one; empty where the system has none.
  """

  logits: Float[Array, "b k"]
  per_modality: dict[str, Float[Array, "b k"]] = {}  # noqa: RUF012
  weights: dict[str, Float[Array, " b"]] = {}  # noqa: RUF012


# (key, batch, emotions) -> params. The emotions are their word vectors (k e),
# and k is the number of outputs.
InitFn = Callable[[PRNGKeyArray, schema.Batch, Array], Params]
# (params, batch, emotions) -> Prediction. Sees no label and no key.
PredictFn = Callable[[Params, schema.Batch, Array], Prediction]
# (params, batch, run, key) -> (mean loss, terms to log). The emotions are
# `run.vectors`. The key is None where nothing is to be random: validation. A
# term named `STATISTICS` is not logged: it takes the place of that part of the
# parameters after a step.
LossFn = Callable[
  [Params, schema.Batch, RunSettings, PRNGKeyArray | None],
  tuple[Scalar, dict[str, Any]],
]
# The arguments of a loss -> ((loss, terms), gradient).
GradientFn = Callable[
  [Params, schema.Batch, RunSettings, PRNGKeyArray | None],
  tuple[tuple[Scalar, dict[str, Scalar]], Params],
]


class Stage(NamedTuple):
  """Describes a part of a system's training that has a loss of its own.

  Attributes:
    name: Shown to people, and the name of the stage's random stream.
    loss: The loss of a batch.
    section: The part of the config with its epochs and early stopping.
    rate: Factor of the run's learning rate.
    gradient: What is descended, where it is not the loss's own gradient.
    optimizer: `adam`, or `sgd`, which steps along the gradient itself.
    fresh: Whether it begins with new parameters, and not with those that the
      stage before selected.
    unlabelled: Whether as many unlabelled rows are appended to each batch: see
      `data.unlabelled`.
    following: Whether the rows of the next batch are appended after them.
    negatives: Whether a negative of each row is appended after them: pairs of
      emotions, empty for any other; None for no negatives. See
      `data.negatives`.
    frozen: Names of the parts of the parameters that it does not change.
    predict: What validation scores; None for the system's `predict`.
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


class WordMaps(NamedTuple):
  """Holds what a system reads from each word; zeros where there is no word.

  Attributes:
    attention: Weight of each word; the sum over an utterance is 1.
    acoustic: Share of each word that is acoustic, from 0 to 1; None where the
      system does not weigh modalities.
  """

  attention: Float[Array, "b w"]
  acoustic: Float[Array, "b w"] | None


@flax.struct.dataclass
class Explanation:
  """Holds an array that explains a prediction, such as attention or a gate.

  Attributes:
    values: One entry per utterance.
    axes: What each axis after the first is: the name of a modality for its
      frames, `emotion`, or any other word.
  """

  values: Float[Array, "b ..."]
  axes: tuple[str, ...] = flax.struct.field(pytree_node=False)


# (params, emotions) -> modality name to the emotions' places (k d) there.
SpacesFn = Callable[[Params, Array], dict[str, Array]]
# (params, batch, emotions) -> WordMaps.
WordsFn = Callable[[Params, schema.Batch, Array], WordMaps]
# (params, batch, emotions) -> name of an explanation to it.
ExplainFn = Callable[[Params, schema.Batch, Array], dict[str, Explanation]]


class System(NamedTuple):
  """Gives all that training, evaluation and export may ask of a paper.

  Attributes:
    init: Draws the parameters.
    stages: Parts of the training, run in order.
    predict: Predicts a batch after the last stage.
    open_vocabulary: Whether `predict` takes emotions it was not trained on.
    spaces: Where the system puts the emotions; None where it has no place
      for them.
    words: What it reads from each word; None where it does not.
    explain: Explanations beside those of `Prediction`; None for none.
    aligned: Whether streams of more than one frame have to be of one length.
    acoustic_word: Whether `predict` reads which word a frame belongs to.
    regression: Whether its outputs may be ratings: any real numbers, and
      nothing that only scores of emotions are.
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
  regression: bool = False


# What follows is no business of a system's: what experiment, training and
# robustness agree on.

# (source, run, batch, whether it is trained on) -> what the system sees.
InputTransform = Callable[[Any, RunSettings, schema.Batch, bool], schema.Batch]


class TrainingRules(NamedTuple):
  """Holds what all runs of a program share.

  Attributes:
    decision: `"binary"`, `"softmax"` or `"regression"`.
    threshold: Threshold of a binary decision.
    select: The validation metric that picks the checkpoint; `"loss"`, or
      `"last"` for the last epoch's.
    factor: Factor of the learning rate at a plateau.
    patience: Epochs without a lower validation loss that a plateau takes.
    early_stopping: Epochs without a better selection value that end a run;
      0 for never.
    curve_thresholds: Of binary decisions: every epoch logs the metrics of
      `training.selection.CURVES` at each of them.
    rating_ranges: Lowest and highest value of each rating, of a regression.
  """

  decision: str
  threshold: float
  select: str
  factor: float
  patience: int
  early_stopping: int
  curve_thresholds: tuple[float, ...]
  rating_ranges: tuple[tuple[float, float], ...] = ()
