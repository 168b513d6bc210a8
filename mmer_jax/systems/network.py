"""A Flax network as the functions of a system."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from mmer_jax.data import schema
from mmer_jax.systems import interface


# Hashed by identity: its methods are what jit is given.
@dataclasses.dataclass(frozen=True, eq=False)
class Network:
  """Initialises, applies and predicts with a network that scores emotions.

  Attributes:
    module: Called as `module(batch, emotions, key=key)`. It has one output for
      each row of `emotions` and returns a `Prediction`, or a tuple of its own
      that has `logits`.
    check: Called with the emotions before parameters are drawn; raises a
      UserError where the module cannot do with them.
  """

  module: nn.Module
  check: Callable[[Float[Array, "k e"]], None] | None = None

  def init(
    self, key: PRNGKeyArray, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> interface.Params:
    """Draws the parameters."""
    if self.check is not None:
      self.check(emotions)
    return self.module.init(key, batch, emotions, key=None)["params"]

  def apply(
    self,
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    key: PRNGKeyArray | None,
  ) -> Any:
    """Runs the module; with a key it is random, as in training."""
    return self.module.apply({"params": params}, batch, emotions, key=key)

  def predict(
    self,
    params: interface.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
  ) -> interface.Prediction:
    """Predicts a batch; nothing is random."""
    output = self.apply(params, batch, emotions, None)
    if isinstance(output, interface.Prediction):
      return output
    return interface.Prediction(output.logits)
