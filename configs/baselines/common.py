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
  if variant == "utterances":
    mtee_common.utterances(config)
  if variant == "synthetic":
    mtee_common.synthetic_corpus(config)
  if variant == "smoke":
    common.smoke(config)
  config.system = system
  config.model = ml_collections.ConfigDict(_MODELS[system](corpus, variant))
  config.update_from_flattened_dict(_training(system, corpus, variant))
  return config.lock()


def beside(
  config: ml_collections.ConfigDict, system: str, corpus: str, variant: str
) -> ml_collections.ConfigDict:
  """Makes a system's config on the data and under the protocol of another's.

  Args:
    config: The other system's, with the overrides of a command line.
    system: As for `get`.
    corpus: As for `get`.
    variant: The config's variant, as for `get`.
  """
  own = get(system, corpus, variant)
  changes = {"system": system}
  plain = get("lf_lstm", corpus, variant)
  for key in _training(system, corpus, variant):
    section, _, name = key.partition(".")
    # An override is of all systems.
    if config[section][name] == plain[section][name]:
      changes[key] = own[section][name]
  return common.changed(
    ml_collections.ConfigDict({**config.to_dict(), "model": own.model}),
    **changes,
  )


def _training(system: str, corpus: str, variant: str) -> dict[str, Any]:
  """Makes what a system's own paper trains with, in the place of Table 3.

  MulT's is from memory of the appendix of Tsai et al. 2019, not checked against
  it.
  """
  if system != "mult" or variant != "full":
    return {}
  mosei = corpus == "mosei"
  return {
    "training.batch_size": 16 if mosei else 32,
    "training.epochs": 20 if mosei else 30,
    "optimizer.learning_rate": 1e-3 if mosei else 2e-3,
    "optimizer.clip_norm": 1.0 if mosei else 0.8,
  }


def _lstm(hidden: Any, variant: str) -> dict[str, Any]:
  return {
    "hidden": hidden,
    "layers": 2,
    "dropout": 0.3 if variant == "utterances" else 0.15,
    "bidirectional": True,
  }


def _ef_lstm(corpus: str, variant: str) -> dict[str, Any]:
  """Sets one LSTM over all modalities."""
  del corpus
  sizes = {"full": 300, "utterances": 64, "synthetic": 25, "smoke": 8}
  return _lstm(sizes[variant], variant)


def _lf_lstm(corpus: str, variant: str) -> dict[str, Any]:
  """Sets one LSTM of each modality."""
  del corpus
  sizes = {
    "full": {"lexical": 300, "acoustic": 200, "visual": 100},
    "utterances": {"lexical": 32, "acoustic": 64, "visual": 16},
    "synthetic": {"lexical": 25, "acoustic": 16, "visual": 12},
    "smoke": {"lexical": 8, "acoustic": 4, "visual": 3},
  }
  return _lstm(sizes[variant], variant)


def _mult(corpus: str, variant: str) -> dict[str, Any]:
  """Sets MulT: see `_training`; the blocks of the self-attention are ours."""
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
  if not mosei:
    model["kernel"] = {"lexical": 3, "acoustic": 5, "visual": 3}
  return model


def _graph_mfn(corpus: str, variant: str) -> dict[str, Any]:
  """Sets Graph-MFN; its paper's hyper-parameters are not known here.

  Sizes are those of M3ER's memory fusion network (Mittal et al. 2020, section
  4.2), the graph's ours, the rest MTEE's.
  """
  del corpus
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


def _mtl(corpus: str, variant: str) -> dict[str, Any]:
  """Sets MTL; its paper's hyper-parameters are not known here.

  Sizes are ours, the rest MTEE's.
  """
  del corpus
  sizes = {
    "full": {"hidden": 200, "width": 100, "classifier": 100},
    "utterances": {"hidden": 32, "width": 32, "classifier": 32},
    "synthetic": {"hidden": 16, "width": 16, "classifier": 32},
    "smoke": {"hidden": 4, "width": 5, "classifier": 6},
  }
  return {**sizes[variant], "dropout": 0.3}


_MODELS = {
  "ef_lstm": _ef_lstm,
  "graph_mfn": _graph_mfn,
  "lf_lstm": _lf_lstm,
  "mtl": _mtl,
  "mult": _mult,
}
