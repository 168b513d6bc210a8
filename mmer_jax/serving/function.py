"""Makes a trained system one function: raw features in, probabilities out.

This is what `export.py` writes and `model.Model` calls. The function cuts what
is longer than in training, normalises, checks and repairs the modalities as
`config.repair.inference` says, predicts, and averages over its members where it
is an ensemble. It takes the tensors and `inputs`, a dictionary of

- `features`: modality to (b, t, d) float32, as they are, not normalised;
- `mask`: modality to (b, t) bool, True on real frames; a row with none is an
  absent modality;
- `emotions`: (k, e) float32 word vectors, where the vocabulary is open;
- `acoustic_word`: (b, t) int32, the lexical frame that each acoustic one
  belongs to, -1 for none, where the training's shards say so,

and returns a dictionary of `probs` (b, k), `per_modality`, modality to scores
(b, k), and `explain`, name to an array of `System.explain`, all float32. A
softmax over a closed vocabulary has `log_probs` (b, k) too. A regression has
`values` (b, k), in the ratings' own scales, in the place of `probs`.
"""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from mmer_jax.base import errors
from mmer_jax.core import metrics
from mmer_jax.data import normalise, schema
from mmer_jax.robustness import repair
from mmer_jax.robustness import settings as settings_lib
from mmer_jax.serving import batch as batch_lib
from mmer_jax.systems import interface, supervised

# Name to array, as in `model.safetensors`.
Tensors = dict[str, Any]
# (tensors, inputs) -> outputs, see the module.
CallFn = Callable[[Tensors, dict[str, Any]], dict[str, Any]]


class Served(NamedTuple):
  """Holds all that predicting needs.

  Attributes:
    spec: The content of `feature_spec.json`.
    tensors: The parameters and the normalisation; with a leading axis of
      members where `spec["ensemble"]`.
    call: The function of `make_function`.
    shards: The folder of the training's shards; None where it is not known.
  """

  spec: dict[str, Any]
  tensors: Tensors
  call: CallFn
  shards: pathlib.Path | None = None


class _Prepared(NamedTuple):
  """Holds the arguments of a system's functions.

  Attributes:
    params: The system's parameters.
    batch: Normalised and repaired utterances.
    emotions: The word vectors of the emotions.
    repaired: What the check and the proxies did; None where there are none.
  """

  params: interface.Params
  batch: schema.Batch
  emotions: Array
  repaired: repair.RepairedBatch | None


def make_function(
  system: interface.System, spec: dict[str, Any], tensors: Tensors
) -> Served:
  """Builds the function of a system and a spec.

  Args:
    system: The paper.
    spec: The result of `spec.describe`; `explain` is filled in.
    tensors: Names and shapes are looked at, not values.

  Raises:
    UserError: The tensors are not those of the system.
  """
  structure = parameter_shapes(system, spec)
  _check_tensors(structure, spec, tensors)

  def predict(
    tensors: Tensors, inputs: dict[str, Any]
  ) -> tuple[interface.Prediction, dict[str, interface.Explanation]]:
    prepared = _prepare(spec, structure, tensors, inputs)
    prediction = system.predict(*prepared[:3])
    return prediction, _explanations(system, spec, prepared, prediction)

  def predict_one(tensors: Tensors, inputs: dict[str, Any]) -> dict[str, Any]:
    prediction, explanations = predict(tensors, inputs)
    outputs = {
      **_answers(spec, tensors, prediction.logits),
      "per_modality": {
        modality: scores
        for modality, scores in prediction.per_modality.items()
        if modality not in spec["unused_modalities"]
      },
      "explain": {name: each.values for name, each in explanations.items()},
    }
    if spec["decision"] == "softmax" and not spec["open_vocabulary"]:
      outputs["log_probs"] = jax.nn.log_softmax(prediction.logits)
    return outputs

  def call(tensors: Tensors, inputs: dict[str, Any]) -> dict[str, Any]:
    if spec["ensemble"]:
      members = jax.vmap(predict_one, in_axes=(0, None))(tensors, inputs)
      outputs = _average(members)
    else:
      outputs = predict_one(tensors, inputs)
    return jax.tree.map(lambda x: x.astype(jnp.float32), outputs)

  member = tensors
  if spec["ensemble"]:
    member = jax.tree.map(lambda leaf: leaf[0], tensors)
  sample = batch_lib.sample_inputs(spec, rows=2)
  _, explanations = jax.eval_shape(predict, member, sample)
  axes = {name: list(each.axes) for name, each in explanations.items()}
  return Served({**spec, "explain": axes}, tensors, call)


def _answers(
  spec: dict[str, Any], tensors: Tensors, logits: Array
) -> dict[str, Array]:
  """Makes probabilities of emotions, or the values of ratings."""
  if spec["decision"] != "regression":
    return {"probs": metrics.probabilities(spec["decision"], logits)}
  mean, scale = tensors["rating_mean"], tensors["rating_scale"]
  return {"values": supervised.in_own_scale(logits, mean, scale)}


