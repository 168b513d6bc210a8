"""A trained system as one function: raw features in, probabilities out.

What `mmer_jax.export` writes and `mmer_jax.predictor` calls. The function takes
its tensors as an argument, cuts what is longer than in training, normalises,
checks and repairs the modalities as `config.repair.inference` says, predicts,
and averages over its members where it is an ensemble.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from mmer_jax.base import errors
from mmer_jax.core import metrics
from mmer_jax.data import normalise, schema
from mmer_jax.robustness import repair
from mmer_jax.robustness import settings as settings_lib
from mmer_jax.systems import interface

# Name to array, as in `model.safetensors`.
Tensors = dict[str, Any]
# (tensors, inputs) -> outputs, see `make`.
CallFn = Callable[[Tensors, dict[str, Any]], dict[str, Any]]


class Served(NamedTuple):
  """What predicting needs.

  Attributes:
    spec: The content of `feature_spec.json`.
    tensors: The parameters and the normalisation; with a leading axis of
      members where `spec["ensemble"]`.
    call: Their function.
  """

  spec: dict[str, Any]
  tensors: Tensors
  call: CallFn


def make_function(
  system: interface.System, spec: dict[str, Any], tensors: Tensors
) -> Served:
  """The function of a system and a spec.

  It takes the tensors and `inputs`, a dictionary of

  - `features`: modality to (b, t, d) float32, as they are, not normalised;
  - `mask`: modality to (b, t) bool, True on real frames; a row with none is an
    absent modality;
  - `emotions`: (k, e) float32 word vectors, where the vocabulary is open;
  - `acoustic_word`: (b, t) int32, the lexical frame that each acoustic one
    belongs to, -1 for none, where the training's shards say so,

  and returns a dictionary of `probs` (b, k), `per_modality`, modality to scores
  (b, k), and `explain`, name to what `training.System.explain` says, all
  float32.

  Args:
    system: The paper.
    spec: What `describe` says; `explain` is filled in.
    tensors: Names and shapes are looked at, not values.

  Raises:
    UserError: The tensors are not those of the system.
  """
  unused, decision = spec["unused_modalities"], spec["decision"]
  structure = input_structure(system, spec)
  names = list(named_tensors(structure))
  known = sorted(name for name in tensors if name.startswith("params."))
  if sorted(f"params.{name}" for name in names) != known:
    raise errors.UserError(
      f"the tensors are not those of a {spec['system']} as config.json has it;"
      " export the workdir again"
    )
  own = np.asarray([e["vector"] for e in spec["emotions"]], np.float32)
  settings = (
    settings_lib.RepairSettings(**spec["repair"]) if spec["repair"] else None
  )

  def arguments(
    tensors: Tensors, inputs: dict[str, Any]
  ) -> tuple[
    tuple[interface.Params, schema.Batch, Array], repair.RepairedBatch | None
  ]:
    """What the system's functions take, and what was done to it before."""
    emotions = inputs["emotions"] if "emotions" in inputs else jnp.asarray(own)
    word = inputs.get("acoustic_word")
    if word is not None:
      word = word[:, : spec["modalities"]["acoustic"]["max_length"]]
    streams = {}
    for modality, entry in spec["modalities"].items():
      mask = inputs["mask"][modality][:, : entry["max_length"]]
      features = inputs["features"][modality][:, : entry["max_length"]]
      streams[modality] = schema.Stream(
        jnp.where(mask[..., None], features, 0.0), mask
      )
    rows = mask.shape[0]
    for modality, dim in unused.items():
      nothing = jnp.zeros((rows, 1), bool)
      streams[modality] = schema.Stream(jnp.zeros((rows, 1, dim)), nothing)
    batch = schema.make_batch(
      streams,
      jnp.zeros((rows, emotions.shape[0])),
      labelled=jnp.zeros(rows, bool),
      acoustic_word=word,
    )
    mean, scale = (
      {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
      }
      for prefix in ("mean.", "scale.")
    )
    leaves = [tensors[f"params.{name}"] for name in names]
    params = jax.tree.unflatten(jax.tree.structure(structure), leaves)
    batch = normalise.normalise(batch, mean, scale)
    if settings is None:
      return (params, batch, emotions), None
    fitted = _fitted(tensors)
    whole = {m: _whole(fitted, m, each) for m, each in batch.streams.items()}
    done = repair.apply(
      settings, settings.inference, fitted, batch.replace(streams=whole)
    )
    return (params, done.batch, emotions), done

  def explain(
    tensors: Tensors, inputs: dict[str, Any]
  ) -> dict[str, interface.Explanation]:
    given, done = arguments(tensors, inputs)
    said = {
      f"weight_{name}": interface.Explanation(values, ())
      for name, values in system.predict(*given).weights.items()
      if name not in unused
    }
    if done is not None:
      said |= {
        f"{what}_{name}": interface.Explanation(flags.astype(jnp.float32), ())
        for what, found in (
          ("effective", done.effective),
          ("proxied", done.proxied),
        )
        for name, flags in found.items()
      }
    if system.words is not None:
      maps = system.words(*given)._asdict()
      said |= {
        name: interface.Explanation(values, ("lexical",))
        for name, values in maps.items()
        if values is not None
      }
    if system.explain is not None:
      said |= system.explain(*given)
    return said

  def one(tensors: Tensors, inputs: dict[str, Any]) -> dict[str, Any]:
    prediction = system.predict(*arguments(tensors, inputs)[0])
    said = explain(tensors, inputs)
    scores = prediction.per_modality
    return {
      "probs": metrics.probabilities(decision, prediction.logits),
      "per_modality": {m: scores[m] for m in scores if m not in unused},
      "explain": {name: each.values for name, each in said.items()},
    }

  def call(tensors: Tensors, inputs: dict[str, Any]) -> dict[str, Any]:
    if not spec["ensemble"]:
      outputs = one(tensors, inputs)
    else:
      outputs = jax.tree.map(
        lambda x: x.astype(jnp.float32).mean(axis=0),
        jax.vmap(one, in_axes=(0, None))(tensors, inputs),
      )
    return jax.tree.map(lambda x: x.astype(jnp.float32), outputs)

  single = tensors
  if spec["ensemble"]:
    single = jax.tree.map(lambda leaf: leaf[0], tensors)
  said = jax.eval_shape(explain, single, sample_inputs(spec, rows=2))
  axes = {name: list(each.axes) for name, each in said.items()}
  return Served({**spec, "explain": axes}, tensors, call)


