"""A linear system and a random table: enough to test the training loop."""

import jax
import jax.numpy as jnp
import numpy as np

from mmer_jax.data import schema
from mmer_jax.systems import interface

EMOTIONS = 3


def table(n: int, seed: int = 0) -> schema.Batch:
  """Utterances of 1 to 5 frames whose mean tells their emotion."""
  rng = np.random.default_rng(seed)
  classes = rng.integers(EMOTIONS, size=n)
  mask = np.arange(5)[None, :] < rng.integers(1, 6, size=n)[:, None]
  centres = np.random.default_rng(99).normal(size=(EMOTIONS, 4))
  features = centres[classes][:, None, :] + rng.normal(size=(n, 5, 4)) + 2.0
  features = np.where(mask[..., None], features, 0.0)
  return schema.Batch(
    streams={"acoustic": schema.Stream(features.astype(np.float32), mask)},
    present={"acoustic": np.ones(n, bool)},
    labels=np.eye(EMOTIONS, dtype=np.float32)[classes],
    labelled=np.ones(n, bool),
    example_mask=np.ones(n, bool),
    role=np.zeros(n, np.int32),
  )


def pooled(batch: schema.Batch) -> jax.Array:
  stream = batch.streams["acoustic"]
  count = jnp.maximum(stream.mask.sum(axis=1), 1)[:, None]
  return stream.features.sum(axis=1) / count


def init(key, batch, emotions):
  width = batch.streams["acoustic"].features.shape[-1]
  return {
    "w": 0.1 * jax.random.normal(key, (width, emotions.shape[0])),
    "b": jnp.zeros(emotions.shape[0]),
  }


def predict(params, batch, emotions):
  logits = pooled(batch) @ params["w"] + params["b"][None, :]
  return interface.Prediction(logits, {})


def loss(params, batch, run, key):
  logits = predict(params, batch, run.vectors).logits
  if key is not None:
    logits = logits + 0.01 * jax.random.normal(key, logits.shape)
  each = -(jax.nn.log_softmax(logits) * batch.labels).sum(axis=-1)
  real = batch.example_mask & batch.labelled
  mean = jnp.where(real, each, 0.0).sum() / jnp.maximum(real.sum(), 1)
  return mean, {"logit_norm": jnp.sqrt(jnp.square(logits).mean())}


SYSTEM = interface.System(
  init=init,
  stages=(interface.Stage("toy", loss),),
  predict=predict,
  open_vocabulary=False,
)

RULES = interface.TrainingRules(
  decision="softmax",
  threshold=0.5,
  select="unweighted_accuracy",
  factor=0.1,
  patience=2,
  early_stopping=0,
  curve_thresholds=(),
)


def runs(seeds, learning_rate=1e-2, weight_decay=0.0, clip_norm=1.0):
  """Settings of runs that differ in seed and, if asked, in learning rate."""
  r = len(seeds)
  full = lambda value: np.broadcast_to(  # noqa: E731
    np.asarray(value, np.float32), (r,)
  ).copy()
  return interface.RunSettings(
    seed=np.asarray(seeds, np.uint32),
    fold=np.ones(r, np.int32),
    learning_rate=full(learning_rate),
    weight_decay=full(weight_decay),
    clip_norm=full(clip_norm),
    known=np.ones((r, 1, EMOTIONS), bool),
    class_weight=np.ones((r, 1, EMOTIONS), np.float32),
    mean={"acoustic": np.full((r, 4), 2.0, np.float32)},
    scale={"acoustic": np.full((r, 4), 0.7, np.float32)},
    vectors=np.zeros((r, EMOTIONS, 2), np.float32),
    keep={},
  )
