"""MTEE: emotions as word vectors, mapped into every modality's space.

Source: Dai, Liu, Yu and Fung, "Modality-Transferable Emotion Embeddings for
Low-Resource Multimodal Emotion Recognition", AACL 2020.
"""

import ml_collections
from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from mmer_jax.base import errors
from mmer_jax.data import schema
from mmer_jax.systems import continual, interface, multiplicative, supervised
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
    if config.model[key] not in choices:
      raise errors.UserError(
        f"config.model.{key} is {config.model[key]!r}, expected one of"
        f" {', '.join(choices)}"
      )
  parts = config.model.to_dict()
  settings = multiplicative.Settings(**parts.pop("multiplicative"))
  multiplicative.check(settings)
  fused = config.model.fusion == "multiplicative"
  decision = config.protocol.decision
  hidden = {name: parts["hidden"][name] for name in config.data.modalities}
  module = model.Mtee(
    **{**parts, "hidden": hidden, "fusion": settings if fused else None},
    decision=decision,
    dtype=config.compute_dtype,
  )

  def init(
    key: PRNGKeyArray, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Params:
    if fused:
      multiplicative.check_beta(
        settings, decision, len(hidden), emotions.shape[0]
      )
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
    return module.init(key, batch, emotions, key=None)["params"]

  def apply(
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    key: PRNGKeyArray | None,
  ) -> Float[Array, "b k"]:
    return module.apply({"params": params}, batch, emotions, key=key).logits

  def predict(
    params: interface.Params, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Prediction:
    return module.apply({"params": params}, batch, emotions, key=None)

  def spaces(
    params: interface.Params, emotions: Float[Array, "k e"]
  ) -> dict[str, Array]:
    return model.spaces(params, hidden, emotions)

  def fused_loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    output = module.apply({"params": params}, batch, run.vectors, key=key)
    value = multiplicative.loss(
      settings, decision, output.per_modality, batch, run
    )
    return value, {}

  loss = supervised.make_loss(decision, apply)
  if fused:
    loss = fused_loss
  return interface.System(
    init=init,
    stages=continual.stages(config, loss),
    predict=predict,
    open_vocabulary=True,
    spaces=spaces,
  )
