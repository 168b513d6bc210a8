"""One or two views of an utterance, as functions of one tree of parameters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import fusion
from mmer_jax.data import schema
from mmer_jax.systems import interface
from mmer_jax.systems.multiview import model

# The views, as they are named in the parameters.
FIRST, SECOND = "first", "second"


# Hashed by identity: its methods are what jit is given.
@dataclasses.dataclass(frozen=True, eq=False)
class Views:
  """Runs the networks of a config, whose parameters are one tree.

  Attributes:
    kinds: Name of a view to its kind, a key of `model.KINDS`.
    parts: The attributes that the views share.
  """

  kinds: dict[str, str]
  parts: dict[str, Any]

  def init(
    self, key: PRNGKeyArray, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Params:
    """Draws the parameters of every view, and its statistics if it has any."""
    params, statistics = {}, {}
    for index, name in enumerate(self.kinds):
      variables = self._module(name, emotions).init(
        jax.random.fold_in(key, index), batch, key=None
      )
      params[name] = variables["params"]
      if fusion.STATISTICS in variables:
        statistics[name] = variables[fusion.STATISTICS]
    if statistics:
      params[interface.STATISTICS] = statistics
    return params

  def apply(
    self,
    name: str,
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    key: PRNGKeyArray | None,
  ) -> tuple[model.Output, dict[str, Any]]:
    """Runs a view; returns its output and its new statistics, if it has any."""
    module = self._module(name, emotions)
    statistics = params.get(interface.STATISTICS, {}).get(name)
    if statistics is None:
      return module.apply({"params": params[name]}, batch, key=key), {}
    output, changed = module.apply(
      {"params": params[name], fusion.STATISTICS: statistics},
      batch,
      key=key,
      mutable=[fusion.STATISTICS],
    )
    return output, {name: changed[fusion.STATISTICS]}

  def predictor(self, name: str) -> interface.PredictFn:
    """Makes the function that predicts with a view."""

    def predict(
      params: interface.Params,
      batch: schema.Batch,
      emotions: Float[Array, "k e"],
    ) -> interface.Prediction:
      output, _ = self.apply(name, params, batch, emotions, None)
      return interface.Prediction(output.logits)

    return predict

  def words(
    self,
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
  ) -> interface.WordMaps:
    """Returns the weights of the words and the gates of the first view."""
    output, _ = self.apply(FIRST, params, batch, emotions, None)
    return interface.WordMaps(output.weights, output.gate)

  def present(self, batch: schema.Batch) -> Bool[Array, " b"]:
    """Tells which utterances have a modality of every view."""
    both = batch.example_mask
    for kind in self.kinds.values():
      flags = [batch.present[name] for name in model.KINDS[kind].modalities]
      both = both & jnp.stack(flags).any(axis=0)
    return both

  def _module(self, name: str, emotions: Float[Array, "k e"]) -> model.View:
    count = emotions.shape[0]
    return model.View(**self.parts, kind=self.kinds[name], emotions=count)
