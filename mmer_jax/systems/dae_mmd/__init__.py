"""DAE + MMD: auto-encoders whose latent spaces are matched without labels.

Source: Liang, Li and Jin, "Semi-supervised Multi-modal Emotion Recognition with
Cross-Modal Distribution Matching", ACM Multimedia 2020.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Scalar

from mmer_jax import errors, training
from mmer_jax.core import divergences, masked
from mmer_jax.data import schema
from mmer_jax.systems import supervised
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


def build(config: ml_collections.ConfigDict) -> training.System:
  """Makes the system of a config.

  Raises:
    UserError: The config asks for what the system does not have.
  """
  parts = config.model.to_dict()
  weights = Weights(**parts.pop("weights"))
  matching = Matching(**parts.pop("matching"))
  _check(config, matching)

  def make(count: int) -> model.DaeMmd:
    return model.DaeMmd(**parts, emotions=count, dtype=config.compute_dtype)

  def init(
    key: PRNGKeyArray, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> training.Params:
    return make(emotions.shape[0]).init(key, batch, key=None)["params"]

  def apply(
    params: training.Params,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    key: PRNGKeyArray | None,
  ) -> model.Output:
    module = make(emotions.shape[0])
    return module.apply({"params": params}, batch, key=key)

  def predict(
    params: training.Params, batch: schema.Batch, emotions: Float[Array, "k e"]
  ) -> training.Prediction:
    return training.Prediction(apply(params, batch, emotions, None).logits, {})

  def make_loss(weights: Weights, semi: bool) -> training.LossFn:
    def loss(
      params: training.Params,
      batch: schema.Batch,
      emotions: Float[Array, "k e"],
      run: training.Runs,
      key: PRNGKeyArray | None,
    ) -> tuple[Scalar, dict[str, Scalar]]:
      output = apply(params, batch, emotions, key)
      following = matching.unpaired == "cross_batch"
      size = config.training.batch_size
      if not semi and not following:
        size = len(batch.example_mask)

      def part(number: int) -> Part:
        """The labelled rows, the unlabelled, the next batch's of each."""
        at = slice(number * size, (number + 1) * size)
        rows, found = jax.tree.map(lambda leaf: leaf[at], (batch, output))
        real = rows.example_mask
        if not (semi and number % 2):
          real = real & rows.labelled
        return Part(rows, found, real)

      own = part(0)
      value = supervised.classification(
        config.protocol.decision, own.output.logits, own.batch, run
      )
      terms = {"classification": value}
      others = [part(1 + semi + i) if following else None for i in (0, 1)]
      rest, more = unsupervised(own, others[0], weights, matching)
      terms |= more
      value = value + rest
      if semi:
        rest, more = unsupervised(part(1), others[1], weights, matching)
        terms |= {f"unlabelled_{name}": term for name, term in more.items()}
        value = value + weights.omega * rest
      return value, terms

    return loss

  return training.System(
    init=init,
    stages=_stages(config, weights, make_loss),
    predict=predict,
    open_vocabulary=False,
  )


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
  found = divergences.pairwise_mmd(
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


def _stages(
  config: ml_collections.ConfigDict,
  weights: Weights,
  make_loss: Callable[[Weights, bool], training.LossFn],
) -> tuple[training.Stage, ...]:
  """One stage; or one that picks unlabelled rows and one that uses them."""
  following = config.model.matching.unpaired == "cross_batch"
  if not config.unlabelled.use:
    loss = make_loss(weights, False)
    return (training.Stage("supervised", loss, following=following),)
  semi = training.Stage(
    "semi_supervised",
    make_loss(weights, True),
    unlabelled=True,
    following=following,
    fresh=True,
  )
  if not config.unlabelled.per_class:
    return (semi,)
  vanilla = make_loss(Weights(0.0, 0.0, 0.0), False)
  return (training.Stage("vanilla", vanilla), semi)


def _check(config: ml_collections.ConfigDict, matching: Matching) -> None:
  choices = (
    (
      "matching.unpaired",
      matching.unpaired,
      ("split", "cross_batch", "in_batch", "none"),
    ),
    ("padding", config.model.padding, ("masked", "literal")),
    ("decoder", config.model.decoder, ("plane", "teacher_forcing")),
  )
  for key, value, expected in choices:
    if value not in expected:
      raise errors.UserError(
        f"config.model.{key} is {value!r}, expected one of"
        f" {', '.join(expected)}"
      )
  if not all(sigma > 0 for sigma in matching.sigma):
    raise errors.UserError(
      f"config.model.matching.sigma is {matching.sigma}, expected bandwidths"
      " above 0, or () for the median distance"
    )
  missing = [
    name
    for name in config.data.modalities
    if name not in config.model.dense and name not in config.model.sequence
  ]
  if missing:
    raise errors.UserError(
      f"config.data.modalities names {missing[0]!r}, for which neither"
      " config.model.dense nor config.model.sequence has an auto-encoder; add"
      " one"
    )
  if config.few_shot.method != "none":
    raise errors.UserError(
      f"config.few_shot.method is {config.few_shot.method!r}, but dae_mmd does"
      ' not learn emotions from few samples; set it to "none"'
    )
