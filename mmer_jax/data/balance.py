"""Divides units, such as a speaker's utterances, into groups that are alike."""

import numpy as np

# Units up to which moves and exchanges are tried: those are pairs of units.
_REFINED_UNITS = 1000
# Each pass comes closer; ten were never needed.
_PASSES = 10


def group_rows(
  units: np.ndarray, labels: np.ndarray, groups: int, rng: np.random.Generator
) -> np.ndarray:
  """Divides rows into groups of about as many rows and rows of each label.

  Args:
    units: (n,) the unit of each row, as its speaker; a unit stays whole.
    labels: (n, k) of the rows, 1 where present.
    groups: How many; at most as many as there are units.
    rng: Decides between units that are alike.

  Returns:
    (n,) the group of each row, from 0; no group is empty.
  """
  names, unit = np.unique(units, return_inverse=True)
  kinds = np.concatenate([np.ones((len(units), 1)), labels], axis=1)
  counts = np.zeros((len(names), kinds.shape[1]))
  np.add.at(counts, unit, kinds)
  return balanced_groups(counts, groups, rng)[unit]


def balanced_groups(
  counts: np.ndarray, groups: int, rng: np.random.Generator
) -> np.ndarray:
  """Divides units so that every group has the same share of every count.

  Minimises the sum over groups and columns of the squared shares: units go one
  after another, those of the largest shares first, where they add the least;
  then units move or change places as long as that helps. It is a heuristic: the
  best division is a hard problem.

  Args:
    counts: (u, c), what each unit has of each kind, as rows and rows of each
      label; not negative, and every unit has some of the first.
    groups: How many, at most u.
    rng: Decides between units that are alike.

  Returns:
    (u,) the group of each unit, from 0; no group is empty.
  """
  totals = counts.sum(axis=0)
  shares = counts[:, totals > 0] / totals[totals > 0]
  weights = np.square(shares).sum(axis=1)
  # Units that are alike side by side, so that they are dealt evenly.
  keys = (rng.permutation(len(counts)), *shares.T, -weights.round(12))
  chosen = np.zeros(len(counts), np.int64)
  filled = np.zeros((groups, shares.shape[1]))
  for unit in np.lexsort(keys):
    chosen[unit] = np.argmin(filled @ shares[unit])
    filled[chosen[unit]] += shares[unit]
  if len(counts) <= _REFINED_UNITS:
    _refine(shares, chosen, filled)
  return chosen


def _refine(shares: np.ndarray, chosen: np.ndarray, filled: np.ndarray) -> None:
  """Moves and exchanges units, in place, while that brings groups closer."""
  for _ in range(_PASSES):
    changed = False
    for unit, own in enumerate(shares):
      source = chosen[unit]
      # A unit against every unit, and against nothing in every group.
      given = np.concatenate([shares, np.zeros_like(filled)]) - own
      target = np.concatenate([chosen, np.arange(len(filled))])
      gain = ((filled[source] - filled[target] + given) * given).sum(axis=1)
      gain[target == source] = 0.0
      if (chosen == source).sum() == 1:
        gain[len(shares) :] = 0.0
      best = int(np.argmin(gain))
      if gain[best] >= -1e-12:
        continue
      changed = True
      filled[source] += given[best]
      filled[target[best]] -= given[best]
      chosen[unit] = target[best]
      if best < len(shares):
        chosen[best] = source
    if not changed:
      return
