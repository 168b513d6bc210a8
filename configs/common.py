"""Sets every config key that all systems share, with its default.

The keys of a system's own part, `config.model`, are set in the `common.py` of
its paper's folder. A finished config is locked, so a misspelt key raises.
Sections, equations and tables named here are those of Dai et al. 2020 where no
other paper is named.
"""

from typing import Any

import ml_collections

from mmer_jax.base import errors

MODALITIES = ("lexical", "acoustic", "visual")
MOSEI_EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")


def base() -> ml_collections.ConfigDict:
  """Makes the shared part, unlocked: no system, no model, no corpus."""
  config = ml_collections.ConfigDict()
  # A name of `mmer_jax.systems.registry`.
  config.system = ""
  # Of matrix products: "float32" or "bfloat16"; states stay float32.
  config.compute_dtype = "float32"
  # Each is a run for every fold and swept value.
  config.seeds = (0, 1, 2)

  config.data = ml_collections.ConfigDict()
  # The folder of shards that `data_prep.convert` wrote.
  config.data.dir = ""
  # What the model sees.
  config.data.modalities = MODALITIES
  # Empty: all emotions of the shards.
  config.data.emotions = ()
  # What a regression learns in their place, as ("valence", "activation"); empty
  # for all ratings of the shards.
  config.data.ratings = ()
  # What a row without any of them is under binary decisions: a "negative" of
  # them all, or "unlabelled".
  config.data.without_emotion = "negative"
  # Frames per utterance; 0 for the longest of the corpus.
  config.data.max_length = ml_collections.ConfigDict(
    {"lexical": 20, "acoustic": 20, "visual": 20}
  )
  # Other words for some emotions, as ("surprise=surprised",), and the file of
  # word vectors (GloVe's text format) that has them.
  config.data.words = ()
  config.data.word_vectors = ""
  # Which modalities get the mean 0 and the deviation 1 of the training rows.
  # Word vectors stay as they are: emotions are compared with them.
  config.data.normalise = ("acoustic", "visual")
  # Whether the corpus is kept in the memory of the devices.
  config.data.resident = True

  config.protocol = ml_collections.ConfigDict()
  # Who trains, validates and tests: docs/protocol.md lists the names.
  config.protocol.split = "corpus"
  # Numbers of the folds, from 1; empty for all.
  config.protocol.folds = ()
  # The shards' splits that take these parts under "corpus".
  config.protocol.train = "train"
  config.protocol.validation = "validation"
  config.protocol.test = "test"
  # Whether a speaker may be on two sides.
  config.protocol.allow_speaker_overlap = False
  # Folds of "group_kfold" and "kfold".
  config.protocol.k = 5
  # A table of ids and their split or fold, in the place of any other split;
  # its SHA-256 is filled in by the training.
  config.protocol.split_file = ""
  config.protocol.split_digest = ""
  # Whether one text, or the same features, may be on two sides of folds that
  # are not a paper's.
  config.protocol.allow_identical = False
  # "softmax" for one emotion of several, "binary" for each emotion by itself,
  # which is present above the threshold, "regression" for the ratings.
  config.protocol.decision = "binary"
  config.protocol.threshold = 0.5

  # Emotions that training leaves out: one tuple of names is one setting, and
  # every setting is trained, as (("angry",), ("sad",)).
  config.protocol.unseen = ()

  # How the unseen emotions are learnt from few samples, one after another:
  # "none" (zero-shot), "fine_tune", "joint", "gem". Section 4.2.
  config.few_shot = ml_collections.ConfigDict()
  config.few_shot.method = "none"
  # Share of the positive training rows that are shown.
  config.few_shot.share = 0.01
  # The paper gives neither; ours. `rate` is of the source's learning rate.
  config.few_shot.epochs = 20
  config.few_shot.early_stopping = 5
  # "" for config.training.select, over all emotions taught so far (Table 4);
  # "last" for the last epoch, whatever was forgotten by then.
  config.few_shot.select = ""
  config.few_shot.rate = 1.0
  # GEM: samples kept of each task, and what a task is ("one": the source, as
  # in the paper; "per_emotion"). Lopez-Paz and Ranzato's margin and ridge.
  config.few_shot.memory = 256
  config.few_shot.memory_tasks = "one"
  config.few_shot.optimizer = "adam"
  config.few_shot.margin = 0.5
  config.few_shot.eps = 1e-3

  # Utterances without a label: whether a stage uses them; a shard folder of
  # more of them, of the same features; how many of each class a first
  # classifier picks, 0 for all as they are; how many of those, -1 for all.
  config.unlabelled = ml_collections.ConfigDict(
    {"use": False, "dir": "", "per_class": 0, "count": -1}
  )

  # Modalities that fail, of training, validation and test: "gaussian" noise
  # or "dropped". Mittal et al. 2020, section 5.4; power of signal over noise.
  # Faults, ours: "stuck", "gaps", "clipped", "shifted", "swapped"; strength is
  # the share of a modality that the first four take.
  config.noise = ml_collections.ConfigDict(
    {"kind": "none", "snr": 0.01, "share": 0.75, "strength": 0.5}
  )
  # Their modality check and proxies in front of the system: "none", "check",
  # "proxy". They score by "pearson"; "cosine" and "likelihood" are ours. tau is
  # of the config, or of validation under white noise of tau_snr: it loses
  # max_false_alarm of the intact modalities at most, and a check that is no
  # better there than min_balanced_accuracy discards nothing.
  config.repair = ml_collections.ConfigDict(
    {
      "training": "none",
      "inference": "none",
      "score": "likelihood",
      "tau_from": "validation",
      "tau": 0.0,
      "tau_snr": 0.01,
      "max_false_alarm": 0.05,
      "min_balanced_accuracy": 0.6,
      "proxy": "knn",
      "components": 100,
      "ridge": 0.1,
      "neighbours": 10,
    }
  )

  config.loss = ml_collections.ConfigDict()
  # "balanced" by the training rows of a run, or "none". Ratings have none.
  config.loss.class_weight = "balanced"
  # Of ratings: "l1" (mean absolute error, as MMSA), "l2" (squared) or "ccc"
  # (1 - CCC of a batch).
  config.loss.ratings = "l1"
  # In deviations of the training rows' ratings, so that targets weigh alike, or
  # else in the ratings' own units. Ours.
  config.loss.standardise_ratings = True

  # Adam. The decay is added to the gradient, behind the clip of its norm.
  config.optimizer = ml_collections.ConfigDict()
  config.optimizer.learning_rate = 1e-3
  config.optimizer.weight_decay = 0.0
  config.optimizer.clip_norm = 1.0

  # ReduceLROnPlateau on the validation loss: section 5.5.
  config.schedule = ml_collections.ConfigDict()
  config.schedule.factor = 0.1
  config.schedule.patience = 5

  config.training = ml_collections.ConfigDict()
  config.training.batch_size = 32
  # The paper gives the best epoch (15 and 16) but no budget; ours.
  config.training.epochs = 40
  # Epochs without a better one before a run stops; 0 for never.
  config.training.early_stopping = 10
  # The metric of validation, or "loss", by which an epoch is chosen; of a
  # regression "mae" or another of core/regression_metrics.py.
  config.training.select = "weighted_accuracy"
  # Steps of one call of the compiled program.
  config.training.steps_per_dispatch = 64
  # Log the validation metrics of Figures 4 and 5 at these thresholds too.
  config.training.curve_thresholds = ()

  # Values to try, each a run of the same program: validation chooses.
  config.sweep = ml_collections.ConfigDict()
  config.sweep.learning_rate = ()
  config.sweep.weight_decay = ()
  config.sweep.clip_norm = ()
  # Word forms, as ("", "surprise=surprised", "surprise=Surprise"): "" is the
  # words of the shards. Subsets of modalities, as (("lexical",), ...).
  config.sweep.words = ()
  config.sweep.modalities = ()
  config.sweep.unlabelled = ()

  # Devices along the runs and along each batch; 0 for automatic.
  config.mesh = ml_collections.ConfigDict({"runs": 0, "data": 0})
  # Epochs between checkpoints, and how many stay.
  config.checkpoint = ml_collections.ConfigDict({"every_epochs": 1, "keep": 2})

  # Shapes that `mmer_jax.benchmark` makes up where no shards are given.
  config.benchmark = ml_collections.ConfigDict()
  config.benchmark.dims = ml_collections.ConfigDict(
    {"lexical": 300, "acoustic": 74, "visual": 35}
  )
  config.benchmark.emotions = 6
  config.benchmark.vector_dim = 300
  return config


