"""What the configs of Dai et al.'s systems have in common.

Every key that the code reads is set here or in the config that calls; a config
is locked, so a misspelt key raises.
"""

from typing import Any

import ml_collections

from mmer_jax.evaluation import published

MODALITIES = ("lexical", "acoustic", "visual")
MOSEI_EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")

FEW_SHOT_NOTES = (
  "FT, CL and JT: fine-tuning, gradient episodic memory and joint training with"
  " few samples of the emotion after the source training, selected on the mean"
  " over all emotions."
)


def base() -> ml_collections.ConfigDict:
  """Everything but the system, its model and a corpus; unlocked."""
  config = ml_collections.ConfigDict()
  config.system = ""
  config.compute_dtype = "float32"
  config.seeds = (0, 1, 2)

  config.data = ml_collections.ConfigDict()
  config.data.dir = ""
  config.data.modalities = MODALITIES
  # Empty: all emotions of the shards.
  config.data.emotions = ()
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
  # Word vectors stay as they are: emotions are compared with them.
  config.data.normalise = ("acoustic", "visual")
  config.data.resident = True

  config.protocol = ml_collections.ConfigDict()
  config.protocol.split = "corpus"
  config.protocol.folds = ()
  config.protocol.train = "train"
  config.protocol.validation = "validation"
  config.protocol.test = "test"
  config.protocol.allow_speaker_overlap = False
  config.protocol.decision = "binary"
  config.protocol.threshold = 0.5

  # Emotions that training leaves out: one tuple of names is one setting, and
  # every setting is trained, as (("angry",), ("sad",)).
  config.protocol.unseen = ()

  # How the unseen emotions are learnt from few samples, one after another:
  # "none" (zero-shot), "fine_tune", "joint", "gem". Section 4.2.
  config.few_shot = ml_collections.ConfigDict()
  config.few_shot.method = "none"
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
  config.noise = ml_collections.ConfigDict(
    {"kind": "none", "snr": 0.01, "share": 0.75}
  )
  # Their modality check and proxies in front of the system: "none", "check",
  # "proxy". tau is that of validation, or of the config.
  config.repair = ml_collections.ConfigDict(
    {
      "training": "none",
      "inference": "none",
      "score": "pearson",
      "tau_from": "validation",
      "tau": 0.0,
      "proxy": "knn",
      "components": 100,
      "ridge": 0.1,
      "neighbours": 10,
    }
  )

  config.loss = ml_collections.ConfigDict()
  config.loss.class_weight = "balanced"

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
  config.training.early_stopping = 10
  config.training.select = "weighted_accuracy"
  config.training.steps_per_dispatch = 64
  # Log the validation metrics of Figures 4 and 5 at these thresholds too.
  config.training.curve_thresholds = ()

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
  config.checkpoint = ml_collections.ConfigDict({"every_epochs": 1, "keep": 2})

  # Shapes that `mmer_jax.benchmark` makes up where no shards are given.
  config.benchmark = ml_collections.ConfigDict()
  config.benchmark.dims = ml_collections.ConfigDict(
    {"lexical": 300, "acoustic": 74, "visual": 35}
  )
  config.benchmark.emotions = 6
  config.benchmark.vector_dim = 300
  return config


def mtee(config: ml_collections.ConfigDict) -> None:
  """The system of Dai et al., with the sizes of Table 3."""
  config.system = "mtee"
  config.model = ml_collections.ConfigDict()
  config.model.hidden = ml_collections.ConfigDict(
    {"lexical": 300, "acoustic": 200, "visual": 100}
  )
  config.model.layers = 2
  config.model.dropout = 0.15
  config.model.readout = "last"
  config.model.absent = "drop"
  # "multiplicative": in the place of Eq. 4, the loss of Mittal et al. 2020.
  config.model.fusion = "weighted_sum"
  config.model.multiplicative = multiplicative()


def multiplicative() -> ml_collections.ConfigDict:
  """Mittal et al. 2020, Eq. 3 ("boost"), or Eq. 2 ("suppress").

  The paper gives no beta; ours is safe with two modalities and six emotions.
  Nor does it say what the fusion weighs by: "likeliest" or "entropy".
  """
  return ml_collections.ConfigDict(
    {
      "beta": 0.5,
      "form": "boost",
      "detach_weight": False,
      "confidence": "likeliest",
    }
  )


