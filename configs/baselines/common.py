"""Makes the configs of the systems that Dai et al. 2020 compare MTEE with.

The paper gives no hyper-parameters for its LSTM baselines: those of MTEE's
Table 3 stand in, on the corpora of MTEE's configs. What the other systems are
trained with stands at each; their papers could not be consulted, so that such
numbers are from memory, or ours.
"""

from typing import Any

import ml_collections

from mmer_jax.configs import common
from mmer_jax.configs.mtee import common as mtee_common

# Corpus to the variants that it has.
VARIANTS = {
  "mosei": ("full", "synthetic", "smoke"),
  "iemocap": ("full", "utterances", "smoke"),
}


def get(system: str, corpus: str, variant: str) -> ml_collections.ConfigDict:
  """Makes the config of a system on a corpus.

  Args:
    system: A key of `_MODELS`.
    corpus: A key of `VARIANTS`.
    variant: One of the corpus's variants.

  Raises:
    UserError: There is no such variant.
  """
  common.check_variant(variant, VARIANTS[corpus])
  config = common.base()
  getattr(mtee_common, corpus)(config)
  config.system = system
  if variant == "utterances":
    mtee_common.utterances(config)
  if variant == "synthetic":
    mtee_common.synthetic_corpus(config)
  config.model = ml_collections.ConfigDict(
    _MODELS[system](config, corpus, variant)
  )
  if variant == "smoke":
    common.smoke(config)
  return config.lock()


def _lstm(hidden: Any, variant: str) -> dict[str, Any]:
  return {
    "hidden": hidden,
    "layers": 2,
    "dropout": 0.3 if variant == "utterances" else 0.15,
    "bidirectional": True,
  }


def _ef_lstm(
  config: ml_collections.ConfigDict, corpus: str, variant: str
) -> dict[str, Any]:
  """Sets one LSTM over all modalities."""
  del config, corpus
  sizes = {"full": 300, "utterances": 64, "synthetic": 25, "smoke": 8}
  return _lstm(sizes[variant], variant)


def _lf_lstm(
  config: ml_collections.ConfigDict, corpus: str, variant: str
) -> dict[str, Any]:
  """Sets one LSTM of each modality."""
  del config, corpus
  sizes = {
    "full": {"lexical": 300, "acoustic": 200, "visual": 100},
    "utterances": {"lexical": 32, "acoustic": 64, "visual": 16},
    "synthetic": {"lexical": 25, "acoustic": 16, "visual": 12},
    "smoke": {"lexical": 8, "acoustic": 4, "visual": 3},
  }
  return _lstm(sizes[variant], variant)


def _mult(
  config: ml_collections.ConfigDict, corpus: str, variant: str
) -> dict[str, Any]:
  """Sets MulT.

  `full` is from memory of the appendix of Tsai et al. 2019, not checked
  against it; the blocks of the self-attention are ours.
  """
  mosei = corpus == "mosei"
  model = {
    "width": 40,
    "kernel": {"lexical": 1, "acoustic": 3, "visual": 3},
    "heads": 8 if mosei else 10,
    "blocks": 4,
    "memory_blocks": 4,
    "dropout": 0.1 if mosei else 0.25,
    "lexical_dropout": 0.3,
    "output_dropout": 0.1,
  }
  if variant in ("utterances", "synthetic"):
    # Ours, for small corpora; an utterance's own features have one frame.
    one = {"lexical": 1, "acoustic": 1, "visual": 1}
    model.update(width=24, heads=4, blocks=2, memory_blocks=1)
    if variant == "utterances":
      model["kernel"] = one
    return model
  if variant == "smoke":
    model.update(width=8, heads=2, blocks=1, memory_blocks=1)
    return model
  config.training.batch_size = 16 if mosei else 32
  config.training.epochs = 20 if mosei else 30
  config.optimizer.learning_rate = 1e-3 if mosei else 2e-3
  config.optimizer.clip_norm = 1.0 if mosei else 0.8
  if not mosei:
    model["kernel"] = {"lexical": 3, "acoustic": 5, "visual": 3}
  return model


def _graph_mfn(
  config: ml_collections.ConfigDict, corpus: str, variant: str
) -> dict[str, Any]:
  """Sets Graph-MFN; its paper's hyper-parameters are not known here.

  Sizes are those of M3ER's memory fusion network (Mittal et al. 2020, section
  4.2), the graph's ours; the budget and the optimiser are MTEE's.
  """
  del config, corpus
  model = {
    "hidden": 32,
    "memory": 128,
    "vertex": 64,
    "graph": 64,
    "efficacy": 64,
    "proposal": 64,
    "gate": 64,
    "dropout": 0.2,
    "classifier": 64,
  }
  if variant in ("utterances", "synthetic"):
    model.update(memory=32, vertex=32, graph=32, efficacy=32)
    model.update(proposal=32, gate=32)
  if variant == "smoke":
    model.update(dict.fromkeys(set(model) - {"dropout"}, 6), hidden=4)
  return model


_MODELS = {
  "ef_lstm": _ef_lstm,
  "graph_mfn": _graph_mfn,
  "lf_lstm": _lf_lstm,
  "mult": _mult,
}
