"""The settings of the modality check and the proxies, and what is fitted."""

from typing import NamedTuple

import flax.struct
import ml_collections
from jaxtyping import Array, Bool, Float, Int

from mmer_jax.base import errors
from mmer_jax.robustness import noise as noise_lib

METHODS = ("none", "check", "proxy")
SCORES = ("pearson", "cosine", "likelihood")
# Scores that are the same for both modalities of a pair.
SYMMETRIC = ("pearson", "cosine")
PROXIES = ("knn", "linear")

# Rows that are fitted on or scored at a time.
BLOCK_ROWS = 1024

# Mittal et al. 2020, section 5.4.
TUNED_SHARE = 0.75


class RepairSettings(NamedTuple):
  """Holds `config.repair`.

  Attributes:
    training: What is done to the rows that are trained on: `none`; `check`,
      ineffectual modalities are made absent; `proxy`, and are regenerated
      then, as are those that were absent.
    inference: What is done to all other rows: one of the same.
    score: `pearson`, `cosine` or `likelihood`, see `core.cca`.
    tau_from: `validation`, or `config` for `tau`.
    tau: The threshold of Eq. 1.
    proxy: `knn` or `linear`.
    components: How many the reduction and the canonical correlations have.
    ridge: Added to the diagonal of covariances and of X'X, relative to its
      mean.
    neighbours: How many `knn` takes.
    max_false_alarm: Most intact modalities, as a share of them on validation,
      that a tau chosen there may lose; 1 for no bound.
    min_balanced_accuracy: A check that tells failed modalities from intact ones
      on validation no better than so discards nothing; 0 for none.
    tau_snr: Ratio of powers of the white noise that tau is chosen under, on
      `TUNED_SHARE` of the utterances; 0 for that of `config.noise`.
  """

  training: str
  inference: str
  score: str
  tau_from: str
  tau: float
  proxy: str
  components: int
  ridge: float
  neighbours: int
  # The last three came later: what was trained and exported before has none.
  max_false_alarm: float = 1.0
  min_balanced_accuracy: float = 0.0
  tau_snr: float = 0.0

  @classmethod
  def from_config(cls, config: ml_collections.ConfigDict) -> "RepairSettings":
    """Reads and checks `config.repair`.

    Raises:
      UserError: A value is out of its range.
    """
    settings = cls(**{key: config.repair[key] for key in cls._fields})
    for key, expected in (
      ("training", METHODS),
      ("inference", METHODS),
      ("score", SCORES),
      ("proxy", PROXIES),
      ("tau_from", ("validation", "config")),
    ):
      errors.check_choices(f"repair.{key}", getattr(settings, key), expected)
    for key in ("components", "neighbours"):
      if getattr(settings, key) < 1:
        raise errors.UserError(
          f"config.repair.{key} is {getattr(settings, key)}, expected at least"
          " 1"
        )
    for key in ("ridge", "tau_snr"):
      if not getattr(settings, key) >= 0:
        raise errors.UserError(
          f"config.repair.{key} is {getattr(settings, key)}, expected at least"
          " 0"
        )
    for key in ("max_false_alarm", "min_balanced_accuracy"):
      if not 0 <= getattr(settings, key) <= 1:
        raise errors.UserError(
          f"config.repair.{key} is {getattr(settings, key)}, expected a share"
          " from 0 to 1"
        )
    if not settings.used:
      return settings
    if len(config.data.modalities) < 2:
      raise errors.UserError(
        "config.repair compares modalities with each other, got"
        f" {config.data.modalities} alone; set config.repair.training and"
        ' config.repair.inference to "none"'
      )
    if settings.proxy == "knn" and not config.data.resident:
      raise errors.UserError(
        'config.repair.proxy="knn" reads the training rows on the device, but'
        ' config.data.resident is False; set config.repair.proxy="linear"'
      )
    return settings

  @property
  def used(self) -> bool:
    """Whether the check or the proxies are used at all."""
    return self.training != "none" or self.inference != "none"

  def tuning_noise(self, noise: noise_lib.Noise) -> noise_lib.Noise:
    """Returns the noise that tau is chosen under: white, of whatever kind.

    Args:
      noise: That of the config.
    """
    if self.tau_snr > 0:
      return noise_lib.Noise("gaussian", self.tau_snr, TUNED_SHARE)
    return noise_lib.Noise("gaussian", noise.snr, noise.share)


@flax.struct.dataclass
class FittedRepair:
  """Holds what was fitted to the training rows of a run.

  Pairs are named `first|second`. Flat features are those of all steps of an
  utterance in turn, zeros at padding.

  Attributes:
    mean: Modality name to the mean of its flat features.
    basis: Modality name to their principal components.
    first: Pair, in alphabetical order, to the map of its first modality.
    second: Pair to the map of its second modality.
    correlations: Pair to the correlations of the mapped components.
    tau: The threshold of Eq. 1.
    linear: Pair, in both orders, to the linear map from the first modality to
      a frame of the second: see `proxies.linear_proxies`.
    bank: Numbers of the training rows, `schema.PAD_ROW` beyond them. It and
      the next two are of `knn` alone, and may be missing for `linear`.
    reduced: Modality name to the components of the rows of the bank.
    there: Modality name to whether the rows of the bank have it.
  """

  mean: dict[str, Float[Array, "*r f"]]
  basis: dict[str, Float[Array, "*r f p"]]
  first: dict[str, Float[Array, "*r p c"]]
  second: dict[str, Float[Array, "*r q c"]]
  correlations: dict[str, Float[Array, "*r c"]]
  tau: Float[Array, "*r"]
  linear: dict[str, Float[Array, "*r p d"]]
  bank: Int[Array, "*r n"] | None
  reduced: dict[str, Float[Array, "*r n p"]]
  there: dict[str, Bool[Array, "*r n"]]
