"""Noise and faults: corrupts modalities of some utterances, by seed.

Which modalities of an utterance fail, and the noise itself, depend on the run's
seed and on the utterance alone: not on the batch, the epoch or the program.
"""

import itertools
import zlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmer_jax.base import errors
from mmer_jax.core import scaling
from mmer_jax.data import schema
from mmer_jax.robustness import faults

# What a stream can be made of; those of `STRENGTHS` come in strengths.
STRENGTHS = ("stuck", "gaps", "clipped", "shifted")
KINDS = ("none", "gaussian", "dropped", *STRENGTHS, "swapped")


class Noise(NamedTuple):
  """Holds `config.noise`: what is corrupted, and how.

  Attributes:
    kind: `gaussian` adds white noise to the features that the systems see;
      `dropped` takes the modality away; `swapped` puts another utterance's in
      its place; `stuck`, `clipped`, `shifted` and `gaps` are `faults.stick`,
      `faults.clip`, `faults.shift` and `faults.drop_frames`.
    snr: Power of a modality's features over that of the noise.
    share: Share of the utterances of which some modality fails.
    strength: How much of a modality a fault of `STRENGTHS` takes, from 0 to 1.
  """

  kind: str
  snr: float
  share: float
  strength: float = 0.5

  @classmethod
  def from_config(cls, config: ml_collections.ConfigDict) -> "Noise":
    """Reads `config.noise`."""
    return cls(**{key: config.noise[key] for key in cls._fields})


class Others(NamedTuple):
  """Holds the utterances that `swapped` takes features from.

  Attributes:
    take: Row numbers to a normalised batch of them.
    count: How many rows there are.
  """

  take: Callable[[Array], schema.Batch]
  count: int


def check(noise: Noise, *, resident: bool = True) -> None:
  """Refuses noise that cannot be drawn.

  Args:
    noise: The noise.
    resident: Whether all utterances are on the device.

  Raises:
    UserError: A value is out of its range.
  """
  errors.check_choices("noise.kind", noise.kind, KINDS)
  if not noise.snr > 0:
    raise errors.UserError(
      f"config.noise.snr is {noise.snr}, expected a ratio of powers above 0"
    )
  if not 0 <= noise.share <= 1:
    raise errors.UserError(
      f"config.noise.share is {noise.share}, expected a share from 0 to 1"
    )
  if not 0 <= noise.strength <= 1:
    raise errors.UserError(
      f"config.noise.strength is {noise.strength}, expected a share from 0 to 1"
    )
  if noise.kind == "swapped" and not resident:
    raise errors.UserError(
      'config.noise.kind="swapped" reads other utterances on the device, but'
      " config.data.resident is False; set config.data.resident=True"
    )


def failing(
  noise: Noise, seed: Int[Array, ""], batch: schema.Batch
) -> dict[str, Bool[Array, " b"]]:
  """Draws which modalities of each utterance fail.

  Source: Mittal et al. 2020, section 5.4: at least one modality of about 75 %.
  Deviation: drawn uniformly over the subsets of the modalities that the
    utterance has, neither none nor all of them: something is left to tell the
    emotion by. An utterance with one modality keeps it.

  Args:
    noise: The noise, with the share of utterances.
    seed: The seed of the run.
    batch: A batch with row numbers.
  """
  names = sorted(batch.streams)
  subsets = np.asarray(
    list(itertools.product([False, True], repeat=len(names)))
  )
  present = jnp.stack([batch.present[name] for name in names], axis=-1)
  taken = jnp.asarray(subsets)[None, :, :]
  valid = (~taken | present[:, None, :]).all(axis=-1)
  valid &= taken.any(axis=-1) & (~taken & present[:, None, :]).any(axis=-1)

  def draw(row: Array) -> tuple[Array, Array]:
    first, second = jax.random.split(_key(seed, "failing", row))
    return (
      jax.random.uniform(first),
      jax.random.uniform(second, (len(subsets),), minval=0.5, maxval=1.0),
    )

  chance, order = jax.vmap(draw)(batch.row)
  chosen = jnp.argmax(jnp.where(valid, order, 0.0), axis=1)
  fails = (chance < noise.share) & valid.any(axis=1) & batch.example_mask
  picked = jnp.asarray(subsets)[chosen] & fails[:, None]
  return {name: picked[:, index] for index, name in enumerate(names)}


def corrupt(
  noise: Noise,
  seed: Int[Array, ""],
  batch: schema.Batch,
  others: Others | None = None,
) -> schema.Batch:
  """Corrupts the modalities drawn by `failing`.

  Source: Mittal et al. 2020, section 5.4: white Gaussian noise at a
    signal-to-noise ratio of 0.01.
  Deviation: a ratio of powers; the signal's is the mean square of the real
    frames of the utterance, normalised as the systems see them. The other kinds
    are ours.

  Args:
    noise: The noise.
    seed: The seed of the run.
    batch: A normalised batch with row numbers.
    others: All utterances; needed by `swapped`.
  """
  if noise.kind == "none":
    return batch
  fails = failing(noise, seed, batch)
  streams, present = dict(batch.streams), dict(batch.present)
  for name, failed in fails.items():
    stream = streams[name]
    if noise.kind == "dropped":
      streams[name] = _drop(stream, ~failed)
      present[name] = present[name] & ~failed
    elif noise.kind == "swapped":
      other = _of_another(seed, name, batch, others)
      streams[name] = faults.choose(failed, other, stream)
      present[name] = streams[name].mask.any(axis=1)
    elif noise.kind == "gaussian":
      white = _white_noise(seed, name, batch.row, stream)
      streams[name] = _add_noise(stream, failed, white, noise.snr)
    else:
      broken = _break(noise, seed, name, batch.row, stream)
      streams[name] = faults.choose(failed, broken, stream)
  return batch.replace(streams=streams, present=present)


