"""Loads a trained workdir, with the inputs that an evaluation asks for."""

import operator
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np
from absl import logging

from mmer_jax.base import errors
from mmer_jax.data import corpus as corpus_lib
from mmer_jax.data import identity
from mmer_jax.data import manifest as manifest_lib
from mmer_jax.experiment import build, input_repair, provenance
from mmer_jax.experiment import runs as runs_lib
from mmer_jax.training import session as session_lib

# Protocols whose folds depend on the labels: with other emotions they would be
# others.
_BY_LABELS = ("group_kfold", "kfold")


class Inputs(NamedTuple):
  """Says what an evaluation reads that training did not.

  Attributes:
    data_dir: The shard folder; empty for that of the training. A modality that
      its shards do not hold is absent from every utterance.
    word_vectors: A file with the words of new emotions; empty for the vectors
      of the shards.
    input_transform: Keys of the config's `noise` and `repair` that are not as
      in training, as `{"noise.kind": "gaussian"}`.
  """

  data_dir: str = ""
  word_vectors: str = ""
  input_transform: Mapping[str, Any] = {}  # noqa: RUF012


class TrainedWorkdir(NamedTuple):
  """Holds a trained workdir, ready to be evaluated.

  Attributes:
    folder: The workdir.
    description: Its `run.json`.
    session: Its experiment on the devices. The emotions of its corpus are
      those of the training, then new ones.
    input_transform: The keys in which the session's input transform is not
      that of the training.
  """

  folder: pathlib.Path
  description: dict[str, Any]
  session: session_lib.Session
  input_transform: Mapping[str, Any] = {}  # noqa: RUF012

  @property
  def emotions(self) -> tuple[str, ...]:
    """Names the emotions that the workdir has parameters for."""
    return tuple(each["name"] for each in self.description["emotions"])


def load_workdir(
  folder: pathlib.Path, emotions: Sequence[str], inputs: Inputs
) -> TrainedWorkdir:
  """Builds the experiment of a workdir again, and lays it on the devices.

  Args:
    folder: The workdir.
    emotions: The emotions to score; empty for those of the training. A new one
      may be `name=word`, with the word whose vector stands for it.
    inputs: What is not as in training.

  Raises:
    UserError: The workdir does not fit the request.
  """
  description = provenance.read_description(folder)
  config = provenance.read_config(folder, description)
  for key in inputs.input_transform:
    # Says what is wrong with an older version's workdir.
    operator.attrgetter(key)(config)
  trained = tuple(each["name"] for each in description["emotions"])
  expected = _trained_identity(config, description)
  new = tuple(name for name in emotion_names(emotions) if name not in trained)
  regression = config.protocol.decision == "regression"
  if new and regression:
    raise errors.UserError(
      f"--emotions has {new[0]!r}, but the workdir has learnt the ratings"
      f" {', '.join(trained)}; name some of those"
    )
  with config.unlocked():
    config.update_from_flattened_dict(dict(inputs.input_transform))
    config.data["ratings" if regression else "emotions"] = trained + new
    config.data.words = (
      *config.data.words,
      *_word_forms(emotions, trained, inputs.word_vectors),
    )
    if inputs.word_vectors:
      config.data.word_vectors = inputs.word_vectors
    if inputs.data_dir:
      config.data.dir = str(pathlib.Path(inputs.data_dir).absolute())
  if inputs.data_dir:
    experiment = build.build_experiment(
      config, assumed_shapes(description), expected
    )
    _check_widths(experiment, description)
  else:
    experiment = build.build_experiment(config)
  _check_new_emotions(experiment, new)
  _check_same_data(experiment, description, moved=bool(inputs.data_dir))
  session = session_lib.open_session(
    input_repair.attach_repair(
      experiment, folder, description["dataset"]["fingerprint"]
    )
  )
  return TrainedWorkdir(folder, description, session, inputs.input_transform)


def emotion_names(forms: Sequence[str]) -> tuple[str, ...]:
  """Returns the names of emotions that may be `name=word`."""
  return tuple(form.partition("=")[0] for form in forms)


