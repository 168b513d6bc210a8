"""DAE + MMD: auto-encoders whose latent spaces are matched without labels.

Source: Liang, Li and Jin, "Semi-supervised Multi-modal Emotion Recognition with
Cross-Modal Distribution Matching", ACM Multimedia 2020.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from mmer_jax.core import masked, mmd
from mmer_jax.data import schema
from mmer_jax.systems.dae_mmd import model


class Weights(NamedTuple):
  """What the parts of the loss count for, Eq. 6 to 9.

  Attributes:
    alpha: The reconstruction.
    beta: The matching.
    omega: The unlabelled videos.
  """

  alpha: float
  beta: float
  omega: float


class Matching(NamedTuple):
  """How latent spaces are matched.

  Attributes:
    sigma: Bandwidths of the kernel; empty for the median distance.
    unpaired: Which videos stand for unpaired ones: `split`, the halves of a
      batch against each other; `cross_batch`, the next batch; `in_batch`, the
      same batch shuffled, as the paper has it; `none`.
    biased: Which estimator, see `divergences.mmd`.
  """

  sigma: tuple[float, ...]
  unpaired: str
  biased: bool


class Part(NamedTuple):
  """Rows of a batch and what the networks make of them.

  Attributes:
    batch: The rows.
    output: Of them.
    real: Which of them count.
  """

  batch: schema.Batch
  output: model.Output
  real: Bool[Array, " b"]

  def masks(self) -> dict[str, Bool[Array, " b"]]:
    """Which rows have each modality."""
    present = self.batch.present
    return {name: present[name] & self.real for name in sorted(present)}


def unsupervised(
  part: Part, following: Part | None, weights: Weights, matching: Matching
) -> tuple[Scalar, dict[str, Scalar]]:
  """Makes alpha L_rec + beta (L_pair + L_unpaired), and every term apart.

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
  for kind, found, sign in (("paired", paired, 1), ("unpaired", unpaired, -1)):
    for (a, b), term in found.items():
      terms[f"{kind}_{a}_{b}"] = term
      value = value + sign * weights.beta * term
  terms["kernel_live"] = live
  return value, terms


Terms = dict[tuple[str, str], Scalar]


def _match(
  part: Part,
  following: Part | None,
  pairs: tuple[tuple[str, str], ...],
  matching: Matching,
) -> tuple[Terms, Terms, Scalar]:
  """L_MMD of the paired and of the unpaired sets, and `PairTerms.live`."""
  nothing = dict.fromkeys(pairs, jnp.zeros(()))
  if not len(part.real):
    return (
      nothing,
      {} if matching.unpaired == "none" else nothing,
      jnp.zeros(()),
    )
  latents, masks, wanted = dict(part.output.latents), part.masks(), list(pairs)
  crossed = following is not None and len(following.real) > 0
  if crossed:
    for name, mask in following.masks().items():
      latents[f"next {name}"] = following.output.latents[name]
      masks[f"next {name}"] = mask
    wanted += [(a, f"next {b}") for a, b in pairs]
  found = mmd.pairwise_mmd(
    latents,
    wanted,
    sigma=matching.sigma or None,
    masks=masks,
    split=matching.unpaired == "split",
    biased=matching.biased,
  )
  paired = {pair: found.paired[pair] for pair in pairs}
  if matching.unpaired == "in_batch":
    # A set is compared: the shuffled batch has the value of the batch.
    return paired, paired, found.live
  if matching.unpaired == "cross_batch":
    # Validation has no next batch.
    unpaired = nothing
    if crossed:
      unpaired = {(a, b): found.paired[a, f"next {b}"] for a, b in pairs}
    return paired, unpaired, found.live
  return paired, found.unpaired, found.live


def _pairs(modalities: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
  """Acoustics with each other modality, as in Eq. 6; never those.

  Without acoustics the first by name takes their place.
  """
  anchor = "acoustic" if "acoustic" in modalities else min(modalities)
  return tuple((anchor, name) for name in modalities if name != anchor)


def _variance(
  latents: Float[Array, "b z"], mask: Bool[Array, " b"]
) -> Float[Array, ""]:
  """Mean over the columns of their variance: 0 is section 5's collapse."""
  count = jnp.maximum(mask.sum(), 1).astype(latents.dtype)
  kept = mask[:, None]
  mean = jnp.where(kept, latents, 0.0).sum(axis=0) / count
  away = jnp.where(kept, latents - mean[None, :], 0.0)
  return jnp.square(away).sum() / count / latents.shape[1]
