"""The losses of DAE + MMD: emotions, reconstruction, matched latent spaces."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from mmer_jax.core import masked, mmd_pairs
from mmer_jax.data import schema
from mmer_jax.systems import interface, network, supervised
from mmer_jax.systems.dae_mmd import model


class Weights(NamedTuple):
  """Holds the weights of the parts of the loss, Eq. 6 to 9.

  Attributes:
    alpha: Weight of the reconstruction.
    beta: Weight of the matching.
    omega: Weight of the unlabelled videos.
  """

  alpha: float
  beta: float
  omega: float


class Matching(NamedTuple):
  """Says how latent spaces are matched.

  Attributes:
    sigma: Bandwidths of the kernel; empty for the median distance.
    unpaired: Which videos stand for unpaired ones: `split`, the halves of a
      batch against each other; `cross_batch`, the next batch; `in_batch`, the
      same batch shuffled, as the paper has it; `none`.
    biased: Which estimator, see `core.mmd.mmd`.
    block_size: Rows whose kernel values are in memory at a time, see
      `core.mmd_pairs.pairwise_mmd`; 0 for all.
  """

  sigma: tuple[float, ...]
  unpaired: str
  biased: bool
  block_size: int

  @property
  def following(self) -> bool:
    """Whether the next batch is needed."""
    return self.unpaired == "cross_batch"


class Part(NamedTuple):
  """Holds rows of a batch and the networks' output for them.

  Attributes:
    batch: The rows.
    output: The output of the networks.
    real: Which of the rows count.
  """

  batch: schema.Batch
  output: model.Output
  real: Bool[Array, " b"]

  def masks(self) -> dict[str, Bool[Array, " b"]]:
    """Tells which rows have each modality."""
    present = self.batch.present
    return {name: present[name] & self.real for name in sorted(present)}


def make_loss(
  net: network.Network,
  criterion: supervised.Criterion,
  weights: Weights,
  matching: Matching,
  batch_size: int,
  *,
  semi: bool,
) -> interface.LossFn:
  """Makes the loss of a stage, on labelled rows alone or with unlabelled ones.

  Source: Liang et al. 2020, Eq. 7 (labelled) and 9 (with unlabelled rows).

  Args:
    net: A network whose output is a `model.Output`.
    criterion: What the labels are and how they are compared.
    weights: The weights of the parts.
    matching: How latent spaces are matched.
    batch_size: Labelled rows of a batch. After them come as many unlabelled
      rows if `semi`, then the same of the next batch where it is needed.
    semi: Whether there are unlabelled rows.

  Returns:
    A stage's loss.
  """
  kinds = ("", "unlabelled_") if semi else ("",)

  def loss(
    params: interface.Params,
    batch: schema.Batch,
    run: interface.RunSettings,
    key: PRNGKeyArray | None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    output = net.apply(params, batch, run.vectors, key)
    alone = not semi and not matching.following
    size = len(batch.example_mask) if alone else batch_size
    parts = [
      _part(batch, output, number, size, labelled=number % len(kinds) == 0)
      for number in range(len(kinds) * (1 + matching.following))
    ]
    following = parts[len(kinds) :] or [None] * len(kinds)
    own = parts[0]
    value = supervised.label_loss(criterion, own.output.logits, own.batch, run)
    terms = {criterion.term: value}
    for kind, part, after, factor in zip(
      kinds, parts, following, (1.0, weights.omega), strict=False
    ):
      rest, more = unsupervised(part, after, weights, matching)
      terms |= {f"{kind}{name}": term for name, term in more.items()}
      value = value + factor * rest
    return value, terms

  return loss


def _part(
  batch: schema.Batch,
  output: model.Output,
  number: int,
  size: int,
  *,
  labelled: bool,
) -> Part:
  """Cuts out the part of a number; what is behind the batch is empty."""
  at = slice(number * size, (number + 1) * size)
  rows, outputs = jax.tree.map(lambda leaf: leaf[at], (batch, output))
  real = rows.example_mask & rows.labelled if labelled else rows.example_mask
  return Part(rows, outputs, real)


def unsupervised(
  part: Part, following: Part | None, weights: Weights, matching: Matching
) -> tuple[Scalar, dict[str, Scalar]]:
  """Computes alpha L_rec + beta (L_pair + L_unpaired), and every term apart.

  Source: Liang et al. 2020, Eq. 2, 6, 7 and 8.
  Deviation: Eq. 6 writes L_DAE(z); it is a function of x, as in Eq. 2. The
    squared error is a mean over elements, so that modalities weigh alike.

  Args:
    part: The rows. There may be none: validation has no unlabelled ones.
    following: The next batch's, where they stand for unpaired videos.
    weights: A part whose weight is 0 is not computed.
    matching: How latent spaces are matched.

  Returns:
    The loss, and its terms before their weights.
  """
  value, terms, masks = jnp.zeros(()), {}, part.masks()
  for name, mask in masks.items():
    latents = part.output.latents[name]
    terms[f"latent_variance_{name}"] = _variance(latents, mask)
    if weights.alpha:
      error = masked.mean(part.output.errors[name], mask)
      terms[f"reconstruction_{name}"] = error
      value = value + weights.alpha * error
  pairs = _pairs(tuple(masks))
  if not weights.beta or not pairs:
    return value, terms
  paired, unpaired, live = _match(part, following, pairs, matching)
  for kind, values, sign in (
    ("paired", paired, 1),
    ("unpaired", unpaired, -1),
  ):
    for (a, b), term in values.items():
      terms[f"{kind}_{a}_{b}"] = term
      value = value + sign * weights.beta * term
  terms["kernel_live"] = live
  return value, terms


Terms = dict[mmd_pairs.Pair, Scalar]


def _match(
  part: Part,
  following: Part | None,
  pairs: tuple[mmd_pairs.Pair, ...],
  matching: Matching,
) -> tuple[Terms, Terms, Scalar]:
  """Computes L_MMD of paired and unpaired sets, and `PairTerms.live`."""
  nothing = dict.fromkeys(pairs, jnp.zeros(()))
  if not len(part.real):
    unpaired = {} if matching.unpaired == "none" else nothing
    return nothing, unpaired, jnp.zeros(())
  latents, masks, wanted = dict(part.output.latents), part.masks(), list(pairs)
  crossed = following is not None and len(following.real) > 0
  if crossed:
    for name, mask in following.masks().items():
      latents[f"next {name}"] = following.output.latents[name]
      masks[f"next {name}"] = mask
    wanted += [(a, f"next {b}") for a, b in pairs]
  terms = mmd_pairs.pairwise_mmd(
    latents,
    wanted,
    sigma=matching.sigma or None,
    masks=masks,
    split=matching.unpaired == "split",
    biased=matching.biased,
    block_size=matching.block_size,
  )
  paired = {pair: terms.paired[pair] for pair in pairs}
  if matching.unpaired == "in_batch":
    # A set is compared: the shuffled batch has the value of the batch.
    return paired, paired, terms.live
  if matching.following:
    # Validation has no next batch.
    unpaired = nothing
    if crossed:
      unpaired = {(a, b): terms.paired[a, f"next {b}"] for a, b in pairs}
    return paired, unpaired, terms.live
  return paired, terms.unpaired, terms.live


def _pairs(modalities: tuple[str, ...]) -> tuple[mmd_pairs.Pair, ...]:
  """Pairs acoustics with each other modality, as in Eq. 6; never those.

  Without acoustics the first by name takes their place.
  """
  anchor = "acoustic" if "acoustic" in modalities else min(modalities)
  return tuple((anchor, name) for name in modalities if name != anchor)


def _variance(
  latents: Float[Array, "b z"], mask: Bool[Array, " b"]
) -> Float[Array, ""]:
  """Averages the variance of the columns: 0 is section 5's collapse."""
  count = jnp.maximum(mask.sum(), 1).astype(latents.dtype)
  kept = mask[:, None]
  mean = jnp.where(kept, latents, 0.0).sum(axis=0) / count
  away = jnp.where(kept, latents - mean[None, :], 0.0)
  return jnp.square(away).sum() / count / latents.shape[1]