def lf_lstm(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """LF-LSTM with the sizes of a config's MTEE, untouched by few samples."""
  return _baseline(config, "lf_lstm", config.model.hidden.to_dict())


def ef_lstm(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """EF-LSTM, as wide as the widest encoder of a config's MTEE."""
  return _baseline(config, "ef_lstm", max(config.model.hidden.values()))


def _baseline(
  config: ml_collections.ConfigDict, system: str, hidden: Any
) -> ml_collections.ConfigDict:
  model = {
    "hidden": hidden,
    "layers": config.model.layers,
    "dropout": config.model.dropout,
    "bidirectional": True,
  }
  return changed(
    ml_collections.ConfigDict({**config.to_dict(), "model": model}),
    system=system,
    few_shot__method="none",
  )


def forgetting(rows: tuple[published.Row, ...]) -> published.Section:
  """What learning from few samples costs the source emotions."""
  return published.Section(
    "What the source emotions lose by it, and transfer between tasks",
    (
      published.lost("source W-Acc lost", "weighted_accuracy"),
      published.lost("source AUC lost", "auc"),
      published.transfer("backward transfer", "backward_transfer"),
      published.transfer("forward transfer", "forward_transfer"),
    ),
    rows,
    against=rows[0].name,
  )


def changed(
  config: ml_collections.ConfigDict, **changes: Any
) -> ml_collections.ConfigDict:
  """A copy with other values, as `few_shot__method="gem"`."""
  config = ml_collections.ConfigDict(config.to_dict())
  config.update_from_flattened_dict(
    {key.replace("__", "."): value for key, value in changes.items()}
  )
  return config.lock()


def mosei(config: ml_collections.ConfigDict) -> None:
  """CMU-MOSEI, six emotions, its own split: Tables 1 and 3."""
  config.training.batch_size = 512
  config.optimizer.learning_rate = 1e-4
  config.optimizer.clip_norm = 10.0


def iemocap(config: ml_collections.ConfigDict) -> None:
  """IEMOCAP in CMU's processed form, four emotions: Tables 2 and 3."""
  config.data.max_length.update(lexical=50, acoustic=50, visual=50)
  config.training.select = "accuracy"
  config.benchmark.emotions = 4


def utterances(config: ml_collections.ConfigDict) -> None:
  """IEMOCAP's public utterance file: words and 47 acoustic functionals.

  Four classes under a softmax, five folds that leave a session out. The word
  vectors are GloVe's 25-dimensional ones for Twitter.
  """
  iemocap(config)
  config.data.modalities = ("lexical", "acoustic")
  config.data.max_length.update(lexical=40, acoustic=1, visual=1)
  config.protocol.split = "leave_one_session_out"
  config.protocol.decision = "softmax"
  config.training.batch_size = 64
  config.training.select = "unweighted_accuracy"
  config.benchmark.dims.update(lexical=25, acoustic=47)
  config.benchmark.vector_dim = 25


def synthetic(config: ml_collections.ConfigDict) -> None:
  """The synthetic corpus of preset `tiny_mosei`: six emotions, five seeds."""
  config.seeds = (0, 1, 2, 3, 4)
  config.data.max_length.update(lexical=0, acoustic=0, visual=0)
  config.model.hidden.update(lexical=25, acoustic=16, visual=12)
  config.optimizer.learning_rate = 1e-3
  config.optimizer.weight_decay = 1e-3
  config.optimizer.clip_norm = 1.0
  config.training.batch_size = 64
  config.training.epochs = 16
  config.training.early_stopping = 5
  # As many samples as 1 % of CMU-MOSEI's positives are, and steps that move.
  config.few_shot.share = 0.06
  config.few_shot.rate = 3.0
  config.few_shot.epochs = 12
  config.benchmark.dims.update(lexical=25, acoustic=20, visual=12)
  config.benchmark.vector_dim = 25


def smoke(config: ml_collections.ConfigDict) -> None:
  """Two steps of a tiny model, for a test."""
  config.seeds = (0,)
  config.data.max_length.update(lexical=4, acoustic=4, visual=4)
  config.training.batch_size = 2
  config.training.epochs = 1
  config.training.steps_per_dispatch = 2
  config.benchmark.dims.update(lexical=8, acoustic=5, visual=3)
  config.benchmark.vector_dim = 8


def unknown(variant: str, known: tuple[str, ...]) -> ValueError:
  """The error for a variant that a config does not have."""
  return ValueError(
    f"config variant {variant!r} does not exist, expected one of"
    f" {', '.join(known)}; write --config=FILE:VARIANT"
  )
