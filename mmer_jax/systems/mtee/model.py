"""The network of MTEE: encoders, maps of the emotions, their fusion."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mmer_jax.core import layers, lstm
from mmer_jax.core import multiplicative as multiplicative_lib
from mmer_jax.data import schema
from mmer_jax.systems import interface, multiplicative


class Mtee(nn.Module):
  """Compares sequences with emotions, fused by one weight a modality.

  Source: Dai et al. 2020, Eq. 1 to 4; there the modalities are t, a and v.
  Deviation: a modality that an utterance lacks drops out of Eq. 4; the
    published code would encode its zeros. Read-out: see
    `lstm.BiLSTM`; the paper says no more than "a vector representation",
    the published code sums both directions at the last position.

  Attributes:
    hidden: Modality name to the LSTM's width. The lexical one is that of the
      emotions' word vectors, with which its read-out is compared.
    layers: LSTM layers.
    dropout: Rate of the dropout between them.
    readout: `last` or `final`, see `lstm.BiLSTM`.
    absent: Where a modality is absent: `drop` keeps the other weights as they
      are; `reference` replaces them by 1 / (number present), as the published
      code does when it evaluates a subset.
    fusion: None for the weighted sum of Eq. 4; or the multiplicative loss
      (Mittal et al. 2020) whose weights take its place, per utterance.
    decision: `binary` or `softmax`, which those weights are computed for.
    dtype: Dtype of the matmuls.
  """

  hidden: Mapping[str, int]
  layers: int
  dropout: float
  readout: str
  absent: str
  fusion: multiplicative.Settings | None
  decision: str
  dtype: str

  @nn.compact
  def __call__(
    self,
    batch: schema.Batch,
    emotions: Float[Array, "k e"],
    *,
    key: PRNGKeyArray | None,
  ) -> interface.Prediction:
    """Scores every emotion; `emotions` may be any, trained on or not."""
    scores = {}
    for index, (modality, width) in enumerate(sorted(self.hidden.items())):
      stream = batch.streams[modality]
      encoded = lstm.BiLSTM(
        hidden=width,
        layers=self.layers,
        dropout=self.dropout,
        readout=self.readout,
        bidirectional=True,
        dtype=self.dtype,
        name=f"encoder_{modality}",
      )(
        stream.features,
        stream.mask,
        key=None if key is None else jax.random.fold_in(key, index),
      )
      space = emotions
      if modality != "lexical":
        # `spaces` finds the map by its name.
        space = layers.Linear(width, name=f"map_{modality}")(emotions)
      scores[modality] = (encoded.forward + encoded.backward) @ space.T
    if self.fusion is not None:
      amounts = multiplicative.fuse(self.fusion, self.decision, scores, batch)
      fused = multiplicative_lib.weighted_sum(scores, amounts)
      return interface.Prediction(fused, scores, amounts)
    weights = {
      modality: self.param(
        f"weight_{modality}",
        nn.initializers.constant(1 / len(self.hidden)),
        (),
      )
      for modality in scores
    }
    return interface.Prediction(
      fuse(scores, weights, batch.present, self.absent), scores
    )


def spaces(
  params: interface.Params,
  hidden: Mapping[str, int],
  emotions: Float[Array, "k e"],
) -> dict[str, Float[Array, "k d"]]:
  """Maps the emotions into the space of each modality.

  Source: Dai et al. 2020, Eq. 1 and 2; Figure 3 shows their distances.

  Args:
    params: The parameters of `Mtee`.
    hidden: The attribute of `Mtee`.
    emotions: Word vectors, the lexical space.
  """
  mapped = {
    modality: layers.Linear(width).apply(
      {"params": params[f"map_{modality}"]}, emotions
    )
    for modality, width in hidden.items()
    if modality != "lexical"
  }
  return {"lexical": emotions, **mapped}


def fuse(
  scores: dict[str, Float[Array, "b k"]],
  weights: dict[str, Float[Array, ""]],
  present: dict[str, Bool[Array, " b"]],
  absent: str,
) -> Float[Array, "b k"]:
  """Sums the modalities' scores by their weights.

  Source: Dai et al. 2020, Eq. 4, before the sigmoid.
  Deviation: see `Mtee.absent`.

  Args:
    scores: Modality name to the scores of every emotion.
    weights: One per modality, of any sign; nothing makes them sum to one.
    present: Which modalities each utterance has.
    absent: `drop` or `reference`.

  Returns:
    Logits; 0 for an utterance without any modality.
  """
  count = sum(flags.astype(jnp.float32) for flags in present.values())
  logits = jnp.zeros_like(next(iter(scores.values())))
  for modality, score in scores.items():
    weight = jnp.broadcast_to(weights[modality], count.shape)
    if absent == "reference":
      some = count < len(scores)
      weight = jnp.where(some, 1 / jnp.maximum(count, 1.0), weight)
    weight = jnp.where(present[modality], weight, 0.0)
    logits = logits + weight[:, None] * score
  return logits
