"""Windows over the steps of a padded sequence."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmer_jax.core import layers


def around(
  frames: Float[Array, "b t d"], mask: Bool[Array, "b t"], size: int
) -> Float[Array, "b t e"]:
  """Puts the `size` frames around each step side by side.

  An odd number has as many before a step as behind it; of an even one the
  step behind is one more. What is padding, or outside of the sequence, is
  zeros.
  """
  frames = jnp.where(mask[..., None], frames, 0.0)
  before = (size - 1) // 2
  wide = jnp.pad(frames, ((0, 0), (before, size - 1 - before), (0, 0)))
  steps = frames.shape[1]
  return jnp.concatenate(
    [wide[:, first : first + steps] for first in range(size)], axis=-1
  )


class TemporalConvolution(nn.Module):
  """Maps the frames around each step by one matrix: a convolution over time.

  Source: Tsai et al. 2019, Eq. 2.
  Deviation: a sequence keeps its length, whatever the kernel. There is no bias,
    of which the paper says nothing. Drawn as PyTorch's `Conv1d`.

  Attributes:
    features: Columns of the output.
    kernel: Frames that a step reads.
    dtype: Dtype of the matmul.
  """

  features: int
  kernel: int
  dtype: str

  @nn.compact
  def __call__(
    self, frames: Float[Array, "b t d"], mask: Bool[Array, "b t"]
  ) -> Float[Array, "b t e"]:
    """Convolves sequences; padding comes out as zeros."""
    linear = layers.Linear(
      self.features, dtype=self.dtype, use_bias=False, name="linear"
    )
    mapped = linear(around(frames, mask, self.kernel))
    return jnp.where(mask[..., None], mapped, 0.0)