def changed(
  before: schema.Batch, after: schema.Batch
) -> dict[str, Bool[Array, " b"]]:
  """Tells of which modalities noise or a fault has left anything changed.

  Args:
    before: A batch.
    after: The same after `corrupt`.
  """
  different = {}
  for name, stream in before.streams.items():
    other = after.streams[name]
    values = (stream.features != other.features).any(axis=(1, 2))
    different[name] = values | (stream.mask != other.mask).any(axis=1)
  return different


def harmed(
  noise: Noise,
  seed: Int[Array, ""],
  before: schema.Batch,
  after: schema.Batch,
) -> dict[str, Bool[Array, " b"]]:
  """Tells which modalities fail: a fault may leave one that it is on as it was.

  Args:
    noise: The noise.
    seed: The seed of the run.
    before: A normalised batch with row numbers.
    after: The same after `corrupt`.
  """
  if noise.kind == "none":
    return {name: jnp.zeros_like(each) for name, each in before.present.items()}
  drawn, different = failing(noise, seed, before), changed(before, after)
  return {name: drawn[name] & different[name] for name in drawn}


def _break(
  noise: Noise,
  seed: Int[Array, ""],
  name: str,
  rows: Int[Array, " b"],
  stream: schema.Stream,
) -> schema.Stream:
  """Puts a fault of `STRENGTHS` on every row of a modality."""
  if noise.kind in faults.BY_FEATURES:
    return faults.BY_FEATURES[noise.kind](stream, noise.strength)
  steps = stream.mask.shape[1]
  order = jax.vmap(
    lambda row: jax.random.uniform(_key(seed, f"gaps {name}", row), (steps,))
  )(rows)
  return faults.drop_frames(stream, noise.strength, order)


def _of_another(
  seed: Int[Array, ""], name: str, batch: schema.Batch, others: Others
) -> schema.Stream:
  """Draws, for each row, the modality of another utterance, or its lack."""
  ahead = jax.vmap(
    lambda row: jax.random.randint(
      _key(seed, f"swapped {name}", row), (), 1, max(others.count, 2)
    )
  )(batch.row)
  return others.take((batch.row + ahead) % others.count).streams[name]


def _drop(stream: schema.Stream, kept: Bool[Array, " b"]) -> schema.Stream:
  """Makes a modality absent from the rows that are not kept."""
  features = jnp.where(kept[:, None, None], stream.features, 0.0)
  return schema.Stream(features, stream.mask & kept[:, None])


def _white_noise(
  seed: Int[Array, ""],
  name: str,
  rows: Int[Array, " b"],
  stream: schema.Stream,
) -> Float[Array, "b t d"]:
  """Draws noise of power 1 by the number of the row."""
  shape = stream.features.shape[1:]
  return jax.vmap(
    lambda row: jax.random.normal(_key(seed, f"noise {name}", row), shape)
  )(rows)


def _add_noise(
  stream: schema.Stream,
  failed: Bool[Array, " b"],
  white: Float[Array, "b t d"],
  snr: float,
) -> schema.Stream:
  """Adds noise to the real frames of the rows that fail."""
  power = jnp.square(stream.features).sum(axis=(1, 2))
  count = jnp.maximum(stream.mask.sum(axis=1), 1) * stream.features.shape[2]
  level = jnp.sqrt(power / count.astype(power.dtype) / snr)
  usual = jnp.isfinite(power) & (power > 1e-30)
  level = jnp.where(usual, level, _extreme_level(stream.features, count, snr))
  where = stream.mask[..., None] & failed[:, None, None]
  added = jnp.where(where, white * level[:, None, None], 0.0)
  return stream.replace(features=stream.features + added)


def _extreme_level(
  features: Float[Array, "b t d"], count: Int[Array, " b"], snr: float
) -> Float[Array, " b"]:
  """Computes the level of noise for features whose squares are no float32."""
  flat = features.reshape(len(features), -1)
  exponent = scaling.extreme_exponent(flat, axis=1)
  power = jnp.square(scaling.scale(flat, -exponent)).sum(axis=1)
  level = jnp.sqrt(power / count.astype(power.dtype) / snr)
  return scaling.scale(level, exponent[:, 0])


def _key(seed: Array, stream: str, row: Array) -> Array:
  """Makes the key of one random stream for one row."""
  number = zlib.crc32(stream.encode()) & 0x7FFFFFFF
  root = jax.random.fold_in(jax.random.key(seed), number)
  return jax.random.fold_in(root, row)
