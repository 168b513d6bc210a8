"""Sets the model and the corpora of MTEE's configs (Dai et al. 2020).

MTEE: modality-transferable emotion embeddings. The corpora's settings are those
of the paper's LSTM baselines too.
"""

from typing import Any

import ml_collections

from mmer_jax.configs import common
from mmer_jax.evaluation import published

FEW_SHOT_NOTES = (
  "FT, CL and JT: fine-tuning, gradient episodic memory and joint training with"
  " few samples of the emotion after the source training, selected on the mean"
  " over all emotions."
)


def model(config: ml_collections.ConfigDict) -> None:
  """Sets MTEE with the sizes of Table 3."""
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
  config.model.multiplicative = common.multiplicative()


def mosei(config: ml_collections.ConfigDict) -> None:
  """Sets CMU-MOSEI, six emotions, its own split: Tables 1 and 3."""
  config.training.batch_size = 512
  config.optimizer.learning_rate = 1e-4
  config.optimizer.clip_norm = 10.0


def iemocap(config: ml_collections.ConfigDict) -> None:
  """Sets IEMOCAP in CMU's processed form, four emotions: Tables 2 and 3."""
  config.data.max_length.update(lexical=50, acoustic=50, visual=50)
  config.training.select = "accuracy"
  config.benchmark.emotions = 4


def utterances(config: ml_collections.ConfigDict) -> None:
  """Sets IEMOCAP's public utterance file: words and acoustic functionals.

  Four classes under a softmax, five folds that leave a session out.
  """
  iemocap(config)
  common.utterance_shapes(config)
  config.data.modalities = ("lexical", "acoustic")
  config.data.max_length.update(lexical=40, acoustic=1, visual=1)
  config.protocol.split = "leave_one_session_out"
  config.protocol.decision = "softmax"
  config.training.batch_size = 64
  config.training.select = "unweighted_accuracy"


def utterance_model(config: ml_collections.ConfigDict) -> None:
  """Sets MTEE's sizes for the utterance file; ours."""
  config.model.hidden.update(lexical=25, acoustic=64, visual=16)
  config.model.dropout = 0.3


def synthetic(config: ml_collections.ConfigDict) -> None:
  """Sets the synthetic corpus of preset `tiny_mosei`, and MTEE for it."""
  synthetic_corpus(config)
  config.model.hidden.update(lexical=25, acoustic=16, visual=12)


def synthetic_corpus(config: ml_collections.ConfigDict) -> None:
  """Sets the synthetic corpus of preset `tiny_mosei`: six emotions."""
  common.synthetic_shapes(config)
  config.seeds = (0, 1, 2, 3, 4)
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


def smoke(config: ml_collections.ConfigDict) -> None:
  """Shrinks MTEE, its data and its budget to two steps, for a test."""
  common.smoke(config)
  config.model.hidden.update(lexical=8, acoustic=4, visual=3)


def lf_lstm(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Makes LF-LSTM with the sizes of a config's MTEE, trained zero-shot."""
  return _baseline(config, "lf_lstm", config.model.hidden.to_dict())


def ef_lstm(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Makes EF-LSTM, as wide as the widest encoder of a config's MTEE."""
  return _baseline(config, "ef_lstm", max(config.model.hidden.values()))


def _baseline(
  config: ml_collections.ConfigDict, system: str, hidden: Any
) -> ml_collections.ConfigDict:
  sizes = {
    "hidden": hidden,
    "layers": config.model.layers,
    "dropout": config.model.dropout,
    "bidirectional": True,
  }
  return common.changed(
    ml_collections.ConfigDict({**config.to_dict(), "model": sizes}),
    system=system,
    few_shot__method="none",
  )


def forgetting(rows: tuple[published.Row, ...]) -> published.Section:
  """Makes the section on what few-shot learning costs the source emotions."""
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
