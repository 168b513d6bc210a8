"""DAE + MMD: auto-encoders whose latent spaces are matched without labels.

Source: Liang, Li and Jin, "Semi-supervised Multi-modal Emotion Recognition with
Cross-Modal Distribution Matching", ACM Multimedia 2020.
"""

import functools

import ml_collections

from mmer_jax.base import errors
from mmer_jax.systems import interface, network, supervised
from mmer_jax.systems.dae_mmd import loss as loss_lib
from mmer_jax.systems.dae_mmd import model

UNPAIRED = ("split", "cross_batch", "in_batch", "none")


def build(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the system of a config.

  Raises:
    UserError: The config asks for what the system does not have.
  """
  parts = config.model.to_dict()
  weights = loss_lib.Weights(**parts.pop("weights"))
  matching = loss_lib.Matching(**parts.pop("matching"))
  _check(config, matching)
  net = network.Network(model.DaeMmd(**parts, dtype=config.compute_dtype))
  return interface.System(
    init=net.init,
    stages=_stages(config, net, weights, matching),
    predict=net.predict,
    open_vocabulary=False,
    regression=True,
  )


def _stages(
  config: ml_collections.ConfigDict,
  net: network.Network,
  weights: loss_lib.Weights,
  matching: loss_lib.Matching,
) -> tuple[interface.Stage, ...]:
  """Makes one stage, or two where the first picks the unlabelled rows."""
  make_loss = functools.partial(
    loss_lib.make_loss,
    net,
    supervised.Criterion.from_config(config),
    matching=matching,
    batch_size=config.training.batch_size,
  )
  following = matching.following
  if not config.unlabelled.use:
    loss = make_loss(weights, semi=False)
    return (interface.Stage("supervised", loss, following=following),)
  semi = interface.Stage(
    "semi_supervised",
    make_loss(weights, semi=True),
    unlabelled=True,
    following=following,
    fresh=True,
  )
  if not config.unlabelled.per_class:
    return (semi,)
  vanilla = make_loss(loss_lib.Weights(0.0, 0.0, 0.0), semi=False)
  return (interface.Stage("vanilla", vanilla), semi)


def _check(
  config: ml_collections.ConfigDict, matching: loss_lib.Matching
) -> None:
  """Refuses what the system does not have, as a UserError."""
  for key, value, choices in (
    ("matching.unpaired", matching.unpaired, UNPAIRED),
    ("padding", config.model.padding, ("masked", "literal")),
    ("decoder", config.model.decoder, ("plane", "teacher_forcing")),
  ):
    errors.check_choices(f"model.{key}", value, choices)
  if not all(sigma > 0 for sigma in matching.sigma):
    raise errors.UserError(
      f"config.model.matching.sigma is {matching.sigma}, expected bandwidths"
      " above 0, or () for the median distance"
    )
  if matching.block_size < 0:
    raise errors.UserError(
      f"config.model.matching.block_size is {matching.block_size}, expected"
      " rows of a block, or 0 for all rows at once"
    )
  if matching.block_size and not matching.sigma:
    raise errors.UserError(
      f"config.model.matching.block_size is {matching.block_size}, but the"
      " median distance needs those of all rows at once; give bandwidths in"
      " config.model.matching.sigma"
    )
  for name in config.data.modalities:
    if name not in config.model.dense and name not in config.model.sequence:
      raise errors.UserError(
        f"config.data.modalities names {name!r}, for which neither"
        " config.model.dense nor config.model.sequence has an auto-encoder; add"
        " one"
      )
  if config.few_shot.method != "none":
    raise errors.UserError(
      f"config.few_shot.method is {config.few_shot.method!r}, but dae_mmd does"
      ' not learn emotions from few samples; set it to "none"'
    )
