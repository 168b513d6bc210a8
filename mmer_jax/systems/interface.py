"""What training asks of a system: the contract that every paper fulfils."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Scalar

from mmer_jax.data import schema

Params = Any

# The part of a system's parameters that is not descended: see `LossFn`.
STATISTICS = "statistics"

# What may step along a gradient: see `Stage.optimizer`.
OPTIMIZERS = ("adam", "sgd")


@flax.struct.dataclass
class RunSettings:
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
  repair: Any = None


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


# (source, run, batch, whether it is trained on) -> what the system sees.
InputTransform = Callable[[Any, RunSettings, schema.Batch, bool], schema.Batch]
# (key, batch, emotions) -> params
InitFn = Callable[[PRNGKeyArray, schema.Batch, Array], Params]
# (params, batch, emotions) -> Prediction. Sees no label and no key.
PredictFn = Callable[[Params, schema.Batch, Array], Prediction]
# (params, batch, run, key) -> (mean loss, terms to log). The emotions are
# `run.vectors`. The key is None where nothing is to be random: validation. A
# term named `STATISTICS` is no scalar and not logged: it takes the place of
# that part of the parameters after a step.
LossFn = Callable[
  [Params, schema.Batch, RunSettings, PRNGKeyArray | None],
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
  [Params, schema.Batch, RunSettings, PRNGKeyArray | None],
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


class TrainingRules(NamedTuple):
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
