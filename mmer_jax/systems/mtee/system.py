"""MTEE: emotions as word vectors, mapped into every modality's space.

Source: Dai, Liu, Yu and Fung, "Modality-Transferable Emotion Embeddings for
Low-Resource Multimodal Emotion Recognition", AACL 2020.
"""

import ml_collections
from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from mmer_jax.base import errors
from mmer_jax.data import schema
from mmer_jax.systems import (
  continual,
  interface,
  multiplicative,
  network,
  supervised,
)
from mmer_jax.systems.mtee import model


def build(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the system of a config.

  Raises:
    UserError: A value of `config.model` is not one of its choices.
  """
  for key, choices in (
    ("readout", ("last", "final")),
    ("absent", ("drop", "reference")),
    ("fusion", ("weighted_sum", "multiplicative")),
  ):
    errors.check_choices(f"model.{key}", config.model[key], choices)
  parts = config.model.to_dict()
  settings = multiplicative.Settings(**parts.pop("multiplicative"))
  multiplicative.check(settings)
  fused = parts.pop("fusion") == "multiplicative"
  decision = config.protocol.decision
  hidden = {name: parts["hidden"][name] for name in config.data.modalities}

  def check(emotions: Float[Array, "k e"]) -> None:
    if fused:
      multiplicative.check_beta(
        settings, decision, len(hidden), emotions.shape[0]
      )
    _check_vectors(hidden, emotions)

  module = model.Mtee(
    **{**parts, "hidden": hidden, "fusion": settings if fused else None},
    decision=decision,
    dtype=config.compute_dtype,
  )
  net = network.Network(module, check)
  loss = supervised.make_loss(
    supervised.Criterion.from_config(config), net.apply
  )
  if fused:
    loss = _fused_loss(settings, decision, net)

  def spaces(
    params: interface.Params, emotions: Float[Array, "k e"]
  ) -> dict[str, Array]:
    return model.spaces(params, hidden, emotions)

  return interface.System(
    init=net.init,
    stages=continual.stages(config, loss),
    predict=net.predict,
    open_vocabulary=True,
    spaces=spaces,
  )


def _fused_loss(
  settings: multiplicative.Settings, decision: str, net: network.Network
) -> interface.LossFn:
  """Makes the multiplicative loss of the modalities' own scores."""

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    output = net.apply(params, batch, run.vectors, key)
    value = multiplicative.loss(
      settings, decision, output.per_modality, batch, run
    )
    return value, {}

  return loss


def _check_vectors(
  hidden: dict[str, int], emotions: Float[Array, "k e"]
) -> None:
  """Refuses word vectors that the text's encoder cannot be compared with."""
  width = emotions.shape[-1]
  if not width:
    raise errors.UserError(
      "mtee needs word vectors of the emotions and the shards hold none;"
      " convert them again with --word_vectors=FILE"
    )
  lexical = hidden.get("lexical", width)
  if lexical != width:
    raise errors.UserError(
      f"config.model.hidden.lexical is {lexical}, but the emotions' word"
      f" vectors have {width} dimensions and are compared with it; set"
      f" config.model.hidden.lexical={width}"
    )
