"""Makes random inputs of a config's shapes, to time and trace without data."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from mmer_jax.data import manifest as manifest_lib
from mmer_jax.data import padding, schema
from mmer_jax.systems import interface

# Rows of the random corpus, in batches; more would only take memory.
_BATCHES = 4


class _Shapes(NamedTuple):
  """Says how large the arrays of a corpus are.

  Attributes:
    dims: Modality name to columns of features.
    lengths: Modality name to frames; 0 where a modality has one frame.
    emotions: Number of emotions.
    vector_dim: Columns of the emotions' word vectors; 0 for none.
  """

  dims: dict[str, int]
  lengths: dict[str, int]
  emotions: int
  vector_dim: int


def _shapes(config: ml_collections.ConfigDict) -> _Shapes:
  """Reads the shapes off the shards, or off `config.benchmark` without any."""
  lengths = config.data.max_length.to_dict()
  if not config.data.dir:
    shape = config.benchmark
    return _Shapes(
      shape.dims.to_dict(), lengths, shape.emotions, shape.vector_dim
    )
  folder = pathlib.Path(config.data.dir)
  manifest = manifest_lib.load_manifest(folder)
  pad = padding.Padding(manifest, config.data.modalities, lengths)
  vectors = manifest_lib.load_emotion_vectors(folder)
  return _Shapes(
    pad.dims,
    pad.lengths,
    len(_outputs(config, manifest)),
    0 if vectors is None else vectors.vectors.shape[1],
  )


def _outputs(
  config: ml_collections.ConfigDict, manifest: dict[str, Any]
) -> Sequence[Any]:
  """Lists what is predicted: emotions, or ratings."""
  if config.protocol.decision == "regression":
    return config.data.ratings or manifest.get("ratings", ())
  return config.data.emotions or manifest["emotions"]


def random_table(
  config: ml_collections.ConfigDict,
) -> tuple[schema.Batch, np.ndarray]:
  """Draws a corpus of random numbers and emotion vectors.

  Every row has full length: the most work that the shapes can hold.
  """
  shapes = _shapes(config)
  rng = np.random.default_rng(0)
  n = _BATCHES * config.training.batch_size

  def stream(modality: str) -> schema.Stream:
    size = (n, max(shapes.lengths[modality], 1), shapes.dims[modality])
    return schema.Stream(
      rng.standard_normal(size, np.float32), np.ones(size[:2], bool)
    )

  count = shapes.emotions
  labels = rng.random((n, count)) < 0.3
  if config.protocol.decision == "softmax":
    labels = np.eye(count, dtype=bool)[rng.integers(count, size=n)]
  if config.protocol.decision == "regression":
    labels = rng.standard_normal((n, count))
  table = schema.make_batch(
    {modality: stream(modality) for modality in config.data.modalities},
    labels.astype(np.float32),
    acoustic_word=_even_words(config.data.modalities, shapes.lengths, n),
  )
  vectors = rng.standard_normal((count, shapes.vector_dim), np.float32)
  return table, vectors


def _even_words(
  modalities: Sequence[str], lengths: dict[str, int], count: int
) -> np.ndarray | None:
  """Gives every word as many frames; None where there are fewer than words."""
  if not {"lexical", "acoustic"} <= set(modalities):
    return None
  words, frames = lengths["lexical"], lengths["acoustic"]
  if not 0 < words <= frames:
    return None
  word = np.arange(frames) * words // frames
  return np.broadcast_to(word, (count, frames)).astype(np.int32)


def same_runs(
  config: ml_collections.ConfigDict,
  table: schema.Batch,
  vectors: np.ndarray,
  runs: int,
) -> interface.RunSettings:
  """Makes the settings of runs that differ in their seed alone."""

  def same(key: str) -> np.ndarray:
    return np.full(runs, config.optimizer[key], np.float32)

  count = table.labels.shape[1]
  ratings = {}
  if config.protocol.decision == "regression":
    ratings = {
      "rating_mean": np.zeros((runs, count), np.float32),
      "rating_scale": np.ones((runs, count), np.float32),
    }
  normalised = [m for m in config.data.normalise if m in table.streams]
  zeros = {
    m: np.zeros((runs, table.streams[m].features.shape[-1]), np.float32)
    for m in normalised
  }
  return interface.RunSettings(
    seed=np.arange(runs, dtype=np.uint32),
    fold=np.ones(runs, np.int32),
    learning_rate=same("learning_rate"),
    weight_decay=same("weight_decay"),
    clip_norm=same("clip_norm"),
    known=np.ones((runs, 1, count), bool),
    class_weight=np.ones((runs, 1, count), np.float32),
    mean=zeros,
    scale={m: np.ones_like(value) for m, value in zeros.items()},
    vectors=np.repeat(vectors[None], runs, axis=0),
    keep={},
    **ratings,
  )
