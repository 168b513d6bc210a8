"""A trained system as one function: raw features in, probabilities out.

What `mmer_jax.export` writes and `mmer_jax.predictor` calls. The function takes
its tensors as an argument, cuts what is longer than in training, normalises,
checks and repairs the modalities as `config.repair.inference` says, predicts,
and averages over its members where it is an ensemble.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax import export as jax_export
from jaxtyping import Array

import mmer_jax
from mmer_jax import (
  errors,
  evaluate,
  experiment,
  layout,
  predictor,
  results,
  robustness,
  training,
  workdir,
)
from mmer_jax.data import pipeline, repair, schema, shards, word_vectors

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


def from_workdir(
  folder: pathlib.Path,
  *,
  run: int | None = None,
  ensemble: bool = False,
  thresholds: str = "fixed",
  data_dir: str = "",
) -> Served:
  """Reads what a finished workdir has selected.

  Args:
    folder: The workdir.
    run: Its number; None for the one of the best setting that is best on its
      validation split.
    ensemble: Whether all runs of the best setting are averaged instead.
    thresholds: As of `evaluate`; of an ensemble, its members' mean.
    data_dir: The shard folder, where it is not the one of training.

  Raises:
    UserError: Training has not finished, or the request does not fit it.
  """
  config = workdir.read_config(folder)
  if data_dir:
    with config.unlocked():
      config.data.dir = str(pathlib.Path(data_dir).absolute())
  evaluate.check_thresholds(thresholds, config.protocol.decision)
  setup = experiment.build(config)
  before = workdir.read_json(folder / "run.json")["dataset"]["fingerprint"]
  now = setup.corpus.dataset["fingerprint"]
  if before != now:
    raise errors.UserError(
      f"the shards in {config.data.dir} have fingerprint {now[:12]}, the"
      f" workdir was trained on {before[:12]}; pass --data_dir=DIR with those"
    )
  settings = repair.Settings.from_config(config)
  if settings.inference == "proxy" and settings.proxy == "knn":
    raise errors.UserError(
      f"{folder} regenerates modalities from its training rows"
      " (config.repair.proxy is 'knn'), which a model to serve does not hold;"
      " train with --config.repair.proxy=linear"
    )
  if settings.inference != "none":
    setup = robustness.attach(setup, folder, before)
  restored = evaluate.restore(folder, setup, len(setup.corpus.emotions))
  outcome = workdir.read_json(folder / "results" / "validation.json")
  members = choose(outcome, run=run, ensemble=ensemble)
  chosen = None
  if thresholds == "validation":
    each = evaluate.validation_thresholds(setup, restored, members)
    chosen = each.mean(axis=0)
  spec = describe(
    setup, restored, members, ensemble=ensemble, thresholds=chosen
  )
  picked = np.asarray(members) if ensemble else members[0]
  params, runs = jax.tree.map(
    lambda leaf: np.asarray(leaf)[picked],
    (restored.params[-1], restored.runs),
  )
  tensors = {f"params.{name}": leaf for name, leaf in _named(params).items()}
  for modality in runs.mean:
    tensors[f"mean.{modality}"] = runs.mean[modality]
    tensors[f"scale.{modality}"] = runs.scale[modality]
  if runs.repair is not None:
    # The training rows themselves are of neighbours alone.
    kept = runs.repair.replace(bank=None, reduced={}, there={})
    for name, leaf in _named(kept).items():
      tensors[f"repair.{name}"] = leaf
  return make(setup.system, spec, tensors)


def choose(
  outcome: dict[str, Any], *, run: int | None, ensemble: bool
) -> list[int]:
  """The runs to serve, by what `results/validation.json` says of them.

  Raises:
    UserError: There is no such run, or its members know different emotions.
  """
  lived = [each for each in outcome["runs"] if each["failed_step"] is None]
  if run is not None:
    if ensemble:
      raise errors.UserError(
        f"--ensemble averages the runs of a setting, got --run={run} too; leave"
        " one out"
      )
    if run not in [each["run"] for each in lived]:
      raise errors.UserError(
        f"--run is {run}, expected one of the runs that finished:"
        f" {', '.join(str(each['run']) for each in lived)}"
      )
    return [run]
  chosen = [each for each in lived if each["setting"] == outcome["setting"]]
  if not chosen:
    raise errors.UserError(
      "no run of the setting that validation chose has finished; train again"
    )
  if not ensemble:
    return [max(chosen, key=lambda each: each["selection"])["run"]]
  if any(each["unseen"] != chosen[0]["unseen"] for each in chosen):
    raise errors.UserError(
      "--ensemble averages runs that were taught the same emotions, but these"
      " left out different ones (config.protocol.unseen); pass --run=N"
    )
  return [each["run"] for each in chosen]


def describe(
  setup: experiment.Experiment,
  restored: evaluate.Restored,
  members: Sequence[int],
  *,
  ensemble: bool,
  thresholds: np.ndarray | None,
) -> dict[str, Any]:
  """The content of `feature_spec.json`, but for `explain`.

  Args:
    setup: The experiment.
    restored: Its parameters.
    members: The runs to serve.
    ensemble: Whether they are averaged.
    thresholds: (k + 1,), of every emotion and of a new one, chosen on
      validation; None for that of the config.
  """
  config, corpus = setup.config, setup.corpus
  binary = config.protocol.decision == "binary"
  least: list[float | None] = [None] * (len(corpus.emotions) + 1)
  if thresholds is not None:
    least = thresholds.tolist()
  elif binary:
    least = [config.protocol.threshold] * len(least)
  first = setup.records[members[0]]
  modalities, unused = {}, {}
  for modality, (length, dim) in corpus.shapes.items():
    keep = restored.runs.keep.get(modality)
    if keep is not None and not keep[members[0]]:
      unused[modality] = dim
      continue
    entry = corpus.manifest["modalities"][modality]
    statistics = [
      pipeline.statistics(corpus.table, rows, modality)
      for rows in _different([setup.records[m].fold.train for m in members])
    ]
    mean, std = np.mean(statistics, axis=0)
    modalities[modality] = {
      "dim": dim,
      "columns": list(entry["columns"]),
      "max_length": length,
      "padding": entry["padding"],
      "normalised": modality in restored.runs.mean,
      "mean": mean.tolist(),
      "std": std.tolist(),
      "present_in_training": float(
        corpus.present[modality][first.fold.train].mean()
      ),
      "may_be_absent": True,
    }
  words = _words(config, corpus.emotions, first.setting)
  sample = experiment.sample_batch(config, corpus)
  vectors = restored.runs.vectors[members[0]]
  return {
    "format": predictor.SPEC_FORMAT,
    "mmer_jax": mmer_jax.__version__,
    "system": config.system,
    "config_sha256": experiment.digest(config),
    "decision": config.protocol.decision,
    "open_vocabulary": setup.system.open_vocabulary,
    "aligned": setup.system.aligned,
    "acoustic_word": setup.system.acoustic_word
    and "acoustic" in modalities
    and sample.acoustic_word is not None,
    "modalities": modalities,
    "unused_modalities": unused,
    "repair": None if restored.runs.repair is None else config.repair.to_dict(),
    "emotions": [
      {
        "name": name,
        "word": words[name],
        "vector": np.asarray(vector, np.float64).tolist(),
        "threshold": threshold,
        "taught": name not in first.unseen or bool(first.samples),
      }
      for name, vector, threshold in zip(
        corpus.emotions, vectors, least[:-1], strict=True
      )
    ],
    "thresholds": {
      "chosen": ("fixed" if thresholds is None else "validation")
      if binary
      else None,
      "new_emotion": least[-1],
    },
    "ensemble": ensemble,
    "members": [
      {
        "run": record.run,
        "seed": record.seed,
        "fold": record.fold.name,
        "setting": record.setting,
        "unseen": list(record.unseen),
      }
      for record in (setup.records[member] for member in members)
    ],
    "dataset": corpus.dataset,
    "environment": results.environment(),
  }


def make(
  system: training.System, spec: dict[str, Any], tensors: Tensors
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
  structure = _structure(system, spec)
  names = list(_named(structure))
  known = sorted(name for name in tensors if name.startswith("params."))
  if sorted(f"params.{name}" for name in names) != known:
    raise errors.UserError(
      f"the tensors are not those of a {spec['system']} as config.json has it;"
      " export the workdir again"
    )
  own = np.asarray([e["vector"] for e in spec["emotions"]], np.float32)
  settings = repair.Settings(**spec["repair"]) if spec["repair"] else None

  def arguments(
    tensors: Tensors, inputs: dict[str, Any]
  ) -> tuple[
    tuple[training.Params, schema.Batch, Array], repair.Outcome | None
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
    batch = schema.Batch(
      streams=streams,
      present={m: stream.mask.any(axis=1) for m, stream in streams.items()},
      labels=jnp.zeros((rows, emotions.shape[0])),
      labelled=jnp.zeros(rows, bool),
      example_mask=jnp.ones(rows, bool),
      role=jnp.zeros(rows, jnp.int32),
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
    batch = pipeline.normalise(batch, mean, scale)
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
  ) -> dict[str, training.Explanation]:
    given, done = arguments(tensors, inputs)
    said = {
      f"weight_{name}": training.Explanation(values, ())
      for name, values in system.predict(*given).weights.items()
      if name not in unused
    }
    if done is not None:
      said |= {
        f"{what}_{name}": training.Explanation(flags.astype(jnp.float32), ())
        for what, found in (
          ("effective", done.effective),
          ("proxied", done.proxied),
        )
        for name, flags in found.items()
      }
    if system.words is not None:
      maps = system.words(*given)._asdict()
      said |= {
        name: training.Explanation(values, ("lexical",))
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
      "probs": training.probabilities(decision, prediction.logits),
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
  fitted: repair.Fitted, modality: str, stream: schema.Stream
) -> schema.Stream:
  """A stream as long as in training: the check reads flat features."""
  length = fitted.mean[modality].shape[-1] // stream.features.shape[-1]
  # Filled first: how much is missing is not known where time is symbolic.
  features = jnp.pad(stream.features, ((0, 0), (0, length), (0, 0)))
  mask = jnp.pad(stream.mask, ((0, 0), (0, length)))
  return schema.Stream(features[:, :length], mask[:, :length])


def _fitted(tensors: Tensors) -> repair.Fitted:
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
  return repair.Fitted(**parts)


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


def export(served: Served, platforms: Sequence[str]) -> bytes:
  """Lowers the function once for all platforms: batch and time are symbolic.

  Streams that the system needs aligned share one symbol for their time.

  Raises:
    UserError: The package flatbuffers is not installed.
  """
  spec = served.spec
  times = {m: "t" if spec["aligned"] else f"t_{m}" for m in spec["modalities"]}
  symbols = dict.fromkeys(["b", "k", *times.values()])
  scope = dict(
    zip(symbols, jax_export.symbolic_shape(",".join(symbols)), strict=True)
  )
  inputs: dict[str, Any] = {"features": {}, "mask": {}}
  for modality, entry in spec["modalities"].items():
    shape = scope["b"], scope[times[modality]]
    if spec["aligned"] and entry["max_length"] == 1:
      shape = scope["b"], 1
    inputs["mask"][modality] = jax.ShapeDtypeStruct(shape, jnp.bool)
    inputs["features"][modality] = jax.ShapeDtypeStruct(
      (*shape, entry["dim"]), jnp.float32
    )
  if spec["open_vocabulary"]:
    width = len(spec["emotions"][0]["vector"])
    inputs["emotions"] = jax.ShapeDtypeStruct((scope["k"], width), jnp.float32)
  if spec["acoustic_word"]:
    shape = inputs["mask"]["acoustic"].shape
    inputs["acoustic_word"] = jax.ShapeDtypeStruct(shape, jnp.int32)
  tensors = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), served.tensors
  )
  lowered = jax_export.export(jax.jit(served.call), platforms=tuple(platforms))
  try:
    return bytes(lowered(tensors, inputs).serialize())
  except ImportError:
    raise errors.UserError(
      "exporting needs the package flatbuffers, which is not installed;"
      " pip install 'mmer_jax[export]'"
    ) from None


def _structure(
  system: training.System, spec: dict[str, Any]
) -> training.Params:
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
  batch = schema.Batch(
    streams=streams,
    present={m: stream.mask.any(axis=1) for m, stream in streams.items()},
    labels=np.zeros((2, len(vectors)), np.float32),
    labelled=np.zeros(2, bool),
    example_mask=np.ones(2, bool),
    role=np.zeros(2, np.int32),
    acoustic_word=inputs.get("acoustic_word"),
  )
  return jax.eval_shape(system.init, jax.random.key(0), batch, vectors)


def _named(params: training.Params) -> dict[str, Any]:
  """Leaves by the names of `model.safetensors`, in the order of the tree."""
  named = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    assert name not in named, name
    named[name] = leaf
  return named


def _different(folds: Sequence[np.ndarray]) -> list[np.ndarray]:
  """The sets of rows, each once."""
  return list({rows.tobytes(): rows for rows in folds}.values())


def _words(
  config: ml_collections.ConfigDict,
  emotions: Sequence[str],
  setting: layout.Setting,
) -> dict[str, str]:
  """The word that each emotion's vector is of; `""` where there is none."""
  found = shards.load_emotion_vectors(pathlib.Path(config.data.dir))
  words = dict.fromkeys(emotions, "")
  if found is not None:
    known = dict(zip(found.names, found.words, strict=True))
    words = {name: known[name] for name in emotions}
  forms = [*config.data.words, *str(setting.get("words", "")).split(",")]
  return words | word_vectors.parse_forms(forms, emotions)
