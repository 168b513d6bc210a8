"""Computes intervals by a hierarchical bootstrap: over folds, then their runs.

Runs of one fold are scored on the same utterances, so that they are no
independent draws. A resample draws folds with replacement, then runs inside of
each drawn fold, and takes the mean of the folds' means. That is linear in the
values: the draws for a table of some shape are made once, as weights.

Source: Davison and Hinkley 1997, section 3.8 (nested data: drawn on both
levels, with the higher one shrunk, or the lower one counts twice); Hesterberg
2015 (a Student interval of the bootstrap's error, since percentiles of a
handful of draws are too narrow).
"""

import functools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from mmer_jax.evaluation import statistics

RESAMPLES = 10_000
_SEED = 20_201
# Student's quantile for two folds is 12.7: such an interval says nothing.
LEAST_FOLDS = 3
OVER_FOLDS = "folds, then runs"
OVER_DIVISIONS = "folds of one division"
OVER_RUNS = "runs, folds fixed"


def summarise(
  values: Sequence[float | None],
  folds: Sequence[Hashable],
  divisions: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
  """Computes a 95 % interval of the mean over folds.

  With fewer than three folds the runs are drawn alone: such an interval says
  how far the mean moves with other seeds, and nothing of other speakers.

  Args:
    values: The number of each run; None where it is undefined or failed.
    folds: The fold of each run.
    divisions: The seed of each run, where every seed divides the utterances
      anew: several divisions of the same utterances know no more speakers, and
      the interval is that of one. None where folds are the same for all seeds.

  Returns:
    `ci95_hierarchical`, its ends or None, and how it was made, `hierarchy`:
    `over`, what was drawn; `mean` of the folds' means; `error`, its standard
    error; `degrees` of freedom; `folds`; `runs_per_fold`, the most of one;
    `resamples`.
  """
  tables: dict[Hashable, dict[Hashable, list[float]]] = {}
  for index, (value, fold) in enumerate(zip(values, folds, strict=True)):
    if value is not None:
      division = None if divisions is None else divisions[index]
      tables.setdefault(division, {}).setdefault(fold, []).append(value)
  if not tables:
    return {"ci95_hierarchical": [None, None], "hierarchy": None}
  if len(tables) > 1 and all(
    len(table) < LEAST_FOLDS for table in tables.values()
  ):
    # Each division is one draw of who tests.
    merged: dict[Hashable, list[float]] = {}
    for table in tables.values():
      for fold, runs in table.items():
        merged.setdefault(fold, []).extend(runs)
    tables = {None: merged}
  parts = [_resample(list(table.values())) for table in tables.values()]
  return _describe(parts, divided=len(tables) > 1)


def levels(
  runs: Sequence[Mapping[str, Any]],
) -> tuple[list[Hashable], list[Hashable] | None]:
  """Finds the folds of the runs of a result, and their divisions.

  Args:
    runs: With `fold`, `seed` and, of results that say so, the digest of the
      utterances that were scored.

  Returns:
    The fold of each run, and its seed where folds of one name hold other
    utterances for other seeds: see `summarise`.
  """
  scored: dict[str, set[str]] = {}
  for run in runs:
    scored.setdefault(run["fold"], set()).add(run.get("utterances_sha256", ""))
  folds: list[Hashable] = [run["fold"] for run in runs]
  if all(len(digests) == 1 for digests in scored.values()):
    return folds, None
  return folds, [run["seed"] for run in runs]


def _resample(table: list[list[float]]) -> dict[str, Any]:
  """Resamples the runs of some folds, which are its entries."""
  counts = tuple(len(runs) for runs in table)
  over_folds = len(counts) >= LEAST_FOLDS
  degrees = len(counts) - 1 if over_folds else sum(counts) - len(counts)
  centres = np.asarray([np.mean(runs) for runs in table])
  # n draws of n deviate less than what they are drawn from, by (n - 1) / n.
  residuals = [
    (np.asarray(runs) - centre) * (len(runs) / max(len(runs) - 1, 1)) ** 0.5
    for runs, centre in zip(table, centres, strict=True)
  ]
  values = np.concatenate(residuals)
  if over_folds:
    values = values + np.repeat(_effects(centres, residuals), counts)
  error = None
  if degrees >= 2:
    error = float((weights(counts, over_folds) @ values).std())
    if len({value for runs in table for value in runs}) == 1:
      # Rounding is no spread.
      error = 0.0
  return {
    "over_folds": over_folds,
    "mean": float(np.mean(centres)),
    "error": error,
    "degrees": degrees,
    "folds": len(counts),
    "runs": max(counts),
  }


def _effects(
  centres: np.ndarray, residuals: Sequence[np.ndarray]
) -> np.ndarray:
  """Computes how folds differ beside what their runs make them differ.

  The means of folds differ by their runs too, which are drawn again inside of
  each fold: without this they would count twice.
  """
  total = centres.var(ddof=1)
  of_runs = np.mean([each.var() / len(each) for each in residuals])
  share = max(total - of_runs, 0.0) / total if total else 0.0
  folds = len(centres)
  return (centres - centres.mean()) * (share * folds / (folds - 1)) ** 0.5


def draw(
  counts: Sequence[int], over_folds: bool
) -> tuple[np.ndarray, np.ndarray]:
  """Draws folds, and runs inside of the drawn folds.

  Args:
    counts: How many runs each fold has.
    over_folds: Whether folds are drawn; if not, each is there once.

  Returns:
    (resamples, folds): the drawn folds; and (resamples, folds, widest): the
    runs that are drawn of each. Of a fold with n runs the first n count.
  """
  rng = np.random.default_rng(_SEED)
  shape = (RESAMPLES, len(counts))
  folds = np.broadcast_to(np.arange(len(counts)), shape)
  if over_folds:
    folds = rng.integers(len(counts), size=shape)
  uniform = rng.random((*shape, max(counts)))
  runs = np.floor(uniform * np.asarray(counts)[folds][..., None])
  return folds, runs.astype(np.int64)


@functools.lru_cache(maxsize=16)
def weights(counts: tuple[int, ...], over_folds: bool) -> np.ndarray:
  """Computes how much each run weighs in each resample.

  Args:
    counts: How many runs each fold has.
    over_folds: See `draw`.

  Returns:
    (resamples, runs), rows that sum to 1: times the values of the runs, fold
    after fold, they are the means of the drawn folds' means.
  """
  folds, runs = draw(counts, over_folds)
  sizes, total = np.asarray(counts), sum(counts)
  first = np.cumsum(sizes) - sizes
  size = sizes[folds][..., None]
  used = np.arange(runs.shape[-1]) < size
  place = first[folds][..., None] + runs
  place = place + total * np.arange(RESAMPLES)[:, None, None]
  share = np.broadcast_to(1 / (size * len(counts)), runs.shape)
  flat = np.bincount(
    place[used], weights=share[used], minlength=RESAMPLES * total
  )
  return flat.reshape(RESAMPLES, total)


def _describe(
  parts: Sequence[dict[str, Any]], *, divided: bool
) -> dict[str, Any]:
  """Makes the interval of what was resampled, and says how."""
  mean = float(np.mean([part["mean"] for part in parts]))
  errors = [part["error"] for part in parts if part["error"] is not None]
  degrees = min(part["degrees"] for part in parts)
  error = None
  if len(errors) == len(parts):
    error = float(np.mean(np.square(errors))) ** 0.5
  ends: list[float | None] = [None, None]
  if error is not None:
    half = statistics.t_quantile(degrees) * error
    ends = [mean - half, mean + half]
  over_folds = all(part["over_folds"] for part in parts)
  over = OVER_RUNS
  if over_folds:
    over = OVER_DIVISIONS if divided else OVER_FOLDS
  return {
    "ci95_hierarchical": ends,
    "hierarchy": {
      "over": over,
      "mean": mean,
      "error": error,
      "degrees": degrees,
      "folds": max(part["folds"] for part in parts),
      "runs_per_fold": max(part["runs"] for part in parts),
      "resamples": RESAMPLES,
    },
  }


def explain(made: Mapping[str, Any]) -> str:
  """Says in a sentence what an interval is of, and what it is not.

  Args:
    made: The `hierarchy` of a summary.
  """
  folds, runs = made["folds"], made["runs_per_fold"]
  head = "Over folds: 95 % interval by a hierarchical bootstrap"
  if made["over"] == OVER_FOLDS:
    return (
      f"{head}, {folds} folds and then their runs ({runs} a fold), Student's"
      f" with {made['degrees']} degrees of freedom."
    )
  if made["over"] == OVER_DIVISIONS:
    return (
      f"{head}, {folds} folds: each seed divides the same utterances anew, so"
      " that it is the interval of one division."
    )
  return (
    f"{head} of the runs alone, the test utterances fixed: fewer than"
    f" {LEAST_FOLDS} folds do not tell how much other speakers differ, and the"
    " interval says how far the mean moves with other seeds, nothing else."
  )


def summarise_numbers(
  values: Sequence[float | None],
  folds: Sequence[Hashable],
  divisions: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
  """Summarises numbers of runs by both intervals; errors and correlations."""
  return {
    **statistics.summarise(values),
    **summarise(values, folds, divisions),
  }


def summarise_shares(
  values: Sequence[float | None],
  folds: Sequence[Hashable],
  divisions: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
  """Summarises numbers from 0 to 1 of runs, by both intervals.

  Returns:
    What `statistics.summarise_shares` returns, and what `summarise` does, both
    intervals inside of 0 and 1.
  """
  made = summarise(values, folds, divisions)
  low, high = made["ci95_hierarchical"]
  if low is not None:
    made["ci95_hierarchical"] = [max(low, 0.0), min(high, 1.0)]
  return {**statistics.summarise_shares(values), **made}
