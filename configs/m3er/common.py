"""Sets the models and the corpora of M3ER's configs (Mittal et al. 2020)."""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.evaluation import published

# Mittal et al. 2020 name F1 without a formula: both means over emotions.
OVERALL = (
  published.of_all("F1", "weighted_f1"),
  published.of_all("MA", "mean_accuracy"),
  published.of_all("macro F1", "f1"),
  published.of_all("AUC", "auc"),
)
VARIANTS = ("full", "utterances", "youtube", "synthetic", "smoke")
# Neighbours and components that two rows allow.
SMOKE_REPAIR = {"components": 3, "neighbours": 2}


def measured(
  config: ml_collections.ConfigDict,
) -> tuple[published.Column, ...]:
  """Makes the columns measured of noise, check and proxies."""
  names = ["check_precision", "check_recall", "check_flagged"]
  names += ["check_none_effective", "check_lone_failure"]
  for modality in sorted(config.data.modalities):
    names += [
      f"{kind}_{modality}"
      for kind in ("distance", "weight_before", "weight_after")
    ]
  return tuple(
    published.of_robustness(name.replace("_", " "), name) for name in names
  )


def get(variant: str) -> ml_collections.ConfigDict:
  """Makes M3ER in a variant, unlocked.

  Raises:
    ValueError: There is no such variant.
  """
  common.check_variant(variant, VARIANTS)
  config = base()
  if variant == "utterances":
    utterances(config)
  if variant == "youtube":
    youtube(config)
  if variant == "synthetic":
    synthetic(config)
  if variant == "smoke":
    smoke(config)
  return config


def base() -> ml_collections.ConfigDict:
  """Makes CMU-MOSEI, six binary decisions; unlocked."""
  config = common.base()
  config.system = "m3er"
  config.seeds = (0, 1, 2, 3, 4)
  config.data.normalise = common.MODALITIES
  # Section 4.3. Utterances are drawn, whoever speaks.
  config.protocol.split = "random"
  config.protocol.allow_speaker_overlap = True
  config.loss.class_weight = "none"
  config.optimizer.learning_rate = 0.01
  # No clip and no schedule in the paper. The clip is ours.
  config.optimizer.clip_norm = 1.0
  config.schedule.factor = 1.0
  config.training.batch_size = 256
  config.training.epochs = 500
  # The patience and what selects are ours.
  config.training.early_stopping = 20
  config.training.select = "weighted_f1"
  config.repair.training = "check"
  config.repair.inference = "proxy"

  config.model = ml_collections.ConfigDict()
  # Section 4.2; inside, Zadeh et al. 2018a.
  config.model.hidden = 32
  config.model.memory = 128
  config.model.attention = 256
  config.model.proposal = 64
  config.model.gate = 64
  config.model.dropout = 0.2
  config.model.classifier = 64
  config.model.fusion = "weighted_sum"
  config.model.multiplicative = common.multiplicative()
  return config


def mfn(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Makes the memory fusion network in the place of a config's M3ER."""
  model = config.model.to_dict()
  for key in ("fusion", "multiplicative"):
    model.pop(key)
  return common.changed(
    ml_collections.ConfigDict({**config.to_dict(), "model": model}),
    system="mfn",
    repair__training="none",
    repair__inference="none",
  )


def utterances(config: ml_collections.ConfigDict) -> None:
  """Sets IEMOCAP's public utterance file: words and acoustic functionals."""
  config.data.modalities = ("lexical", "acoustic")
  config.data.normalise = ("lexical", "acoustic")
  config.data.max_length.update(lexical=20, acoustic=1)
  config.protocol.decision = "softmax"
  common.utterance_shapes(config)
  config.benchmark.emotions = 4
  quick(config)


def youtube(config: ml_collections.ConfigDict) -> None:
  """Sets YouTube in CMU's form: three classes, modalities that are absent.

  The train split of the public files has no text, which the proxies put in
  its place.
  """
  config.protocol.decision = "softmax"
  config.data.max_length.update(lexical=20, acoustic=20, visual=20)
  config.benchmark.emotions = 3
  config.training.batch_size = 32
  quick(config)


def synthetic(config: ml_collections.ConfigDict) -> None:
  """Sets the synthetic corpus of preset `tiny_mosei`."""
  common.synthetic_shapes(config)
  config.training.select = "auc"
  quick(config)
  config.training.batch_size = 64


def quick(config: ml_collections.ConfigDict) -> None:
  """Sets a budget and a size for small corpora; ours."""
  config.model.update(memory=32, attention=64, proposal=32, gate=32)
  config.optimizer.learning_rate = 0.003
  config.training.epochs = 10
  config.training.early_stopping = 4


def smoke(config: ml_collections.ConfigDict) -> None:
  """Shrinks model, data and budget to two steps, for a test."""
  common.smoke(config)
  config.model.update(
    hidden=4, memory=5, attention=6, proposal=6, gate=6, classifier=6
  )
  config.repair.update(SMOKE_REPAIR)
