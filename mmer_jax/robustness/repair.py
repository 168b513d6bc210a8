"""The modality check and the proxies, in front of any system.

Both are fitted on the training rows of each run as they are without noise, and
applied to a batch before the system sees it. The check makes a modality that
does not fit the others absent; a proxy puts features in the place of one that
is absent or was made so.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool

from mmer_jax.core import cca
from mmer_jax.data import schema
from mmer_jax.robustness import check, proxies
from mmer_jax.robustness import settings as settings_lib


class RepairedBatch(NamedTuple):
  """What the check and the proxies make of a batch.

  Attributes:
    batch: What the system sees.
    effective: Modality name to whether it is there and fits another one.
    proxied: Modality name to whether it was regenerated.
    none_effective: Rows whose modalities were all found ineffectual: what the
      system sees of them is zeros.
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
  """Checks a batch and, with `proxy`, regenerates what failed.

  Source: Mittal et al. 2020, sections 3.3 and 3.4.
  Deviation: a proxy is of a whole sequence. One of a modality that is there
    keeps its mask, one of an absent modality has the mask of what it is made
    of: a step is real where an effective modality is, in proportion to the
    lengths.

  Args:
    settings: How.
    method: `none`, `check` or `proxy`.
    fitted: Of one run.
    batch: Normalised.
    lookup: Rows of the bank, of any shape, to a batch of them, normalised; of
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
  streams = {}
  for name, stream in batch.streams.items():
    kept = fits[name]
    streams[name] = schema.Stream(
      jnp.where((stream.mask & kept[:, None])[..., None], stream.features, 0.0),
      stream.mask & kept[:, None],
    )
  checked = batch.replace(streams=streams, present=fits)
  if method == "check":
    return RepairedBatch(checked, fits, nothing, none_effective)
  wanted = {
    name: ~fits[name] & ~none_effective & batch.example_mask for name in names
  }
  if settings.proxy == "knn":
    found = proxies.neighbour_proxies(settings, fitted, checked, lookup)
  else:
    found = proxies.linear_proxies(fitted, checked)
  present = {}
  for name in names:
    own = batch.streams[name].mask
    mask = jnp.where(
      own.any(axis=1)[:, None], own, proxies.proxy_mask(checked, name)
    )
    mask = mask & wanted[name][:, None]
    features = jnp.where(mask[..., None], found[name], streams[name].features)
    streams[name] = schema.Stream(features, streams[name].mask | mask)
    present[name] = streams[name].mask.any(axis=1)
  proxied = {name: present[name] & wanted[name] for name in names}
  done = batch.replace(streams=streams, present=present)
  return RepairedBatch(done, fits, proxied, none_effective)
