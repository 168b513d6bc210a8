"""Proxies: features for a modality, made from the others of the utterance."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmer_jax.core import cca, least_squares, scaling
from mmer_jax.data import schema
from mmer_jax.robustness import check
from mmer_jax.robustness import settings as settings_lib


def neighbour_proxies(
  settings: settings_lib.RepairSettings,
  fitted: settings_lib.FittedRepair,
  checked: schema.Batch,
  lookup: Any,
) -> dict[str, Float[Array, "b t d"]]:
  """Makes proxies of every modality from nearest neighbours.

  Source: Mittal et al. 2020, section 3.4.
  Deviation: vectors are relative to their training means; distances and the
    a_i are of principal components.
  """
  names = sorted(checked.streams)
  parts: dict[str, list[Array]] = {name: [] for name in names}
  weight: dict[str, list[Array]] = {name: [] for name in names}
  count = fitted.bank.shape[0]
  pairs = list(itertools.permutations(names, 2))
  indices, problems = [], []
  for source, target in pairs:
    query = cca.reduce(
      check.reduction_of(fitted, source),
      check.flatten_frames(checked.streams[source]),
    )
    index, valid = cca.nearest(
      fitted.reduced[source],
      fitted.there[source] & fitted.there[target],
      query,
      neighbours=min(settings.neighbours, count),
    )
    near = jnp.take(fitted.reduced[source], index, axis=0)
    indices.append(index)
    problems.append((near, valid, query))
  amounts = jnp.split(_coefficients(problems), len(pairs)) if pairs else []
  for (source, target), index, amount in zip(
    pairs, indices, amounts, strict=True
  ):
    paired = lookup(jnp.take(fitted.bank, index, axis=0)).streams[target]
    shape = paired.features.shape[-2:]
    flat = paired.features.reshape(*index.shape, -1)
    away = flat - fitted.mean[target][None, None, :]
    made = jnp.einsum("bk,bkf->bf", amount, away)
    made = made + fitted.mean[target][None, :]
    parts[target].append(made.reshape(-1, *shape))
    weight[target].append(checked.present[source])
  return {name: average_proxies(parts[name], weight[name]) for name in names}


def _coefficients(
  problems: Sequence[tuple[Array, Array, Array]],
) -> Float[Array, "n k"]:
  """Solves `least_squares.coefficients` of all problems, one after another.

  On a CPU an eigendecomposition waits on a thread of XLA's pool for others of
  that pool: two at once stopped a machine of two cores for good.
  """
  width = max(query.shape[-1] for _, _, query in problems)

  def widen(x: Array) -> Array:
    more = [(0, 0)] * (x.ndim - 1) + [(0, width - x.shape[-1])]
    return jnp.pad(x, more)

  near, valid, query = zip(*problems, strict=True)
  return least_squares.coefficients(
    jnp.concatenate([widen(each) for each in near]),
    jnp.concatenate(valid),
    jnp.concatenate([widen(each) for each in query]),
  )


def linear_proxies(
  fitted: settings_lib.FittedRepair, checked: schema.Batch
) -> dict[str, Float[Array, "b t d"]]:
  """Makes proxies of every modality by linear maps of the others' frames.

  Source: Mittal et al. 2020, section 3.4, p_i = T f_i.
  Deviation: T is fitted on all training rows at once, and maps a frame and the
    mean of all to the frame at the same part of the sequence.
  """
  names = sorted(checked.streams)
  proxies = {}
  for target in names:
    sources = [name for name in names if name != target]
    steps = checked.streams[target].mask.shape[1]
    parts = [
      jnp.matmul(
        _predictors(checked.streams[source], steps),
        fitted.linear[f"{source}|{target}"],
      )
      for source in sources
    ]
    weight = [checked.present[source] for source in sources]
    proxies[target] = average_proxies(parts, weight)
  return proxies


def average_proxies(
  parts: list[Array], weight: list[Array]
) -> Float[Array, "b t d"]:
  """Averages proxies over the modalities that are effective."""
  values, effective = jnp.stack(parts), jnp.stack(weight)
  total = jnp.where(effective[:, :, None, None], values, 0.0).sum(axis=0)
  count = jnp.maximum(effective.sum(axis=0), 1).astype(total.dtype)
  return total / count[:, None, None]


def frame_overlap(to: int, steps: int) -> np.ndarray:
  """Tells which of `to` steps overlap which of `steps` in time, (to, steps)."""
  begin, end = np.arange(to) * steps, (np.arange(to) + 1) * steps
  first, last = np.arange(steps) * to, (np.arange(steps) + 1) * to
  return (begin[:, None] < last[None, :]) & (first[None, :] < end[:, None])


def proxy_mask(batch: schema.Batch, target: str) -> Bool[Array, "b t"]:
  """Tells at which steps of a modality another one has a real frame."""
  steps = batch.streams[target].mask.shape[1]
  real = jnp.zeros(batch.streams[target].mask.shape, bool)
  for name, stream in batch.streams.items():
    if name != target:
      share = jnp.asarray(
        frame_overlap(steps, stream.mask.shape[1]), jnp.float32
      )
      near = jnp.matmul(stream.mask.astype(jnp.float32), share.T)
      real = real | (near > 0)
  return real


def _predictors(stream: schema.Stream, steps: int) -> Float[Array, "b s p"]:
  """Joins, for each of `steps`, the frames at that time, their mean, and 1."""
  share = frame_overlap(steps, stream.mask.shape[1])
  mask = stream.mask.astype(stream.features.dtype)
  frames = jnp.where(stream.mask[..., None], stream.features, 0.0)
  here = jnp.einsum("st,btd->bsd", jnp.asarray(share, frames.dtype), frames)
  count = jnp.matmul(mask, jnp.asarray(share.T, frames.dtype))
  here = here / jnp.maximum(count, 1.0)[..., None]
  mean = frames.sum(axis=1) / jnp.maximum(mask.sum(axis=1), 1.0)[:, None]
  mean = jnp.broadcast_to(mean[:, None, :], here.shape)
  ones = jnp.ones((*here.shape[:2], 1), here.dtype)
  return jnp.concatenate([here, mean, ones], axis=-1)


def fit_linear_map(
  settings: settings_lib.RepairSettings,
  source: schema.Stream,
  target: schema.Stream,
) -> Array:
  """Fits the linear map on all rows that have both modalities, in blocks."""
  source, of_source = _scaled(source)
  target, of_target = _scaled(target)
  total: Any = None
  for start in range(0, len(source.mask), settings_lib.BLOCK_ROWS):
    at = slice(start, start + settings_lib.BLOCK_ROWS)
    part = _products(*jax.tree.map(lambda x, at=at: x[at], (source, target)))
    total = part if total is None else jax.tree.map(jnp.add, total, part)
  linear = _map(*total, ridge=settings.ridge)
  # The last of the predictors is 1, and was not scaled.
  powers = of_target - jnp.full(len(linear), of_source).at[-1].set(0)
  return scaling.scale(linear, powers[:, None])


def _scaled(stream: schema.Stream) -> tuple[schema.Stream, Int[Array, ""]]:
  """Divides features by a power of two, where their squares are no float32."""
  features = jnp.where(stream.mask[..., None], stream.features, 0.0)
  power = scaling.extreme_exponent(features)
  return stream.replace(features=scaling.scale(features, -power)), power


def _sums(source: schema.Stream, target: schema.Stream) -> tuple[Array, Array]:
  """Computes the X'X and X'Y of a block, for `least_squares.regress`."""
  x = _predictors(source, target.mask.shape[1])
  real = target.mask & source.mask.any(axis=1, keepdims=True)
  x = jnp.where(real[..., None], x, 0.0)
  y = jnp.where(real[..., None], target.features, 0.0)
  return jnp.einsum("bsp,bsq->pq", x, x), jnp.einsum("bsp,bsd->pd", x, y)


_products = jax.jit(_sums)
_map = jax.jit(least_squares.regress, static_argnames="ridge")
