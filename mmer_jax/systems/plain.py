"""A system of one network and the loss of the labels alone."""

import flax.linen as nn
import ml_collections

from mmer_jax.systems import continual, interface, network, supervised


def build(
  config: ml_collections.ConfigDict, module: nn.Module, *, aligned: bool = False
) -> interface.System:
  """Makes the system of a module.

  Args:
    config: The system's config.
    module: See `network.Network.module`.
    aligned: See `interface.System.aligned`.
  """
  net = network.Network(module)
  loss = supervised.make_loss(
    supervised.Criterion.from_config(config), net.apply
  )
  return interface.System(
    init=net.init,
    stages=continual.stages(config, loss),
    predict=net.predict,
    open_vocabulary=False,
    aligned=aligned,
    regression=True,
  )
