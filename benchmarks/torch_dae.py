"""DAE + MMD in eager PyTorch; see `torch_models`."""

import math
from typing import Any

import ml_collections
import torch
from torch import nn
from torch.nn import functional

Streams = dict[str, torch.Tensor]


def label_loss(
  config: ml_collections.ConfigDict, logits: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
  """Computes cross-entropy, of one softmax or of binary decisions."""
  if config.protocol.decision == "softmax":
    return functional.cross_entropy(logits, labels)
  return functional.binary_cross_entropy_with_logits(logits, labels)


class DaeMmd(nn.Module):
  """Liang et al. 2020: auto-encoders, matched by MMD, half unlabelled.

  The second half of the rows has no labels. `nn.MultiheadAttention` wants the
  width to be a multiple of the heads: the largest number that is takes their
  place (3 of 342 columns).
  """

  def __init__(self, config: Any, dims: Any, lengths: Any, emotions: int):
    super().__init__()
    model = config.model
    self.config = config
    self.coders = nn.ModuleDict(
      {
        name: Dense(dim, tuple(model.dense[name]))
        if name in model.dense
        else Sequence(dim, model, model.sequence[name])
        for name, dim in dims.items()
      }
    )
    width = sum(coder.width for coder in self.coders.values())
    self.classifier = nn.Sequential(
      nn.Linear(width, model.classifier),
      nn.ReLU(),
      nn.Linear(model.classifier, emotions),
    )

  def forward(self, streams: Streams, labels: torch.Tensor) -> torch.Tensor:
    """Computes the loss."""
    made = {name: self.coders[name](x) for name, x in streams.items()}
    latents = {name: latent for name, (latent, _) in made.items()}
    logits = self.classifier(torch.cat(list(latents.values()), dim=-1))
    half, weights = len(labels) // 2, self.config.model.weights
    loss = label_loss(self.config, logits[:half], labels[:half])
    for rows, factor in (
      (slice(half), 1.0),
      (slice(half, None), weights.omega),
    ):
      part = {name: latent[rows] for name, latent in latents.items()}
      rest = sum(
        weights.alpha * error[rows].mean() for _, error in made.values()
      )
      rest = rest + weights.beta * matching(part)
      loss = loss + factor * rest
    return loss


def matching(latents: Streams) -> torch.Tensor:
  """Paired minus unpaired MMD of acoustics with each other modality."""
  total = 0.0
  for name, other in latents.items():
    if name == "acoustic":
      continue
    anchor = latents["acoustic"]
    half = len(anchor) // 2
    total = total + mmd(anchor, other)
    total = total - 0.5 * (
      mmd(anchor[:half], other[half:]) + mmd(anchor[half:], other[:half])
    )
  return total


def mmd(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
  """The unbiased estimate of the squared MMD, at the median distance."""
  both = torch.cat([x, y])
  distances = torch.cdist(both, both).square()
  sigma = distances.detach().median().clamp_min(1e-6)
  kernel = torch.exp(-distances / sigma)
  n = len(x)
  off = kernel - torch.diag(kernel.diagonal())
  same = off[:n, :n].sum() + off[n:, n:].sum()
  return same / (n * (n - 1)) - 2 * kernel[:n, n:].mean()


class Dense(nn.Module):
  """An auto-encoder of linear layers."""

  def __init__(self, dim: int, sizes: tuple[int, ...]):
    super().__init__()
    self.width = sizes[-1]
    self.encode = _linear(dim, *sizes)
    self.decode = _linear(*sizes[::-1], dim)

  def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the latent vectors and the errors of reconstruction."""
    target = frames.mean(1)
    latent = self.encode(target)
    return latent, (self.decode(latent) - target).square().mean(-1)


class Sequence(nn.Module):
  """A transformer, convolutions and linear layers, and back."""

  def __init__(self, dim: int, model: Any, setting: Any):
    super().__init__()
    heads = next(n for n in range(model.heads, 0, -1) if dim % n == 0)
    shared = {
      "d_model": dim,
      "nhead": heads,
      "dim_feedforward": 4 * dim,
      "dropout": model.dropout,
      "batch_first": True,
    }
    self.encoder = nn.TransformerEncoder(
      nn.TransformerEncoderLayer(**shared),
      model.blocks,
      enable_nested_tensor=False,
    )
    self.decoder = nn.TransformerDecoder(
      nn.TransformerDecoderLayer(**shared), model.blocks
    )
    self.register_buffer("places", _positions(setting.steps, dim))
    channels, size = 1, (setting.steps, dim)
    convolutions, back = [], []
    for kernel, stride, padding, out in setting.convolutions:
      smaller = tuple((n + 2 * padding - kernel) // stride + 1 for n in size)
      extra = tuple(
        n - ((m - 1) * stride - 2 * padding + kernel)
        for n, m in zip(size, smaller, strict=True)
      )
      convolutions += [
        nn.Conv2d(channels, out, kernel, stride, padding),
        nn.ReLU(),
      ]
      back = [
        nn.ReLU(),
        nn.ConvTranspose2d(out, channels, kernel, stride, padding, extra),
        *back,
      ]
      channels, size = out, smaller
    self.convolutions = nn.Sequential(*convolutions)
    self.deconvolutions = nn.Sequential(*back)
    self.shape = (channels, *size)
    sizes = tuple(setting.sizes)
    self.width = sizes[-1]
    self.encode = _linear(math.prod(self.shape), *sizes)
    self.decode = _linear(*sizes[::-1], math.prod(self.shape))
    self.output = nn.Linear(dim, dim)

  def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the latent vectors and the errors of reconstruction."""
    encoded = self.encoder(frames + self.places)
    plane = self.convolutions(encoded[:, None])
    latent = self.encode(plane.flatten(1))
    plane = self.decode(latent).unflatten(1, self.shape)
    plane = self.deconvolutions(plane)[:, 0] + self.places
    decoded = self.output(self.decoder(plane, plane))
    error = (decoded - frames.flip(1)).square().mean((1, 2))
    return latent, error


def _linear(*sizes: int) -> nn.Sequential:
  """Linear layers, rectified in between."""
  layers: list[nn.Module] = []
  for index in range(len(sizes) - 1):
    if index:
      layers.append(nn.ReLU())
    layers.append(nn.Linear(sizes[index], sizes[index + 1]))
  return nn.Sequential(*layers)


def _positions(steps: int, width: int) -> torch.Tensor:
  """Sines and cosines in turn."""
  column = torch.arange(width)
  frequency = 10000.0 ** (-(column - column % 2) / width)
  angle = torch.arange(steps)[:, None] * frequency
  return torch.where(column % 2 == 0, angle.sin(), angle.cos())
