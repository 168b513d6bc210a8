"""Applies the modality check and the proxies to a batch, for any system.

Both are fitted on the training rows of each run as they are without noise, and
applied to a batch before the system sees it. The check makes a modality that
does not fit the others absent; a proxy puts features in the place of one that
is absent or was made so.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmer_jax.core import cca
from mmer_jax.data import schema
from mmer_jax.robustness import check, proxies
from mmer_jax.robustness import settings as settings_lib


class RepairedBatch(NamedTuple):
  """Holds a batch after the check and the proxies.

  Attributes:
    batch: What the system sees.
    effective: Modality name to whether it is present and fits another one.
    proxied: Modality name to whether it was regenerated.
    none_effective: Rows of which no modality is effective: the system sees
      zeros of them.
  """

  batch: schema.Batch
  effective: dict[str, Bool[Array, " b"]]
  proxied: dict[str, Bool[Array, " b"]]
  none_effective: Bool[Array, " b"]


def apply(
  settings: settings_lib.RepairSettings,
  method: str,
  fitted: settings_lib.FittedRepair,
  batch: schema.Batch,
  lookup: Any = None,
) -> RepairedBatch:
  """Checks a batch and, with `proxy`, regenerates what fails the check.

  Source: Mittal et al. 2020, sections 3.3 and 3.4.
  Deviation: a proxy is of a whole sequence. One of a modality that is there
    keeps its mask, one of an absent modality has the mask of what it is made
    of: a step is real where an effective modality is, in proportion to the
    lengths.

  Args:
    settings: The settings of check and proxies.
    method: `none`, `check` or `proxy`.
    fitted: What was fitted for the run.
    batch: A normalised batch.
    lookup: Row numbers, of any shape, to a normalised batch of them; needed by
      `knn`.

  Returns:
    The batch, and what was done to it.
  """
  names = sorted(batch.streams)
  nothing = {name: jnp.zeros_like(batch.present[name]) for name in names}
  if method == "none":
    anything = jnp.stack([batch.present[name] for name in names]).any(axis=0)
    return RepairedBatch(batch, dict(batch.present), nothing, ~anything)
  scored = check.scores(settings, fitted, batch)
  fits = cca.effective(scored, batch.present, fitted.tau)
  none_effective = ~jnp.stack([fits[name] for name in names]).any(axis=0)
  checked = _without_ineffectual(batch, fits)
  if method == "check":
    return RepairedBatch(checked, fits, nothing, none_effective)
  wanted = {
    name: ~fits[name] & ~none_effective & batch.example_mask for name in names
  }
  if settings.proxy == "knn":
    made = proxies.neighbour_proxies(settings, fitted, checked, lookup)
  else:
    made = proxies.linear_proxies(fitted, checked)
  done, proxied = _with_proxies(batch, checked, made, wanted)
  return RepairedBatch(done, fits, proxied, none_effective)


def _without_ineffectual(
  batch: schema.Batch, fits: dict[str, Bool[Array, " b"]]
) -> schema.Batch:
  """Makes the modalities absent that do not fit the others."""
  streams = {}
  for name, stream in batch.streams.items():
    mask = stream.mask & fits[name][:, None]
    features = jnp.where(mask[..., None], stream.features, 0.0)
    streams[name] = schema.Stream(features, mask)
  return batch.replace(streams=streams, present=fits)


def _with_proxies(
  batch: schema.Batch,
  checked: schema.Batch,
  made: dict[str, Float[Array, "b t d"]],
  wanted: dict[str, Bool[Array, " b"]],
) -> tuple[schema.Batch, dict[str, Bool[Array, " b"]]]:
  """Puts proxies in the place of modalities; tells where it did.

  Args:
    batch: The batch before the check.
    checked: The batch after it.
    made: Modality name to its proxies.
    wanted: Modality name to the rows that are to have a proxy of it.
  """
  streams, present, proxied = {}, {}, {}
  for name, made_frames in made.items():
    own = batch.streams[name].mask
    mask = jnp.where(
      own.any(axis=1)[:, None], own, proxies.proxy_mask(checked, name)
    )
    mask = mask & wanted[name][:, None]
    kept = checked.streams[name]
    features = jnp.where(mask[..., None], made_frames, kept.features)
    streams[name] = schema.Stream(features, kept.mask | mask)
    present[name] = streams[name].mask.any(axis=1)
    proxied[name] = present[name] & wanted[name]
  return checked.replace(streams=streams, present=present), proxied
