"""The networks of DAE + MMD: an auto-encoder a modality and a classifier."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import attention, layers
from mmer_jax.data import schema


class Output(NamedTuple):
  """Holds what the networks compute of a batch.

  Attributes:
    logits: Scores of the emotions.
    latents: Modality name to one vector a video; zeros where it is absent.
    errors: Modality name to the reconstruction's mean squared error, Eq. 2;
      0 where it is absent.
  """

  logits: Float[Array, "b k"]
  latents: dict[str, Float[Array, "b z"]]
  errors: dict[str, Float[Array, " b"]]


class Convolution(NamedTuple):
  """Holds a row of Table 3: square kernels over the (time, feature) plane."""

  kernel: int
  stride: int
  padding: int
  channels: int


class DaeMmd(nn.Module):
  """Encodes modalities, and classifies their latent vectors side by side.

  Source: Liang et al. 2020, section 3.1, Table 3 and the classifier of Eq. 5.
  Deviation: the paper's features are always all there; here an absent
    modality has a latent vector of zeros. The classifier's sizes are ours.

  Attributes:
    dense: Modality name to the sizes of a `DenseAutoEncoder`.
    sequence: Modality name to the `steps`, `convolutions` and `sizes` of a
      `SequenceAutoEncoder`.
    heads: Number of heads of every transformer.
    blocks: Blocks of each side of it.
    dropout: Rate of its dropout.
    classifier: Width of the classifier's hidden layer.
    padding: `masked`, or `literal` for the paper's: a sequence that is there
      counts as real to its end.
    decoder: What the transformer's second side reads, see
      `SequenceAutoEncoder`.
    dtype: Dtype of the matmuls.
  """

  dense: Mapping[str, tuple[int, ...]]
  sequence: Mapping[str, Mapping[str, Any]]
  heads: int
  blocks: int
  dropout: float
  classifier: int
  padding: str
  decoder: str
  dtype: str

  @nn.compact
  def __call__(
    self,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    *,
    key: PRNGKeyArray | None,
  ) -> Output:
    """Encodes, reconstructs and classifies."""
    latents, errors = {}, {}
    for index, modality in enumerate(sorted(batch.streams)):
      stream, present = batch.streams[modality], batch.present[modality]
      mask = stream.mask
      if modality in self.dense:
        coder = DenseAutoEncoder(
          sizes=self.dense[modality], dtype=self.dtype, name=modality
        )
      else:
        coder = SequenceAutoEncoder(
          **self.sequence[modality],
          heads=self.heads,
          blocks=self.blocks,
          dropout=self.dropout,
          decoder=self.decoder,
          dtype=self.dtype,
          name=modality,
        )
        if self.padding == "literal":
          mask = jnp.broadcast_to(present[:, None], mask.shape)
      at = None if key is None else jax.random.fold_in(key, index)
      features = jnp.where(stream.mask[..., None], stream.features, 0.0)
      latent, error = coder(features, mask, key=at)
      latents[modality] = jnp.where(present[:, None], latent, 0.0)
      errors[modality] = jnp.where(present, error, 0.0)
    joined = jnp.concatenate([latents[m] for m in sorted(latents)], axis=-1)
    hidden = layers.Linear(self.classifier, dtype=self.dtype, name="hidden")
    out = layers.Linear(len(emotions), name="out")
    return Output(out(jax.nn.relu(hidden(joined))), latents, errors)


class DenseAutoEncoder(nn.Module):
  """Encodes by linear layers down to the latent vector, and back.

  Source: Liang et al. 2020, Table 3, row A, and Figure 3.
  Deviation: features of single frames are averaged over the real ones first;
    the paper's are of the whole utterance.

  Attributes:
    sizes: Sizes of the encoder's layers, the latent vector's last.
    dtype: Dtype of the matmuls.
  """

  sizes: tuple[int, ...]
  dtype: str

  @nn.compact
  def __call__(
    self,
    frames: Float[Array, "b t d"],
    mask: Bool[Array, "b t"],
    *,
    key: PRNGKeyArray | None,
  ) -> tuple[Float[Array, "b z"], Float[Array, " b"]]:
    """Returns the latent vector and the mean squared error."""
    del key  # Nothing is random.
    count = jnp.maximum(mask.sum(axis=1), 1).astype(frames.dtype)
    target = frames.sum(axis=1) / count[:, None]
    latent = _layers("encode", self.sizes, self.dtype, target)
    back = (*self.sizes[-2::-1], target.shape[-1])
    decoded = _layers("decode", back, self.dtype, latent)
    return latent, jnp.square(decoded - target).mean(axis=-1)


class SequenceAutoEncoder(nn.Module):
  """Encodes by a transformer, convolutions and linear layers, and back.

  Source: Liang et al. 2020, Table 3, rows V and L, and Figure 4; the target is
    the input reversed (section 3.1).
  Deviation: padding is masked in the attention and in the error, and zero in
    the plane that is convolved; real frames are reversed in their own places.
    A plane of any size passes through the same kernels: what is smaller than
    a kernel is padded up to it, and the way back has the sizes of the way
    there. "Hidden units as 1" is read as one output layer. Norms after each
    part, rectified units, 4e, sines as positions: ours.

  Attributes:
    steps: Steps of the plane; what is shorter is padded, what is longer cut.
    heads: Number of heads of the attention.
    blocks: Blocks of the transformer, on either side.
    dropout: Rate of its dropout.
    decoder: `plane`, where the deconvolved plane is both queries and memory,
      or `teacher_forcing`, where it is the memory alone, and the frame before
      the one that is wanted is the query, which sees no later one.
    convolutions: Those on the way to the latent vector.
    sizes: Sizes of the linear layers after them, the latent vector's last.
    dtype: Dtype of the matmuls.
  """

  steps: int
  heads: int
  blocks: int
  dropout: float
  decoder: str
  convolutions: tuple[tuple[int, int, int, int], ...]
  sizes: tuple[int, ...]
  dtype: str

  @nn.compact
  def __call__(
    self,
    frames: Float[Array, "b t d"],
    mask: Bool[Array, "b t"],
    *,
    key: PRNGKeyArray | None,
  ) -> tuple[Float[Array, "b z"], Float[Array, " b"]]:
    """Returns the latent vector and the mean squared error."""
    frames, mask = _fit(frames, self.steps), _fit(mask, self.steps)
    convolutions = [Convolution(*each) for each in self.convolutions]
    encoded = self._transform("encoder", frames, mask, key)

    plane, shapes = encoded[..., None], []
    for index, each in enumerate(convolutions):
      shapes.append(plane.shape[1:])
      plane = jax.nn.relu(
        PlaneConvolution(each, self.dtype, name=f"convolution_{index}")(plane)
      )
    flat = plane.reshape(plane.shape[0], -1)
    latent = _layers("encode", self.sizes, self.dtype, flat)

    back = (*self.sizes[-2::-1], flat.shape[-1])
    plane = _layers("decode", back, self.dtype, latent).reshape(plane.shape)
    for index in reversed(range(len(convolutions))):
      height, width, channels = shapes[index]
      each = convolutions[index]._replace(channels=channels)
      plane = PlaneDeconvolution(
        each, (height, width), self.dtype, name=f"deconvolution_{index}"
      )(jax.nn.relu(plane))
    plane, target = plane[..., 0], reverse(frames, mask)
    queries = plane
    if self.decoder == "teacher_forcing":
      queries = jnp.pad(target, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    decoded = self._transform("decoder", queries, mask, key, memory=plane)
    output = layers.Linear(frames.shape[-1], dtype=self.dtype, name="output")
    errors = jnp.square(output(decoded) - target).mean(axis=-1)
    count = jnp.maximum(mask.sum(axis=1), 1).astype(errors.dtype)
    return latent, jnp.where(mask, errors, 0.0).sum(axis=1) / count

  def _transform(
    self,
    name: str,
    x: Float[Array, "b t e"],
    mask: Bool[Array, "b t"],
    key: PRNGKeyArray | None,
    memory: Float[Array, "b t e"] | None = None,
  ) -> Float[Array, "b t e"]:
    """Runs one side of the transformer; with a memory, the decoder's."""
    places = attention.positions(*x.shape[1:])[None].astype(x.dtype)
    x = jnp.where(mask[..., None], x + places, 0.0)
    reads, offset = (), 0
    if memory is not None:
      memory = jnp.where(mask[..., None], memory + places, 0.0)
      reads, offset = (memory, mask), self.blocks
    for index in range(self.blocks):
      at = None if key is None else jax.random.fold_in(key, index + offset)
      x = attention.Block(
        self.heads,
        self.dropout,
        self.dtype,
        causal=bool(reads) and self.decoder == "teacher_forcing",
        name=f"{name}_{index}",
      )(x, mask, *reads, key=at)
    return x


