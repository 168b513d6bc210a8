"""The modality check and the proxies, in front of any system.

Both are fitted on the training rows of each run as they are without noise, and
applied to a batch before the system sees it. The check makes a modality that
does not fit the others absent; a proxy puts features in the place of one that
is absent or was made so.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmer_jax import errors
from mmer_jax.core import canonical
from mmer_jax.data import noise as noise_lib
from mmer_jax.data import pipeline, schema

METHODS = ("none", "check", "proxy")
SCORES = ("pearson", "likelihood")
PROXIES = ("knn", "linear")

# Rows that are fitted on or scored at a time.
_BLOCK = 1024


class Settings(NamedTuple):
  """`config.repair`.

  Attributes:
    training: What is done to the rows that are trained on: `none`; `check`,
      ineffectual modalities are made absent; `proxy`, and are regenerated
      then, as are those that were absent.
    inference: Likewise, of all other rows.
    score: `pearson` or `likelihood`, see `core.canonical`.
    tau_from: `validation`, or `config` for `tau`.
    tau: Of Eq. 1.
    proxy: `knn` or `linear`.
    components: Of the reduction and of the canonical correlations.
    ridge: Of the covariances and of the linear map, relative.
    neighbours: Of `knn`.
  """

  training: str
  inference: str
  score: str
  tau_from: str
  tau: float
  proxy: str
  components: int
  ridge: float
  neighbours: int

  @classmethod
  def from_config(cls, config: ml_collections.ConfigDict) -> "Settings":
    """Reads and checks `config.repair`.

    Raises:
      UserError: A value is out of its range.
    """
    settings = cls(**{key: config.repair[key] for key in cls._fields})
    for key, expected in (
      ("training", METHODS),
      ("inference", METHODS),
      ("score", SCORES),
      ("proxy", PROXIES),
      ("tau_from", ("validation", "config")),
    ):
      value = getattr(settings, key)
      if value not in expected:
        raise errors.UserError(
          f"config.repair.{key} is {value!r}, expected one of"
          f" {', '.join(expected)}"
        )
    for key in ("components", "neighbours"):
      if getattr(settings, key) < 1:
        raise errors.UserError(
          f"config.repair.{key} is {getattr(settings, key)}, expected at least"
          " 1"
        )
    if not settings.ridge >= 0:
      raise errors.UserError(
        f"config.repair.ridge is {settings.ridge}, expected at least 0"
      )
    if not settings.used:
      return settings
    if len(config.data.modalities) < 2:
      raise errors.UserError(
        "config.repair compares modalities with each other, got"
        f" {config.data.modalities} alone; set config.repair.training and"
        ' config.repair.inference to "none"'
      )
    if settings.proxy == "knn" and not config.data.resident:
      raise errors.UserError(
        'config.repair.proxy="knn" reads the training rows on the device, but'
        ' config.data.resident is False; set config.repair.proxy="linear"'
      )
    return settings

  @property
  def used(self) -> bool:
    """Whether anything is done at all."""
    return self.training != "none" or self.inference != "none"


@flax.struct.dataclass
class Fitted:
  """What was learnt of the training rows.

  Pairs are named `first|second`. Flat features are those of all steps of an
  utterance in turn, zeros at padding.

  Attributes:
    mean: Modality name to the mean of its flat features.
    basis: Modality name to their principal components.
    first: Pair, in alphabetical order, to the map of its first modality.
    second: To that of its second.
    correlations: To those of the mapped components.
    tau: The threshold of Eq. 1.
    linear: Pair, in both orders, to the linear map from the first modality to
      a frame of the second: see `_predictors`.
    bank: Numbers of the training rows, `pipeline.FILLER` beyond them. It and
      the next two are of `knn` alone, and may be missing for `linear`.
    reduced: Modality name to the components of the rows of the bank.
    there: Modality name to whether they have it.
  """

  mean: dict[str, Float[Array, "*r f"]]
  basis: dict[str, Float[Array, "*r f p"]]
  first: dict[str, Float[Array, "*r p c"]]
  second: dict[str, Float[Array, "*r q c"]]
  correlations: dict[str, Float[Array, "*r c"]]
  tau: Float[Array, "*r"]
  linear: dict[str, Float[Array, "*r p d"]]
  bank: Int[Array, "*r n"] | None
  reduced: dict[str, Float[Array, "*r n p"]]
  there: dict[str, Bool[Array, "*r n"]]


class Outcome(NamedTuple):
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
  settings: Settings,
  method: str,
  fitted: Fitted,
  batch: schema.Batch,
  lookup: Any = None,
) -> Outcome:
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
    return Outcome(batch, dict(batch.present), nothing, ~anything)
  scored = scores(settings, fitted, batch)
  fits = canonical.effective(scored, batch.present, fitted.tau)
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
    return Outcome(checked, fits, nothing, none_effective)
  wanted = {
    name: ~fits[name] & ~none_effective & batch.example_mask for name in names
  }
  if settings.proxy == "knn":
    found = _knn(settings, fitted, checked, lookup)
  else:
    found = _linear(fitted, checked)
  present = {}
  for name in names:
    own = batch.streams[name].mask
    mask = jnp.where(own.any(axis=1)[:, None], own, _mask(checked, name))
    mask = mask & wanted[name][:, None]
    features = jnp.where(mask[..., None], found[name], streams[name].features)
    streams[name] = schema.Stream(features, streams[name].mask | mask)
    present[name] = streams[name].mask.any(axis=1)
  proxied = {name: present[name] & wanted[name] for name in names}
  done = batch.replace(streams=streams, present=present)
  return Outcome(done, fits, proxied, none_effective)


def scores(
  settings: Settings, fitted: Fitted, batch: schema.Batch
) -> dict[tuple[str, str], Float[Array, " b"]]:
  """How well each modality fits each other one, of both orders."""
  names = sorted(batch.streams)
  reduced = {
    name: canonical.reduce(_reduction(fitted, name), _flat(batch.streams[name]))
    for name in names
  }
  found = {}
  for a, b in itertools.combinations(names, 2):
    pair = f"{a}|{b}"
    x = jnp.matmul(reduced[a], fitted.first[pair])
    y = jnp.matmul(reduced[b], fitted.second[pair])
    if settings.score == "pearson":
      found[a, b] = found[b, a] = canonical.pearson(x, y)
    else:
      rho = fitted.correlations[pair]
      found[a, b] = canonical.likelihood(x, y, rho)
      found[b, a] = canonical.likelihood(y, x, rho)
  return found


def fit(
  settings: Settings,
  table: pipeline.Table,
  *,
  train: np.ndarray,
  validation: np.ndarray,
  width: int,
  mean: dict[str, np.ndarray],
  scale: dict[str, np.ndarray],
  keep: dict[str, np.ndarray],
  noise: noise_lib.Noise,
  seed: int,
) -> Fitted:
  """Fits check and proxies on the training rows of one run.

  tau is the threshold with the best balanced accuracy in telling the modalities
  that fail from the others, on the validation rows under noise.

  Args:
    settings: How.
    table: The features.
    train: The run's training rows.
    validation: Its validation rows.
    width: Rows of the bank, as many as the longest run needs.
    mean: Of the run's normalisation.
    scale: Likewise.
    keep: The modalities that the run sees; empty for all.
    noise: What tau is chosen under; of no noise, white noise is taken.
    seed: The run's.

  Returns:
    Arrays without the runs axis.
  """
  rows = np.full(width, pipeline.FILLER, np.int32)
  rows[: len(train)] = train

  def take(rows: np.ndarray) -> schema.Batch:
    batch = pipeline.normalise(table.take(rows), mean, scale)
    return pipeline.keep_modalities(batch, keep)

  fitted = _fit(settings, take(rows), rows)
  if settings.tau_from == "config":
    return fitted.replace(tau=np.float32(settings.tau))
  if noise.kind != "gaussian":
    noise = noise._replace(kind="gaussian")
  best, fails = [], []
  for part in pipeline.in_batches(validation, _BLOCK):
    found = _scored(settings, noise, fitted, take(part), seed)
    values, failed, there = jax.device_get(found)
    best.append(values[there])
    fails.append(failed[there])
  tau = threshold(np.concatenate(best), np.concatenate(fails))
  return fitted.replace(tau=np.float32(tau))


def threshold(best: np.ndarray, fails: np.ndarray) -> float:
  """The score from which a modality is best taken for effective.

  Args:
    best: The best score of each modality of each row, beside another one.
    fails: Whether it is one that fails.

  Returns:
    Of equally good ones the lowest; -inf where nothing fails.
  """
  order = np.argsort(best, kind="stable")
  best, fails = best[order], fails[order]
  if not fails.any() or fails.all():
    return -np.inf
  # With the threshold at best[i], what is before i is found ineffectual.
  caught = np.concatenate([[0], np.cumsum(fails)]) / fails.sum()
  lost = np.concatenate([[0], np.cumsum(~fails)]) / (~fails).sum()
  edges = np.concatenate([[-np.inf], best[1:], [np.inf]])
  allowed = np.concatenate([[True], best[1:] > best[:-1], [True]])
  return float(edges[np.argmax(np.where(allowed, caught - lost, -np.inf))])


def _fit(settings: Settings, batch: schema.Batch, rows: np.ndarray) -> Fitted:
  names = sorted(batch.streams)
  # The arrays are numbers to be kept, and placed on the mesh by the caller.
  mean, basis, reduced, there = {}, {}, {}, {}
  for name in names:
    flat = _flat(batch.streams[name])
    there[name] = np.asarray(batch.present[name])
    found = _principal(flat, there[name], settings.components)
    mean[name], basis[name] = found.mean, found.basis
    reduced[name] = canonical.reduce(found, flat)
  first, second, correlations, linear = {}, {}, {}, {}
  for a, b in itertools.combinations(names, 2):
    maps = _maps(
      reduced[a],
      reduced[b],
      there[a] & there[b],
      ridge=settings.ridge,
      components=settings.components,
    )
    pair = f"{a}|{b}"
    first[pair], second[pair], correlations[pair] = maps
  for a, b in itertools.permutations(names, 2):
    linear[f"{a}|{b}"] = _regress(settings, batch.streams[a], batch.streams[b])
  fitted = Fitted(
    mean=mean,
    basis=basis,
    first=first,
    second=second,
    correlations=correlations,
    tau=np.float32(0),
    linear=linear,
    bank=rows,
    reduced=reduced,
    there=there,
  )
  return jax.tree.map(np.asarray, fitted)


def _best(
  settings: Settings,
  noise: noise_lib.Noise,
  fitted: Fitted,
  batch: schema.Batch,
  seed: Array,
) -> tuple[Array, Array, Array]:
  """Of every row and modality: best score, whether it fails, if it counts."""
  fails = noise_lib.failing(noise, seed, batch)
  noisy = noise_lib.corrupt(noise, seed, batch)
  scored = scores(settings, fitted, noisy)
  names = sorted(batch.streams)
  best = jnp.stack(
    [canonical.best_score(name, scored, noisy.present) for name in names]
  )
  failed = jnp.stack([fails[name] for name in names])
  return best, failed, jnp.isfinite(best)


def _flat(stream: schema.Stream) -> Float[Array, "b f"]:
  features = jnp.where(stream.mask[..., None], stream.features, 0.0)
  return features.reshape(features.shape[0], -1)


def _reduction(fitted: Fitted, name: str) -> canonical.Reduction:
  basis = fitted.basis[name]
  return canonical.Reduction(
    fitted.mean[name], basis, jnp.zeros(basis.shape[-1])
  )


def _knn(
  settings: Settings, fitted: Fitted, checked: schema.Batch, lookup: Any
) -> dict[str, Float[Array, "b t d"]]:
  """Proxies of every modality, from nearest neighbours.

  Source: Mittal et al. 2020, section 3.4.
  Deviation: vectors are relative to their training means; distances and the
    a_i are of principal components.
  """
  names = sorted(checked.streams)
  parts: dict[str, list[Array]] = {name: [] for name in names}
  weight: dict[str, list[Array]] = {name: [] for name in names}
  count = fitted.bank.shape[0]
  pairs, found, problems = list(itertools.permutations(names, 2)), [], []
  for source, target in pairs:
    query = canonical.reduce(
      _reduction(fitted, source), _flat(checked.streams[source])
    )
    index, valid = canonical.nearest(
      fitted.reduced[source],
      fitted.there[source] & fitted.there[target],
      query,
      neighbours=min(settings.neighbours, count),
    )
    near = jnp.take(fitted.reduced[source], index, axis=0)
    found.append(index)
    problems.append((near, valid, query))
  amounts = jnp.split(_coefficients(problems), len(pairs)) if pairs else []
  for (source, target), index, amount in zip(
    pairs, found, amounts, strict=True
  ):
    paired = lookup(jnp.take(fitted.bank, index, axis=0)).streams[target]
    shape = paired.features.shape[-2:]
    flat = paired.features.reshape(*index.shape, -1)
    away = flat - fitted.mean[target][None, None, :]
    made = jnp.einsum("bk,bkf->bf", amount, away)
    made = made + fitted.mean[target][None, :]
    parts[target].append(made.reshape(-1, *shape))
    weight[target].append(checked.present[source])
  return {name: _mean(parts[name], weight[name]) for name in names}


def _coefficients(
  problems: Sequence[tuple[Array, Array, Array]],
) -> Float[Array, "n k"]:
  """`canonical.coefficients` of all problems together, one after another.

  On a CPU an eigendecomposition waits on a thread of XLA's pool for others of
  that pool: two at once stopped a machine of two cores for good.
  """
  width = max(query.shape[-1] for _, _, query in problems)

  def widen(x: Array) -> Array:
    more = [(0, 0)] * (x.ndim - 1) + [(0, width - x.shape[-1])]
    return jnp.pad(x, more)

  near, valid, query = zip(*problems, strict=True)
  return canonical.coefficients(
    jnp.concatenate([widen(each) for each in near]),
    jnp.concatenate(valid),
    jnp.concatenate([widen(each) for each in query]),
  )


def _linear(
  fitted: Fitted, checked: schema.Batch
) -> dict[str, Float[Array, "b t d"]]:
  """Proxies of every modality, from one linear map of each other's frames.

  Source: Mittal et al. 2020, section 3.4, p_i = T f_i.
  Deviation: T is fitted on all training rows at once, and maps a frame and the
    mean of all to the frame at the same part of the sequence.
  """
  names = sorted(checked.streams)
  found = {}
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
    found[target] = _mean(parts, weight)
  return found


def _mean(parts: list[Array], weight: list[Array]) -> Float[Array, "b t d"]:
  """Over the modalities that are effective."""
  values, there = jnp.stack(parts), jnp.stack(weight)
  total = jnp.where(there[:, :, None, None], values, 0.0).sum(axis=0)
  count = jnp.maximum(there.sum(axis=0), 1).astype(total.dtype)
  return total / count[:, None, None]


def _overlap(to: int, steps: int) -> np.ndarray:
  """(to, steps) bool: which steps share a part of the sequence with which."""
  begin, end = np.arange(to) * steps, (np.arange(to) + 1) * steps
  first, last = np.arange(steps) * to, (np.arange(steps) + 1) * to
  return (begin[:, None] < last[None, :]) & (first[None, :] < end[:, None])


def _mask(batch: schema.Batch, target: str) -> Bool[Array, "b t"]:
  """The steps of a modality at which another one has a real frame."""
  steps = batch.streams[target].mask.shape[1]
  real = jnp.zeros(batch.streams[target].mask.shape, bool)
  for name, stream in batch.streams.items():
    if name != target:
      share = jnp.asarray(_overlap(steps, stream.mask.shape[1]), jnp.float32)
      near = jnp.matmul(stream.mask.astype(jnp.float32), share.T)
      real = real | (near > 0)
  return real


def _predictors(stream: schema.Stream, steps: int) -> Float[Array, "b s p"]:
  """For each of `steps`: the frames at that part, the mean of all, and 1."""
  share = _overlap(steps, stream.mask.shape[1])
  mask = stream.mask.astype(stream.features.dtype)
  frames = jnp.where(stream.mask[..., None], stream.features, 0.0)
  here = jnp.einsum("st,btd->bsd", jnp.asarray(share, frames.dtype), frames)
  count = jnp.matmul(mask, jnp.asarray(share.T, frames.dtype))
  here = here / jnp.maximum(count, 1.0)[..., None]
  mean = frames.sum(axis=1) / jnp.maximum(mask.sum(axis=1), 1.0)[:, None]
  mean = jnp.broadcast_to(mean[:, None, :], here.shape)
  ones = jnp.ones((*here.shape[:2], 1), here.dtype)
  return jnp.concatenate([here, mean, ones], axis=-1)


def _regress(
  settings: Settings, source: schema.Stream, target: schema.Stream
) -> Array:
  """The linear map of all rows that have both, a block of them at a time."""
  total: Any = None
  for start in range(0, len(source.mask), _BLOCK):
    at = slice(start, start + _BLOCK)
    part = _products(*jax.tree.map(lambda x, at=at: x[at], (source, target)))
    total = part if total is None else jax.tree.map(jnp.add, total, part)
  return _map(*total, ridge=settings.ridge)


def _sums(source: schema.Stream, target: schema.Stream) -> tuple[Array, Array]:
  """X'X and X'Y of `_regress`, of a block."""
  x = _predictors(source, target.mask.shape[1])
  real = target.mask & source.mask.any(axis=1, keepdims=True)
  x = jnp.where(real[..., None], x, 0.0)
  y = jnp.where(real[..., None], target.features, 0.0)
  return jnp.einsum("bsp,bsq->pq", x, x), jnp.einsum("bsp,bsd->pd", x, y)


# Compiled once for all runs.
_principal = jax.jit(canonical.principal, static_argnums=2)
_maps = jax.jit(canonical.fit, static_argnames=("ridge", "components"))
_scored = jax.jit(_best, static_argnums=(0, 1))
_products = jax.jit(_sums)
_map = jax.jit(canonical.regress, static_argnames="ridge")