def _average(members: dict[str, Any]) -> dict[str, Any]:
  """Averages the outputs of the members of an ensemble, their first axis."""
  outputs = jax.tree.map(lambda x: x.astype(jnp.float32).mean(axis=0), members)
  if "log_probs" in members:
    # The logarithm of the mean probability, not the mean logarithm.
    outputs["log_probs"] = jax.nn.logsumexp(
      members["log_probs"].astype(jnp.float32), axis=0
    ) - jnp.log(members["log_probs"].shape[0])
  return outputs


def parameter_shapes(
  system: interface.System, spec: dict[str, Any]
) -> interface.Params:
  """Traces the system's `init` on a batch of the spec's shapes."""

  def init(inputs: dict[str, Any], emotions: Array) -> interface.Params:
    batch = batch_lib.from_inputs(spec, inputs, len(emotions))
    return system.init(jax.random.key(0), batch, emotions)

  return jax.eval_shape(
    init,
    batch_lib.sample_inputs(spec, rows=2),
    batch_lib.emotion_vectors(spec),
  )


def named_tensors(params: interface.Params) -> dict[str, Any]:
  """Names the leaves as `model.safetensors` does, in the order of the tree."""
  named = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    assert name not in named, name
    named[name] = leaf
  return named


def _check_tensors(
  structure: interface.Params, spec: dict[str, Any], tensors: Tensors
) -> None:
  """Refuses parameters of other names than the system's."""
  expected = sorted(f"params.{name}" for name in named_tensors(structure))
  if expected != sorted(name for name in tensors if name.startswith("params.")):
    raise errors.UserError(
      f"the tensors are not those of a {spec['system']} as config.json has it;"
      " export the workdir again"
    )


def _prepare(
  spec: dict[str, Any],
  structure: interface.Params,
  tensors: Tensors,
  inputs: dict[str, Any],
) -> _Prepared:
  """Normalises and repairs the inputs, and gathers the parameters."""
  emotions = inputs.get("emotions")
  if emotions is None:
    emotions = jnp.asarray(batch_lib.emotion_vectors(spec))
  leaves = [tensors[f"params.{name}"] for name in named_tensors(structure)]
  params = jax.tree.unflatten(jax.tree.structure(structure), leaves)
  batch = normalise.normalise(
    batch_lib.from_inputs(spec, inputs, emotions.shape[0]),
    _with_prefix(tensors, "mean."),
    _with_prefix(tensors, "scale."),
  )
  if not spec["repair"]:
    return _Prepared(params, batch, emotions, None)
  settings = settings_lib.RepairSettings(**spec["repair"])
  fitted = _fitted_repair(tensors)
  streams = {
    modality: _as_long_as_fitted(fitted, modality, stream)
    for modality, stream in batch.streams.items()
  }
  repaired = repair.apply(
    settings, settings.inference, fitted, batch.replace(streams=streams)
  )
  return _Prepared(params, repaired.batch, emotions, repaired)


def _explanations(
  system: interface.System,
  spec: dict[str, Any],
  prepared: _Prepared,
  prediction: interface.Prediction,
) -> dict[str, interface.Explanation]:
  """Collects what the system and the repair can say of each utterance."""
  explanations = {
    f"weight_{modality}": interface.Explanation(values, ())
    for modality, values in prediction.weights.items()
    if modality not in spec["unused_modalities"]
  }
  if prepared.repaired is not None:
    for what in ("effective", "proxied"):
      for modality, flags in getattr(prepared.repaired, what).items():
        explanations[f"{what}_{modality}"] = interface.Explanation(
          flags.astype(jnp.float32), ()
        )
  if system.words is not None:
    for name, values in system.words(*prepared[:3])._asdict().items():
      if values is not None:
        explanations[name] = interface.Explanation(values, ("lexical",))
  if system.explain is not None:
    explanations |= system.explain(*prepared[:3])
  return explanations


def _with_prefix(tensors: Tensors, prefix: str) -> Tensors:
  """Selects the tensors whose names begin with a prefix, and drops it."""
  return {
    name.removeprefix(prefix): value
    for name, value in tensors.items()
    if name.startswith(prefix)
  }


def _as_long_as_fitted(
  fitted: settings_lib.FittedRepair, modality: str, stream: schema.Stream
) -> schema.Stream:
  """Pads a stream to the length of training: the check reads flat features."""
  length = fitted.mean[modality].shape[-1] // stream.features.shape[-1]
  # Filled first: how much is missing is not known where time is symbolic.
  features = jnp.pad(stream.features, ((0, 0), (0, length), (0, 0)))
  mask = jnp.pad(stream.mask, ((0, 0), (0, length)))
  return schema.Stream(features[:, :length], mask[:, :length])


def _fitted_repair(tensors: Tensors) -> settings_lib.FittedRepair:
  """Gathers the tensors of the check and the proxies."""
  parts: dict[str, Any] = {"reduced": {}, "there": {}, "bank": None}
  for name, leaf in _with_prefix(tensors, "repair.").items():
    field, dot, key = name.partition(".")
    if dot:
      parts.setdefault(field, {})[key] = leaf
    else:
      parts[field] = leaf
  return settings_lib.FittedRepair(**parts)