class PlaneConvolution(nn.Module):
  """Convolves a plane; the result has at least one cell on either side.

  A product of matrices, of the patches and the kernel: under the runs axis it
  is one product a run, where a convolution would become a grouped one. The
  plane is cut into blocks of stride x stride cells; the kernel's rows are those
  of the blocks that it covers, block by block.

  Attributes:
    setting: Kernel, stride, padding and channels.
    dtype: Dtype of the product.
  """

  setting: Convolution
  dtype: str

  @nn.compact
  def __call__(self, plane: Float[Array, "b t e c"]) -> Float[Array, "b u f o"]:
    """Convolves; of n cells, floor((n + 2 p - k) / s) + 1 are left."""
    kernel, stride, padding, channels = self.setting
    batch, *size, depth = plane.shape
    rows, columns = (
      max((cells + 2 * padding - kernel) // stride + 1, 1) for cells in size
    )
    height, width = (_blocks(self.setting, count) for count in (rows, columns))
    pads = [
      (padding, count * stride - cells - padding, 0)
      for count, cells in zip((height, width), size, strict=True)
    ]
    padded = _pad(plane, pads)
    blocks = padded.reshape(batch, height, stride, width, stride, depth)
    blocks = blocks.transpose(0, 1, 3, 2, 4, 5)
    covered = _covered(self.setting)
    patches = [
      blocks[:, i : i + rows, j : j + columns, :h, :w].reshape(
        batch, rows, columns, h * w * depth
      )
      for (i, h), (j, w) in itertools.product(covered, covered)
    ]
    layer = layers.Linear(channels, dtype=self.dtype, name="kernel")
    return layer(jnp.concatenate(patches, axis=-1))


class PlaneDeconvolution(nn.Module):
  """Applies the transposed convolution, back to a plane of a given size.

  The kernel's columns are in the order of a `PlaneConvolution`'s rows.

  Attributes:
    setting: Kernel, stride and padding of the way there; channels here.
    size: Steps and columns. Beyond what the kernels reach is the bias alone,
      which is PyTorch's output padding.
    dtype: Dtype of the product.
  """

  setting: Convolution
  size: tuple[int, int]
  dtype: str

  @nn.compact
  def __call__(self, plane: Float[Array, "b u f o"]) -> Float[Array, "b t e c"]:
    """Adds the patch of every cell where the convolution would have read it."""
    kernel, stride, padding, channels = self.setting
    batch, rows, columns, depth = plane.shape
    shape = (depth, kernel * kernel * channels)
    weight = self.param("kernel", layers.uniform(depth), shape)
    weight = weight.astype(self.dtype)
    vectors = plane.reshape(-1, depth).astype(self.dtype)
    height, width = (_blocks(self.setting, count) for count in (rows, columns))
    total, start = jnp.zeros((), plane.dtype), 0
    covered = _covered(self.setting)
    # A product for each block that a kernel covers: one for all of them would
    # have to be copied apart, on the way back too.
    for (i, h), (j, w) in itertools.product(covered, covered):
      stop = start + h * w * channels
      patch = jnp.matmul(
        vectors, weight[:, start:stop], preferred_element_type=plane.dtype
      ).reshape(batch, rows, columns, h, w, channels)
      places = [
        (i, height - rows - i),
        (j, width - columns - j),
        (0, stride - h),
        (0, stride - w),
      ]
      total = total + jnp.pad(patch, [(0, 0), *places, (0, 0)])
      start = stop
    blocks = total.transpose(0, 1, 3, 2, 4, 5)
    whole = blocks.reshape(batch, height * stride, width * stride, channels)
    pads = [
      (-padding, padding + cells - count * stride, 0)
      for count, cells in zip((height, width), self.size, strict=True)
    ]
    bias = self.param("bias", nn.initializers.zeros_init(), (channels,))
    return _pad(whole, pads) + bias[None, None, None, :]


def _covered(setting: Convolution) -> list[tuple[int, int]]:
  """Lists the blocks below a kernel along an axis, and the cells of each."""
  kernel, stride = setting.kernel, setting.stride
  starts = range(0, kernel, stride)
  return [(start // stride, min(stride, kernel - start)) for start in starts]


def _blocks(setting: Convolution, count: int) -> int:
  """Counts the blocks along an axis that `count` kernels cover together."""
  return count - 1 + len(_covered(setting))


def _pad(
  plane: Float[Array, "b t e c"], pads: list[tuple[int, int, int]]
) -> Float[Array, "b u f c"]:
  """Pads steps and columns; cuts where a pad is below 0."""
  nothing = jnp.zeros((), plane.dtype)
  return jax.lax.pad(plane, nothing, [(0, 0, 0), *pads, (0, 0, 0)])


def reverse(
  frames: Float[Array, "b t d"], mask: Bool[Array, "b t"]
) -> Float[Array, "b t d"]:
  """Puts the real frames into each other's places, the last first.

  Source: Liang et al. 2020, section 3.1, after Srivastava et al. 2015.
  Deviation: padding stays where it is.
  """
  places = jnp.argsort(~mask, axis=1, stable=True)
  rank = jnp.cumsum(mask, axis=1) - 1
  mirrored = jnp.maximum(mask.sum(axis=1, keepdims=True) - 1 - rank, 0)
  source = jnp.take_along_axis(places, mirrored, axis=1)
  reversed_ = jnp.take_along_axis(frames, source[..., None], axis=1)
  return jnp.where(mask[..., None], reversed_, 0.0)


def _layers(
  name: str, sizes: tuple[int, ...], dtype: str, x: Float[Array, "b d"]
) -> Float[Array, "b e"]:
  """Applies linear layers of the calling module, rectified in between."""
  for index, size in enumerate(sizes):
    x = x if index == 0 else jax.nn.relu(x)
    x = layers.Linear(size, dtype=dtype, name=f"{name}_{index}")(x)
  return x


def _fit(x: Array, steps: int) -> Array:
  """Cuts or fills the second axis."""
  # Filled first: how much is missing is not known where time is symbolic.
  filled = jnp.pad(x, [(0, 0), (0, steps)] + [(0, 0)] * (x.ndim - 2))
  return filled[:, :steps]
