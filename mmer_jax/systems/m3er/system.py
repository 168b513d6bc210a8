"""M3ER: multiplicative fusion of the modalities that can be trusted.

The modality check and the proxies stand in front of the system, as they may in
front of any: see `mmer_jax/robustness`.

Source: Mittal, Bhattacharya, Chandra, Bera and Manocha, "M3ER: Multiplicative
Multimodal Emotion Recognition using Facial, Textual, and Speech Cues", AAAI
2020; Zadeh et al., "Memory Fusion Network for Multi-view Sequential Learning",
AAAI 2018.
"""

import ml_collections
from jaxtyping import Array, Float, Scalar

from mmer_jax.base import errors
from mmer_jax.data import schema
from mmer_jax.systems import (
  continual,
  interface,
  memory_fusion,
  multiplicative,
  network,
  supervised,
)
from mmer_jax.systems.m3er import model


def build(config: ml_collections.ConfigDict) -> interface.System:
  """Makes M3ER.

  Raises:
    UserError: The config asks for what the system does not have.
  """
  parts = config.model.to_dict()
  settings = multiplicative.Settings(**parts.pop("multiplicative"))
  fusion, classifier = parts.pop("fusion"), parts.pop("classifier")
  multiplicative.check(settings)
  errors.check_choices("model.fusion", fusion, ("weighted_sum", "product"))
  decision = config.protocol.decision
  modalities = len(config.data.modalities)

  def check(emotions: Float[Array, "k e"]) -> None:
    multiplicative.check_beta(settings, decision, modalities, emotions.shape[0])

  def terms(
    output: interface.Prediction,
    batch: schema.Batch,
    run: interface.RunSettings,
  ) -> dict[str, Scalar]:
    value = multiplicative.loss(
      settings, decision, output.per_modality, batch, run
    )
    return {"multiplicative": value}

  module = model.M3er(
    encoder=model.MemoryFusion(**parts, dtype=config.compute_dtype),
    fusion=fusion,
    settings=settings,
    decision=decision,
    classifier=classifier,
  )
  return _build(config, network.Network(module, check), terms, regression=False)


def build_mfn(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the memory fusion network alone."""
  parts = config.model.to_dict()
  classifier = parts.pop("classifier")
  encoder = model.MemoryFusion(**parts, dtype=config.compute_dtype)
  module = memory_fusion.Mfn(encoder=encoder, classifier=classifier)
  return _build(config, network.Network(module), lambda *_: {}, regression=True)


def _build(
  config: ml_collections.ConfigDict,
  net: network.Network,
  terms: supervised.TermsFn,
  *,
  regression: bool,
) -> interface.System:
  loss = supervised.make_loss(
    supervised.Criterion.from_config(config), net.apply, terms
  )
  return interface.System(
    init=net.init,
    stages=continual.stages(config, loss),
    predict=net.predict,
    open_vocabulary=False,
    regression=regression,
  )