def _whole(
  fitted: settings_lib.FittedRepair, modality: str, stream: schema.Stream
) -> schema.Stream:
  """A stream as long as in training: the check reads flat features."""
  length = fitted.mean[modality].shape[-1] // stream.features.shape[-1]
  # Filled first: how much is missing is not known where time is symbolic.
  features = jnp.pad(stream.features, ((0, 0), (0, length), (0, 0)))
  mask = jnp.pad(stream.mask, ((0, 0), (0, length)))
  return schema.Stream(features[:, :length], mask[:, :length])


def _fitted(tensors: Tensors) -> settings_lib.FittedRepair:
  """The tensors of check and proxies."""
  parts: dict[str, Any] = {"reduced": {}, "there": {}, "bank": None}
  for name, leaf in tensors.items():
    field, dot, key = name.removeprefix("repair.").partition(".")
    if not name.startswith("repair."):
      continue
    if dot:
      parts.setdefault(field, {})[key] = leaf
    else:
      parts[field] = leaf
  return settings_lib.FittedRepair(**parts)


def sample_inputs(spec: dict[str, Any], *, rows: int) -> dict[str, Any]:
  """Zeros of the longest shape that is not cut, all of it real."""
  entries = spec["modalities"].items()
  inputs: dict[str, Any] = {
    "features": {
      m: np.zeros((rows, e["max_length"], e["dim"]), np.float32)
      for m, e in entries
    },
    "mask": {m: np.ones((rows, e["max_length"]), bool) for m, e in entries},
  }
  if spec["open_vocabulary"]:
    vectors = [emotion["vector"] for emotion in spec["emotions"]]
    inputs["emotions"] = np.asarray(vectors, np.float32)
  if spec["acoustic_word"]:
    shape = inputs["mask"]["acoustic"].shape
    inputs["acoustic_word"] = np.full(shape, -1, np.int32)
  return inputs


def input_structure(
  system: interface.System, spec: dict[str, Any]
) -> interface.Params:
  """The parameters' shapes."""
  vectors = np.asarray([e["vector"] for e in spec["emotions"]], np.float32)
  inputs = sample_inputs(spec, rows=2)
  streams = {
    m: schema.Stream(inputs["features"][m], inputs["mask"][m])
    for m in spec["modalities"]
  }
  for modality, dim in spec["unused_modalities"].items():
    streams[modality] = schema.Stream(
      np.zeros((2, 1, dim), np.float32), np.zeros((2, 1), bool)
    )
  batch = schema.make_batch(
    streams,
    np.zeros((2, len(vectors)), np.float32),
    labelled=np.zeros(2, bool),
    acoustic_word=inputs.get("acoustic_word"),
  )
  return jax.eval_shape(system.init, jax.random.key(0), batch, vectors)


def named_tensors(params: interface.Params) -> dict[str, Any]:
  """Leaves by the names of `model.safetensors`, in the order of the tree."""
  named = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    assert name not in named, name
    named[name] = leaf
  return named
