"""The multiplicative loss over modalities, for the systems that fuse by it."""

from typing import NamedTuple

import jax.numpy as jnp
from absl import logging
from jaxtyping import Array, Float, Scalar

from mmer_jax.base import errors
from mmer_jax.core import masked, multiplicative
from mmer_jax.data import schema
from mmer_jax.systems import interface

FORMS = ("boost", "suppress")
CONFIDENCES = ("likeliest", "entropy")


class Settings(NamedTuple):
  """Holds `config.model.multiplicative`.

  Attributes:
    beta: How much the weights count, see `core.multiplicative`.
    form: `boost`, Eq. 3, or `suppress`, Eq. 2.
    detach_weight: Whether the weights are constants of the gradient.
    confidence: What the fusion weighs by: see
      `core.multiplicative.log_confidence`.
  """

  beta: float
  form: str
  detach_weight: bool
  confidence: str


def check(settings: Settings) -> None:
  """Refuses values that are none of the choices.

  Raises:
    UserError: Such a value.
  """
  for key, allowed in (("form", FORMS), ("confidence", CONFIDENCES)):
    errors.check_choices(
      f"model.multiplicative.{key}", getattr(settings, key), allowed
    )
  if not settings.beta >= 0:
    raise errors.UserError(
      f"config.model.multiplicative.beta is {settings.beta}, expected at least"
      " 0"
    )


def check_beta(
  settings: Settings, decision: str, modalities: int, emotions: int
) -> None:
  """Refuses a beta under which Eq. 3 rewards wrong answers from the start.

  Source: see `core.multiplicative.beta_bound`.

  Args:
    settings: The settings that are checked.
    decision: `binary` or `softmax`.
    modalities: How many the system has.
    emotions: How many it tells apart.

  Raises:
    UserError: beta is at or above the bound of samples with all modalities.
  """
  if settings.form != "boost" or settings.detach_weight:
    return
  classes = 2 if decision == "binary" else emotions
  bound = multiplicative.beta_bound(modalities, classes)
  if settings.beta >= bound:
    raise errors.UserError(
      f"config.model.multiplicative.beta is {settings.beta}, from"
      f" {bound:.3f} = (M - 1) / ln K on (M = {modalities}, K = {classes}) the"
      " loss of Eq. 3 falls as the true class gets less likely; choose a"
      " smaller beta, or set config.model.multiplicative.detach_weight=True"
    )
  pairs = multiplicative.beta_bound(2, classes)
  if modalities > 2 and settings.beta >= pairs:
    logging.log_first_n(
      logging.WARNING,
      "beta %g of the multiplicative loss is at or above %.3f: a sample with"
      " two modalities left teaches the wrong thing while its true class is"
      " unlikely; choose a smaller beta where modalities are missing",
      1,
      settings.beta,
      pairs,
    )


def loss(
  settings: Settings,
  decision: str,
  per_modality: dict[str, Float[Array, "b k"]],
  batch: schema.Batch,
  run: interface.RunSettings,
) -> Scalar:
  """Computes c(y) of a batch, averaged as `supervised.classification` is.

  Args:
    settings: The settings of the loss.
    decision: `binary` or `softmax`.
    per_modality: Modality name to its scores.
    batch: The batch, with the modalities that each sample has.
    run: The run, with its class weights.
  """
  labels, real = batch.labels, batch.example_mask & batch.labelled
  weight = run.class_weight[batch.role]
  make = multiplicative.softmax_log_probs
  if decision == "binary":
    make = multiplicative.binary_log_probs
  pairs = {name: make(each, labels) for name, each in per_modality.items()}
  values = multiplicative.multiplicative(
    {name: pair[0] for name, pair in pairs.items()},
    {name: pair[1] for name, pair in pairs.items()},
    {name: batch.present[name] for name in pairs},
    beta=settings.beta,
    form=settings.form,
    detach_weight=settings.detach_weight,
  )
  if decision == "softmax":
    return masked.mean(values * (weight * labels).sum(axis=-1), real)
  known = run.known[batch.role]
  values = values * jnp.where(labels > 0, weight, 1.0)
  total = jnp.where(known, values, 0.0).sum(axis=-1)
  count = jnp.maximum(known.sum(axis=-1), 1).astype(total.dtype)
  return masked.mean(total / count, real & known.any(axis=-1))


def fuse(
  settings: Settings,
  decision: str,
  per_modality: dict[str, Float[Array, "b k"]],
  batch: schema.Batch,
) -> dict[str, Float[Array, " b"]]:
  """Computes the weight of each modality in each sample."""
  return multiplicative.modality_weights(
    {
      name: multiplicative.log_confidence(each, decision, settings.confidence)
      for name, each in per_modality.items()
    },
    {name: batch.present[name] for name in per_modality},
    beta=settings.beta,
  )
