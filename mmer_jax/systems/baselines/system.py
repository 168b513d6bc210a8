"""EF-LSTM and LF-LSTM: the baselines of Dai et al. 2020, Tables 1 and 2."""

from collections.abc import Callable

import flax.linen as nn
import ml_collections
from jaxtyping import Array, Float, PRNGKeyArray

from mmer_jax.data import schema
from mmer_jax.systems import continual, interface, supervised
from mmer_jax.systems.baselines import model


def build_ef_lstm(config: ml_collections.ConfigDict) -> interface.System:
  """Early fusion: one LSTM over the modalities side by side."""
  parts = config.model.to_dict()
  modalities = tuple(config.data.modalities)
  return _build(
    config,
    lambda count: model.EarlyFusion(
      **parts,
      modalities=modalities,
      emotions=count,
      dtype=config.compute_dtype,
    ),
    aligned=True,
  )


def build_lf_lstm(config: ml_collections.ConfigDict) -> interface.System:
  """Late fusion: one LSTM per modality, their read-outs side by side."""
  parts = config.model.to_dict()
  hidden = {name: parts["hidden"][name] for name in config.data.modalities}
  return _build(
    config,
    lambda count: model.LateFusion(
      **{**parts, "hidden": hidden},
      emotions=count,
      dtype=config.compute_dtype,
    ),
  )


def _build(
  config: ml_collections.ConfigDict,
  make: Callable[[int], nn.Module],
  *,
  aligned: bool = False,
) -> interface.System:
  def init(
    key: PRNGKeyArray, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Params:
    return make(emotions.shape[0]).init(key, batch, key=None)["params"]

  def apply(
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    key: PRNGKeyArray | None,
  ) -> Float[Array, "b k"]:
    module: nn.Module = make(emotions.shape[0])
    return module.apply({"params": params}, batch, key=key)

  def predict(
    params: interface.Params, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Prediction:
    return interface.Prediction(apply(params, batch, emotions, None), {})

  loss = supervised.make_loss(config.protocol.decision, apply)
  return interface.System(
    init=init,
    stages=continual.stages(config, loss),
    predict=predict,
    open_vocabulary=False,
    aligned=aligned,
  )
