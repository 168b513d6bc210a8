"""Settles what a system leaves open by the shapes of a corpus."""

from collections.abc import Callable
from typing import Any, NamedTuple

import ml_collections

from mmer_jax.base import errors

AUTO = "auto"


class Shapes(NamedTuple):
  """Holds what systems are settled by.

  Attributes:
    where: The shards, for messages.
    frames: Modality name to frames of the longest utterance, of those that any
      utterance has.
    vector_dim: Columns of the emotions' word vectors; 0 for none.
    aligned: Whether the shards say which word an acoustic frame is in.
  """

  where: str
  frames: dict[str, int]
  vector_dim: int
  aligned: bool


def is_open(config: ml_collections.ConfigDict) -> bool:
  """Tells whether `config.model` leaves anything to the corpus."""
  model = config.model
  if config.system == "mtee":
    return model.hidden.lexical == 0
  if config.system == "dae_mmd":
    return any(not part.steps for part in model.sequence.values())
  return config.system == "multiview" and AUTO in (model.view, model.words)


def fit(config: ml_collections.ConfigDict, shapes: Shapes) -> tuple[str, ...]:
  """Settles `config.model` and `config.repair`, in place.

  Args:
    config: Unlocked; its modalities are settled.
    shapes: Of the corpus.

  Returns:
    Sentences for people.

  Raises:
    UserError: The system cannot do with the corpus.
  """
  if config.system in _SYSTEMS:
    return _SYSTEMS[config.system](config, shapes)
  return ()


def _frames(
  config: ml_collections.ConfigDict, shapes: Shapes, modality: str
) -> int:
  """Counts the frames that are read of a modality."""
  longest = max(shapes.frames.get(modality, 1), 1)
  return min(config.data.max_length[modality] or longest, longest)


def _mtee(config: ml_collections.ConfigDict, shapes: Shapes) -> tuple[str, ...]:
  """Makes the text's encoder as wide as the emotions' word vectors."""
  if not shapes.vector_dim:
    raise errors.UserError(
      f"mtee reads emotions by their word vectors, and {shapes.where} has none;"
      " convert it again with --word_vectors=FILE (GloVe's text format), or use"
      " configs/own/lf_lstm.py"
    )
  if not config.model.hidden.lexical:
    config.model.hidden.lexical = shapes.vector_dim
  return ()


def _dae_mmd(
  config: ml_collections.ConfigDict, shapes: Shapes
) -> tuple[str, ...]:
  """Gives features of whole utterances a dense auto-encoder."""
  dense, sequence = config.model.dense, config.model.sequence
  for name in [name for name, part in sequence.items() if not part.steps]:
    # 1 where it is not read.
    sequence[name].steps = _frames(config, shapes, name)
    if sequence[name].steps == 1:
      dense[name] = tuple(dense.acoustic)
      del sequence[name]
  return ()


def _multiview(
  config: ml_collections.ConfigDict, shapes: Shapes
) -> tuple[str, ...]:
  """Chooses a view that reads what there is."""
  read = [m for m in ("lexical", "acoustic") if m in config.data.modalities]
  if not read:
    raise errors.UserError(
      "multiview reads lexical and acoustic features, and"
      f" {shapes.where} has {', '.join(shapes.frames)}; use"
      " configs/own/lf_lstm.py"
    )
  notes = [
    f"multiview does not read {name}"
    for name in config.data.modalities
    if name not in read
  ]
  config.data.modalities = tuple(read)
  # A frame by itself is of all words.
  words = shapes.aligned or _frames(config, shapes, "acoustic") == 1
  if config.model.view == AUTO:
    view = "b_lex"
    if "acoustic" in read and "lexical" in read:
      view = "h_mm_4" if words else "b_mm_1"
    elif "acoustic" in read:
      view = "h_aco_1" if words else "b_aco_1_attention"
    config.model.view = view
    notes.append(f"multiview: view {view}")
  return tuple(notes)


def _m3er(config: ml_collections.ConfigDict, shapes: Shapes) -> tuple[str, ...]:
  """Leaves out what compares modalities where there is one alone."""
  del shapes
  if len(config.data.modalities) > 1:
    return ()
  config.repair.update(training="none", inference="none")
  config.model.multiplicative.detach_weight = True
  return ("m3er has one modality: nothing is checked against it",)


_SYSTEMS: dict[str, Callable[[Any, Shapes], tuple[str, ...]]] = {
  "mtee": _mtee,
  "dae_mmd": _dae_mmd,
  "multiview": _multiview,
  "m3er": _m3er,
}
