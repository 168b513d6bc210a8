"""Faults of a sensor or of a transmission: what they make of a modality.

Each takes a modality of a batch and `strength`, from 0 to 1, and changes real
frames alone. A fault may leave an utterance as it was: of a stream of one frame
neither a stuck sensor nor a shift is seen.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmer_jax.data import schema


def stick(stream: schema.Stream, strength: float) -> schema.Stream:
  """Repeats one frame to the end, as a sensor that is stuck does.

  Args:
    stream: Frames.
    strength: Share of the real frames that are lost, the last ones; at 1 the
      first frame is left alone.
  """
  rank, count = _ranks(stream.mask)
  lost = jnp.round(strength * count).astype(count.dtype)
  last = jnp.maximum(count - lost - 1, 0)
  return _reorder(stream, jnp.minimum(rank, last[:, None]))


def shift(stream: schema.Stream, strength: float) -> schema.Stream:
  """Delays a modality against the others; its end comes in at the beginning.

  Args:
    stream: Frames.
    strength: Share of the length by which frames come later.
  """
  rank, count = _ranks(stream.mask)
  later = jnp.round(strength * count).astype(count.dtype)
  around = jnp.maximum(count, 1)[:, None]
  return _reorder(stream, (rank - later[:, None]) % around)


def clip(stream: schema.Stream, strength: float) -> schema.Stream:
  """Cuts values off, as a microphone or a camera at its limit does.

  Args:
    stream: Frames.
    strength: s, for a limit at (1 - s) / s of the root mean square that the
      values of the utterance have: at 0 nothing is cut, at 1 nothing is left.
  """
  real = jnp.where(stream.mask[..., None], stream.features, 0.0)
  # Any scale: squares may be no float32.
  largest = jnp.abs(real).max(axis=(1, 2), keepdims=True)
  unit = jnp.where(largest > 0, real / jnp.where(largest > 0, largest, 1), 0.0)
  count = jnp.maximum(stream.mask.sum(axis=1), 1) * real.shape[2]
  mean = jnp.square(unit).sum(axis=(1, 2)) / count.astype(real.dtype)
  limit = jnp.sqrt(mean) * (1 - strength) / max(strength, 1e-9)
  cut = jnp.minimum(limit, 1.0)[:, None, None] * largest
  return stream.replace(features=jnp.clip(stream.features, -cut, cut))


def drop_frames(
  stream: schema.Stream, strength: float, order: Float[Array, "b t"]
) -> schema.Stream:
  """Puts zeros in the place of some frames, which nobody tells of.

  Args:
    stream: Frames; they stay real.
    strength: Share of the real frames that are lost.
    order: A number from 0 to 1 for each frame: the least are lost.
  """
  _, count = _ranks(stream.mask)
  lost = jnp.round(strength * count).astype(count.dtype)
  place = jnp.argsort(
    jnp.argsort(jnp.where(stream.mask, order, jnp.inf), axis=1), axis=1
  )
  gone = stream.mask & (place < lost[:, None])
  return stream.replace(
    features=jnp.where(gone[..., None], 0.0, stream.features)
  )


def choose(
  failed: Bool[Array, " b"], broken: schema.Stream, whole: schema.Stream
) -> schema.Stream:
  """Takes the broken stream for the rows that fail, the whole one for others.

  Args:
    failed: The rows that fail.
    broken: The stream with a fault on every row.
    whole: The stream without.
  """
  return schema.Stream(
    jnp.where(failed[:, None, None], broken.features, whole.features),
    jnp.where(failed[:, None], broken.mask, whole.mask),
  )


def _ranks(
  mask: Bool[Array, "b t"],
) -> tuple[Int[Array, "b t"], Int[Array, " b"]]:
  """Numbers the real frames of each row from 0, and counts them."""
  return jnp.cumsum(mask, axis=1) - 1, mask.sum(axis=1)


def _reorder(stream: schema.Stream, wanted: Int[Array, "b t"]) -> schema.Stream:
  """Puts, at each real step, the real frame of a number."""
  places = jnp.argsort(~stream.mask, axis=1, stable=True)
  at = jnp.take_along_axis(places, jnp.maximum(wanted, 0), axis=1)
  moved = jnp.take_along_axis(stream.features, at[..., None], axis=1)
  return stream.replace(
    features=jnp.where(stream.mask[..., None], moved, stream.features)
  )


# Kind of `config.noise` to the fault that depends on the features alone.
BY_FEATURES: dict[str, Callable[[schema.Stream, float], schema.Stream]] = {
  "stuck": stick,
  "clipped": clip,
  "shifted": shift,
}
