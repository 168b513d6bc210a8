"""Sets the model and the corpora of DAE + MMD's configs (Liang et al. 2020)."""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.evaluation import published

EVERY = ("acoustic", "visual", "lexical")

# Subsets in the order of Table 4, by the paper's letters.
SUBSETS = {
  "A": ("acoustic",),
  "V": ("visual",),
  "L": ("lexical",),
  "A+V": ("acoustic", "visual"),
  "A+L": ("acoustic", "lexical"),
  "A+V+L": EVERY,
}
# WAP and UA of Tables 4 and 5.
FULLY = {
  "A": (57.2, 58.5),
  "V": (52.5, 45.4),
  "L": (65.4, 64.8),
  "A+V": (63.2, 60.8),
  "A+L": (70.3, 68.6),
  "A+V+L": (73.0, 72.5),
}
# Weighted F1 and accuracy are not in the paper.
COLUMNS = (
  published.of_all("WAP", "weighted_average_precision"),
  published.of_all("UA", "unweighted_accuracy"),
  published.of_all("W-F1", "weighted_f1"),
  published.of_all("accuracy", "accuracy"),
)


def subsets(
  config: ml_collections.ConfigDict, prefix: str
) -> dict[str, tuple[str, ml_collections.ConfigDict]]:
  """Makes a program for each subset of the modalities that a config has.

  Not a sweep: in one program the smaller subsets would pay for the networks of
  the largest.
  """
  known = set(config.data.modalities)
  return {
    name: (
      f"{prefix}_{name.lower().replace('+', '_')}",
      common.changed(config, data__modalities=each, data__normalise=each),
    )
    for name, each in SUBSETS.items()
    if set(each) <= known
  }


def row(name: str, program: str, printed: tuple[float, ...]) -> published.Row:
  """Makes a row of `COLUMNS` with the paper's WAP and UA."""
  return published.Row(name, program, (*printed, None, None) if printed else ())


def get(variant: str, known: tuple[str, ...]) -> ml_collections.ConfigDict:
  """Makes DAE + MMD in a variant, unlocked.

  Raises:
    ValueError: The variant is none of the known ones.
  """
  common.check_variant(variant, known)
  config = base()
  if variant in ("utterances", "quantity"):
    utterances(config)
  if variant == "smoke":
    smoke(config)
  return config


def base() -> ml_collections.ConfigDict:
  """Makes IEMOCAP with all modalities, fully supervised; unlocked."""
  config = common.base()
  config.system = "dae_mmd"
  config.data.modalities = EVERY
  # Section 4.2: 18 faces and 22 words; acoustics are of the whole utterance.
  config.data.max_length.update(lexical=22, acoustic=1, visual=18)
  config.data.normalise = EVERY
  config.protocol.split = "leave_one_session_out"
  config.protocol.decision = "softmax"
  config.loss.class_weight = "none"
  config.training.batch_size = 128
  # The best epochs are the 10th to the 15th (section 4.4); the budget, the
  # patience and what selects are ours, and so is the clip. No schedule.
  config.training.epochs = 40
  config.training.early_stopping = 10
  config.training.select = "unweighted_accuracy"
  config.schedule.factor = 1.0
  config.optimizer.clip_norm = 5.0
  config.benchmark.dims.update(lexical=1024, acoustic=1582, visual=342)
  config.benchmark.emotions = 4
  # Section 4.2, where unlabelled rows are used.
  config.unlabelled.per_class = 5000

  config.model = ml_collections.ConfigDict()
  # Table 3. Convolutions: kernel, stride, padding, channels.
  config.model.dense = ml_collections.ConfigDict({"acoustic": (512, 256, 128)})
  config.model.sequence = ml_collections.ConfigDict(
    {
      "visual": {
        "steps": 18,
        "convolutions": ((4, 2, 1, 16), (5, 2, 1, 64), (3, 3, 1, 32)),
        "sizes": (128,),
      },
      "lexical": {
        "steps": 22,
        "convolutions": ((4, 2, 1, 64), (4, 3, 1, 4)),
        "sizes": (512, 128),
      },
    }
  )
  config.model.heads = 4
  config.model.blocks = 2
  config.model.dropout = 0.1
  config.model.classifier = 128
  config.model.padding = "masked"
  config.model.decoder = "plane"
  config.model.weights = ml_collections.ConfigDict(
    {"alpha": 0.2, "beta": 0.1, "omega": 0.3}
  )
  # No bandwidths: the median distance.
  config.model.matching = ml_collections.ConfigDict(
    {"sigma": (), "unpaired": "split", "biased": False, "block_size": 0}
  )
  return config


def utterances(config: ml_collections.ConfigDict) -> None:
  """Sets IEMOCAP's public utterance file: words and acoustic functionals."""
  config.data.modalities = ("acoustic", "lexical")
  config.data.normalise = ("acoustic", "lexical")
  common.utterance_shapes(config)
  config.unlabelled.per_class = 900
  # A budget for two cores: validation rises for some six epochs.
  config.training.epochs = 8
  config.training.early_stopping = 3


def meld(config: ml_collections.ConfigDict) -> None:
  """Sets MELD: seven emotions, its own split, 12 words, no faces."""
  config.data.modalities = ("acoustic", "lexical")
  config.data.normalise = ("acoustic", "lexical")
  config.data.max_length.update(lexical=12)
  config.model.sequence.lexical.steps = 12
  config.protocol.split = "corpus"
  # The main characters speak in every split.
  config.protocol.allow_speaker_overlap = True
  config.training.select = "weighted_f1"
  config.benchmark.emotions = 7


def smoke(config: ml_collections.ConfigDict) -> None:
  """Shrinks model, data and budget to two steps, for a test."""
  common.smoke(config)
  config.model.dense.acoustic = (12, 8)
  # One modality through convolutions: they take longest to compile.
  config.model.dense.visual = (12, 8)
  del config.model.sequence.visual
  config.model.sequence.lexical.steps = 6
  config.model.sequence.lexical.sizes = (16, 8)
  config.model.heads = 2
  config.model.blocks = 1
  config.model.classifier = 8
  config.unlabelled.per_class = 3