def multiplicative() -> ml_collections.ConfigDict:
  """Makes the settings of multiplicative fusion (Mittal et al. 2020).

  `form` is "boost" (Eq. 3) or "suppress" (Eq. 2). The paper gives no beta; ours
  is safe with two modalities and six emotions. Nor does it say what the fusion
  weighs by: "likeliest" or "entropy".
  """
  return ml_collections.ConfigDict(
    {
      "beta": 0.5,
      "form": "boost",
      "detach_weight": False,
      "confidence": "likeliest",
    }
  )


def changed(
  config: ml_collections.ConfigDict, **changes: Any
) -> ml_collections.ConfigDict:
  """Copies a config with other values, as `few_shot__method="gem"`."""
  config = ml_collections.ConfigDict(config.to_dict())
  config.update_from_flattened_dict(
    {key.replace("__", "."): value for key, value in changes.items()}
  )
  return config.lock()


def utterance_shapes(config: ml_collections.ConfigDict) -> None:
  """Sets the shapes of IEMOCAP's public utterance file.

  25-dimensional word vectors (GloVe for Twitter) and 47 acoustic functionals.
  """
  config.benchmark.dims.update(lexical=25, acoustic=47)
  config.benchmark.vector_dim = 25


def synthetic_shapes(config: ml_collections.ConfigDict) -> None:
  """Sets the shapes of the synthetic corpus, and frames up to its longest."""
  config.data.max_length.update(lexical=0, acoustic=0, visual=0)
  config.benchmark.dims.update(lexical=25, acoustic=20, visual=12)
  config.benchmark.vector_dim = 25


def smoke(config: ml_collections.ConfigDict) -> None:
  """Shrinks data and budget to two steps, for a test."""
  config.seeds = (0,)
  config.data.max_length.update(lexical=4, acoustic=4, visual=4)
  config.training.batch_size = 2
  config.training.epochs = 1
  config.training.steps_per_dispatch = 2
  config.benchmark.dims.update(lexical=8, acoustic=5, visual=3)
  config.benchmark.vector_dim = 8


def check_variant(variant: str, known: tuple[str, ...]) -> None:
  """Refuses a variant that a config does not have.

  Raises:
    UserError: It is none of the known ones.
  """
  if variant not in known:
    raise errors.UserError(
      f"config variant {variant!r} does not exist, expected one of"
      f" {', '.join(known)}; write --config=FILE:VARIANT"
    )
