"""The state, the stages and the runs of training, and their compiled step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from mmer_jax.data import schema

Params = Any


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
    class_weight: Per emotion; its meaning is the loss's (`pos_weight` of a
      binary decision, the weight of a class under a softmax).
    mean: Modality name to the mean of the run's training rows.
    scale: Modality name to 1 / standard deviation of the same.
  """

  seed: Int[Array, "*r"]
  fold: Int[Array, "*r"]
  learning_rate: Float[Array, "*r"]
  weight_decay: Float[Array, "*r"]
  clip_norm: Float[Array, "*r"]
  class_weight: Float[Array, "*r k"]
  mean: dict[str, Float[Array, "*r d"]]
  scale: dict[str, Float[Array, "*r d"]]


class Prediction(NamedTuple):
  """What a system says of a batch.

  Attributes:
    logits: Before the sigmoid or the softmax of the protocol.
    per_modality: Modality name to its own scores; empty where the system
      has none.
  """

  logits: Float[Array, "b k"]
  per_modality: dict[str, Float[Array, "b k"]]


# (key, batch, emotions) -> params
InitFn = Callable[[PRNGKeyArray, schema.Batch, Array], Params]
# (params, batch, emotions) -> Prediction. Sees no label and no key.
PredictFn = Callable[[Params, schema.Batch, Array], Prediction]
# (params, batch, emotions, run, key) -> (mean loss, terms to log). The key is
# None where nothing is to be random: validation.
LossFn = Callable[
  [Params, schema.Batch, Array, Runs, PRNGKeyArray | None],
  tuple[Scalar, dict[str, Scalar]],
]


class Stage(NamedTuple):
  """A part of a system's training that has a loss of its own."""

  name: str
  loss: LossFn


class System(NamedTuple):
  """All that the verbs may ask of a paper."""

  init: InitFn
  stages: tuple[Stage, ...]
  predict: PredictFn
