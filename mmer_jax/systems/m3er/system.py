"""M3ER: multiplicative fusion of the modalities that can be trusted.

The modality check and the proxies stand in front of the system, as they may in
front of any: see `data.repair`.

Source: Mittal, Bhattacharya, Chandra, Bera and Manocha, "M3ER: Multiplicative
Multimodal Emotion Recognition using Facial, Textual, and Speech Cues", AAAI
2020; Zadeh et al., "Memory Fusion Network for Multi-view Sequential Learning",
AAAI 2018.
"""

from collections.abc import Callable

import flax.linen as nn
import ml_collections
from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from mmer_jax.base import errors
from mmer_jax.data import schema
from mmer_jax.systems import continual, interface, multiplicative, supervised
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
  if fusion not in ("weighted_sum", "product"):
    raise errors.UserError(
      f"config.model.fusion is {fusion!r}, expected one of weighted_sum,"
      " product"
    )
  decision = config.protocol.decision
  modalities = len(config.data.modalities)

  def make(count: int) -> nn.Module:
    multiplicative.check_beta(settings, decision, modalities, count)
    return model.M3er(
      encoder=model.MemoryFusion(**parts, dtype=config.compute_dtype),
      fusion=fusion,
      settings=settings,
      decision=decision,
      classifier=classifier,
      emotions=count,
    )

  def terms(
    output: interface.Prediction,
    batch: schema.Batch,
    run: interface.RunSettings,
  ) -> dict[str, Scalar]:
    value = multiplicative.loss(
      settings, decision, output.per_modality, batch, run
    )
    return {"multiplicative": value}

  return _build(config, make, terms)


def build_mfn(config: ml_collections.ConfigDict) -> interface.System:
  """Makes the memory fusion network alone."""
  parts = config.model.to_dict()
  classifier = parts.pop("classifier")

  def make(count: int) -> nn.Module:
    return model.Mfn(
      encoder=model.MemoryFusion(**parts, dtype=config.compute_dtype),
      classifier=classifier,
      emotions=count,
    )

  return _build(config, make, lambda output, batch, run: {})


def _build(
  config: ml_collections.ConfigDict,
  make: Callable[[int], nn.Module],
  terms: Callable[
    [interface.Prediction, schema.Batch, interface.RunSettings],
    dict[str, Scalar],
  ],
) -> interface.System:
  """A system whose loss is that of its output and the sum of `terms`."""

  def init(
    key: PRNGKeyArray, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Params:
    return make(emotions.shape[0]).init(key, batch, key=None)["params"]

  def apply(
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    key: PRNGKeyArray | None,
  ) -> interface.Prediction:
    module = make(emotions.shape[0])
    return module.apply({"params": params}, batch, key=key)

  def predict(
    params: interface.Params, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Prediction:
    return apply(params, batch, emotions, None)

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    output = apply(params, batch, run.vectors, key)
    decision = config.protocol.decision
    found = {
      "classification": supervised.classification(
        decision, output.logits, batch, run
      ),
      **terms(output, batch, run),
    }
    return sum(found.values()), found

  return interface.System(
    init=init,
    stages=continual.stages(config, loss),
    predict=predict,
    open_vocabulary=False,
  )