def assumed_shapes(description: dict[str, Any]) -> corpus_lib.AssumedShapes:
  """Returns what training had and other shards may lack.

  Args:
    description: The `run.json` of the workdir.
  """
  return corpus_lib.AssumedShapes(
    shapes={
      modality: (entry["length"], entry["dim"])
      for modality, entry in description["modalities"].items()
    },
    vectors=np.asarray(
      [emotion["vector"] for emotion in description["emotions"]], np.float32
    ),
  )


def _trained_identity(
  config: ml_collections.ConfigDict, description: dict[str, Any]
) -> identity.Identity:
  """Returns what the features of the training mean, where that is known.

  An older version's `run.json` does not say; the shards may still be there.
  """
  if "identity" in description:
    return description["identity"]
  folder = pathlib.Path(config.data.dir)
  try:
    manifest = manifest_lib.load_manifest(folder)
  except errors.UserError:
    return {}
  if manifest["fingerprint"] != description["dataset"]["fingerprint"]:
    return {}
  return identity.of_shards(folder, manifest)


def _check_widths(
  experiment: build.Experiment, description: dict[str, Any]
) -> None:
  """Refuses features of another width, where columns are not known."""
  for modality, (_, width) in experiment.corpus.shapes.items():
    expected = description["modalities"][modality]["dim"]
    if width != expected:
      raise errors.UserError(
        f"the shards in {experiment.config.data.dir} have {width} {modality}"
        f" columns, the workdir was trained on {expected}; convert them in the"
        " same way as those of the training"
      )


def _word_forms(
  emotions: Sequence[str], trained: Sequence[str], word_vectors: str
) -> list[str]:
  """Lists the words that new emotions are read from, as `name=word`."""
  forms = []
  for form in emotions:
    name, equals, word = form.partition("=")
    if name in trained and equals:
      raise errors.UserError(
        f"--emotions has {form!r}, but the workdir was trained with a word for"
        f" {name}; write {name} alone"
      )
    if name not in trained and (equals or word_vectors):
      forms.append(f"{name}={word or name}")
  return forms


def _check_new_emotions(
  experiment: build.Experiment, new: Sequence[str]
) -> None:
  """Refuses new emotions that would change the split; warns of guesses."""
  config = experiment.config
  if new and not experiment.system.open_vocabulary:
    logging.warning(
      "%s was not trained on %s and reads no word vectors: it gets a freshly"
      " initialised output for it and guesses",
      config.system,
      ", ".join(new),
    )
  split, decision = config.protocol.split, config.protocol.decision
  drawn = split in _BY_LABELS or (split == "random" and decision == "softmax")
  if new and drawn:
    raise errors.UserError(
      f"--emotions names {', '.join(new)}, whose rows would enter the {split}"
      " split and mix the training rows with the test rows; train with"
      " another config.protocol.split"
    )


def _check_same_data(
  experiment: build.Experiment, description: dict[str, Any], *, moved: bool
) -> None:
  """Refuses word vectors or shards that are not those of the training.

  Args:
    experiment: What was read now.
    description: The `run.json` of the workdir.
    moved: Whether other shards are meant.
  """
  trained = [each["name"] for each in description["emotions"]]
  known = experiment.runs.vectors[:, : len(trained)]
  if runs_lib.vectors_digest(known) != description["vectors_sha256"]:
    raise errors.UserError(
      f"the word vectors of {', '.join(trained)} are not those of the training;"
      " use the file and the shards that it had"
    )
  now = experiment.corpus.dataset["fingerprint"]
  split = experiment.config.protocol.split
  if moved and split in _BY_LABELS:
    if now != description["dataset"]["fingerprint"]:
      logging.warning(
        "the groups of %s are drawn anew from the shards in %s: where they hold"
        " utterances of the training, some of those may be scored",
        split,
        experiment.config.data.dir,
      )
  if not moved:
    identity.check_fingerprint(
      now,
      description["dataset"]["fingerprint"],
      what=f"the shards in {experiment.config.data.dir}",
      fix="pass --data_dir=DIR to evaluate on other shards on purpose",
    )
