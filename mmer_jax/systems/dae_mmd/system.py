"""DAE + MMD: auto-encoders whose latent spaces are matched without labels.

Source: Liang, Li and Jin, "Semi-supervised Multi-modal Emotion Recognition with
Cross-Modal Distribution Matching", ACM Multimedia 2020.
"""

from collections.abc import Callable

import jax
import ml_collections
from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from mmer_jax.base import errors
from mmer_jax.data import schema
from mmer_jax.systems import interface, supervised
from mmer_jax.systems.dae_mmd import loss as loss_lib
from mmer_jax.systems.dae_mmd import model


def build(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the system of a config.

  Raises:
    UserError: The config asks for what the system does not have.
  """
  parts = config.model.to_dict()
  weights = loss_lib.Weights(**parts.pop("weights"))
  matching = loss_lib.Matching(**parts.pop("matching"))
  _check(config, matching)

  def make(count: int) -> model.DaeMmd:
    return model.DaeMmd(**parts, emotions=count, dtype=config.compute_dtype)

  def init(
    key: PRNGKeyArray, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Params:
    return make(emotions.shape[0]).init(key, batch, key=None)["params"]

  def apply(
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    key: PRNGKeyArray | None,
  ) -> model.Output:
    module = make(emotions.shape[0])
    return module.apply({"params": params}, batch, key=key)

  def predict(
    params: interface.Params, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Prediction:
    return interface.Prediction(apply(params, batch, emotions, None).logits, {})

  def make_loss(weights: loss_lib.Weights, semi: bool) -> interface.LossFn:
    def loss(
      params: interface.Params,
      batch: schema.Batch,
      run: interface.RunSettings,
      key: PRNGKeyArray | None,
    ) -> tuple[Scalar, dict[str, Scalar]]:
      output = apply(params, batch, run.vectors, key)
      following = matching.unpaired == "cross_batch"
      size = config.training.batch_size
      if not semi and not following:
        size = len(batch.example_mask)

      def part(number: int) -> loss_lib.Part:
        """The labelled rows, the unlabelled, the next batch's of each."""
        at = slice(number * size, (number + 1) * size)
        rows, found = jax.tree.map(lambda leaf: leaf[at], (batch, output))
        real = rows.example_mask
        if not (semi and number % 2):
          real = real & rows.labelled
        return loss_lib.Part(rows, found, real)

      own = part(0)
      value = supervised.classification(
        config.protocol.decision, own.output.logits, own.batch, run
      )
      terms = {"classification": value}
      others = [part(1 + semi + i) if following else None for i in (0, 1)]
      rest, more = loss_lib.unsupervised(own, others[0], weights, matching)
      terms |= more
      value = value + rest
      if semi:
        rest, more = loss_lib.unsupervised(
          part(1), others[1], weights, matching
        )
        terms |= {f"unlabelled_{name}": term for name, term in more.items()}
        value = value + weights.omega * rest
      return value, terms

    return loss

  return interface.System(
    init=init,
    stages=_stages(config, weights, make_loss),
    predict=predict,
    open_vocabulary=False,
  )


def _stages(
  config: ml_collections.ConfigDict,
  weights: loss_lib.Weights,
  make_loss: Callable[[loss_lib.Weights, bool], interface.LossFn],
) -> tuple[interface.Stage, ...]:
  """One stage; or one that picks unlabelled rows and one that uses them."""
  following = config.model.matching.unpaired == "cross_batch"
  if not config.unlabelled.use:
    loss = make_loss(weights, False)
    return (interface.Stage("supervised", loss, following=following),)
  semi = interface.Stage(
    "semi_supervised",
    make_loss(weights, True),
    unlabelled=True,
    following=following,
    fresh=True,
  )
  if not config.unlabelled.per_class:
    return (semi,)
  vanilla = make_loss(loss_lib.Weights(0.0, 0.0, 0.0), False)
  return (interface.Stage("vanilla", vanilla), semi)


def _check(
  config: ml_collections.ConfigDict, matching: loss_lib.Matching
) -> None:
  choices = (
    (
      "matching.unpaired",
      matching.unpaired,
      ("split", "cross_batch", "in_batch", "none"),
    ),
    ("padding", config.model.padding, ("masked", "literal")),
    ("decoder", config.model.decoder, ("plane", "teacher_forcing")),
  )
  for key, value, expected in choices:
    if value not in expected:
      raise errors.UserError(
        f"config.model.{key} is {value!r}, expected one of"
        f" {', '.join(expected)}"
      )
  if not all(sigma > 0 for sigma in matching.sigma):
    raise errors.UserError(
      f"config.model.matching.sigma is {matching.sigma}, expected bandwidths"
      " above 0, or () for the median distance"
    )
  missing = [
    name
    for name in config.data.modalities
    if name not in config.model.dense and name not in config.model.sequence
  ]
  if missing:
    raise errors.UserError(
      f"config.data.modalities names {missing[0]!r}, for which neither"
      " config.model.dense nor config.model.sequence has an auto-encoder; add"
      " one"
    )
  if config.few_shot.method != "none":
    raise errors.UserError(
      f"config.few_shot.method is {config.few_shot.method!r}, but dae_mmd does"
      ' not learn emotions from few samples; set it to "none"'
    )
