"""Sets the model and the corpora of Aguilar et al. 2019's configs."""

import ml_collections

from mmer_jax.configs import common
from mmer_jax.evaluation import published

VARIANTS = ("full", "utterances", "synthetic", "smoke")
# Appendix B: classes that sound alike.
CONFUSABLE = (("angry", "happy"), ("neutral", "sad"))
EMOTIONS = ("neutral", "happy", "sad", "angry")
COLUMNS = (
  published.of_all("UA", "unweighted_accuracy"),
  published.of_all("accuracy", "accuracy"),
  # Of the paper alone; `--split=validation` makes the whole table of it.
  published.Column("UA on dev", lambda run: None),
)


def row(
  name: str,
  program: str,
  dev: float | None = None,
  test: float | None = None,
) -> published.Row:
  """Makes a row of `COLUMNS` with the paper's UA."""
  return published.Row(name, program, (test, None, dev))


def get(variant: str) -> ml_collections.ConfigDict:
  """Makes H-MM-4 in a variant, unlocked.

  Raises:
    ValueError: There is no such variant.
  """
  common.check_variant(variant, VARIANTS)
  config = base()
  if variant == "utterances":
    utterances(config)
  if variant == "synthetic":
    synthetic(config)
  if variant == "smoke":
    smoke(config)
  return config


def base() -> ml_collections.ConfigDict:
  """Makes IEMOCAP's words and frames with H-MM-4 alone; unlocked."""
  config = common.base()
  config.system = "multiview"
  config.data.modalities = ("lexical", "acoustic")
  config.data.emotions = EMOTIONS
  # Appendix A: 30 words and 700 frames of 10 ms.
  config.data.max_length.update(lexical=30, acoustic=700, visual=1)
  config.data.normalise = ("acoustic",)
  config.protocol.split = "leave_one_speaker_out"
  config.protocol.decision = "softmax"
  config.loss.class_weight = "none"
  # Appendix B. No schedule; the best of 30 epochs by validation is ours.
  config.training.batch_size = 64
  config.training.epochs = 30
  config.training.early_stopping = 0
  config.training.select = "unweighted_accuracy"
  config.schedule.factor = 1.0
  config.optimizer.learning_rate = 1e-4
  config.optimizer.weight_decay = 1e-5
  config.optimizer.clip_norm = 5.0
  # ELMo's vectors; the 65 low-level descriptors of ComParE and their deltas.
  config.benchmark.dims.update(lexical=1024, acoustic=130)
  config.benchmark.emotions = 4
  config.benchmark.vector_dim = 0

  config.model = ml_collections.ConfigDict()
  # Section 4.2: b_aco_1, b_aco_1_attention, b_aco_2, b_lex, b_mm_1, b_mm_2,
  # h_aco_1, h_mm_1, h_mm_2, h_mm_3, h_mm_4. What `predict` is.
  config.model.view = "h_mm_4"
  # The view that teaches it, "" for none: "trainable" with it, or trained
  # before and "frozen".
  config.model.second = ""
  config.model.second_view = "trainable"
  config.model.hidden = 256
  config.model.layers = 2
  config.model.dropout = 0.5
  config.model.gate = 256
  config.model.attention = 256
  # Acoustic words: "boundary", "end" or "segment". `words`: where there is no
  # lexical stream. `word_frames`: of a segment.
  config.model.reading = "boundary"
  config.model.words = 30
  config.model.word_frames = 100
  # Beta_a and beta_m of appendix B and their rates of decay; Eq. 5 is off.
  config.model.weights = ml_collections.ConfigDict(
    {
      "contrastive": 1.0,
      "first": 1.0,
      "second": 0.3,
      "teacher": 0.0,
      "decay_first": 0.0,
      "decay_second": 0.0,
    }
  )
  config.model.contrast = ml_collections.ConfigDict(
    {"margin": 0.5, "negatives": "batch", "confusable": CONFUSABLE}
  )
  config.model.temperature = 1.0
  return config


def utterances(config: ml_collections.ConfigDict) -> None:
  """Sets IEMOCAP's public utterance file: words and acoustic functionals.

  One acoustic frame an utterance, which is the acoustic word of all words.
  """
  config.data.max_length.update(lexical=20, acoustic=1)
  common.utterance_shapes(config)
  _small(config)
  config.training.batch_size = 128
  config.training.epochs = 8
  config.training.early_stopping = 3
  config.optimizer.learning_rate = 1e-2


def synthetic(config: ml_collections.ConfigDict) -> None:
  """Sets the synthetic corpus of preset `words`: frames inside words."""
  config.seeds = (0, 1, 2, 3, 4)
  config.protocol.split = "corpus"
  config.data.max_length.update(lexical=4, acoustic=12)
  config.benchmark.dims.update(lexical=25, acoustic=100)
  config.benchmark.vector_dim = 25
  _small(config)
  config.model.reading = "segment"
  config.model.word_frames = 2
  # A teacher of wrong labels is unsure.
  config.model.temperature = 0.25
  config.training.epochs = 20
  config.training.early_stopping = 6
  config.optimizer.learning_rate = 3e-3
  config.sweep.weight_decay = (1e-3, 1e-2)


def smoke(config: ml_collections.ConfigDict) -> None:
  """Shrinks model, data and budget to two steps, for a test."""
  common.smoke(config)
  config.data.emotions = ()
  config.model.contrast.confusable = ()
  config.model.layers = 1
  config.model.hidden = 5
  config.model.gate = 4
  config.model.attention = 3
  config.model.words = 4
  config.model.word_frames = 3


def _small(config: ml_collections.ConfigDict) -> None:
  """Sets a size for small corpora; ours."""
  config.model.update(layers=1, hidden=16, gate=16, attention=16)
