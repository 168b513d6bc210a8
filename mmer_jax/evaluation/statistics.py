"""Summarises numbers over runs; Student's t; Holm's correction."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_LEAST_FOR_INTERVAL = 3


@functools.cache
def t_quantile(degrees: int) -> float:
  """Computes the 0.975 quantile of Student's t, for a 95 % interval.

  It is inverted by bisection.

  Args:
    degrees: The degrees of freedom, at least 1.
  """
  low, high = 0.0, 16.0
  while high - low > 1e-13 * high:
    middle = (low + high) / 2
    low, high = (
      (middle, high) if t_within(middle, degrees) < 0.95 else (low, middle)
    )
  return (low + high) / 2


def t_within(t: float, degrees: int) -> float:
  """Computes the probability that |T| of Student's t is smaller than `t`.

  Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4: a finite sum where the
  degrees of freedom are whole.
  """
  angle = math.atan(t / math.sqrt(degrees))
  cosine = math.cos(angle)
  odd = degrees % 2
  term, total = 1.0, 0.0
  for j in range(degrees // 2):
    total += term
    # 2/3, 4/5, ... where the degrees are odd, 1/2, 3/4, ... where even.
    term *= (2 * j + 1 + odd) / (2 * j + 2 + odd) * cosine * cosine
  total *= math.sin(angle)
  return 2 / math.pi * (angle + cosine * total) if odd else total


def p_value(mean: float, error: float | None, degrees: int) -> float | None:
  """Computes the two-sided p-value of a mean that is 0 in truth.

  Args:
    mean: The mean.
    error: Its standard error; None where there is none.
    degrees: The degrees of freedom.

  Returns:
    None where nothing varies: there is nothing to compare the mean with.
  """
  if not error:
    return None
  return max(1 - t_within(abs(mean) / error, degrees), 0.0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
  """Adjusts p-values for how many there are.

  Source: Holm 1979: the smallest is multiplied by their number, the next one by
  one less, and so on; none is smaller than one before it. Where those below
  0.05 are called different, the chance of one that is not is at most 5 %,
  however they depend on each other.

  Args:
    p_values: None where there is none: not counted.

  Returns:
    The adjusted ones, in the same order.
  """
  known = np.asarray([p for p in p_values if p is not None], np.float64)
  order = np.argsort(known, kind="stable")
  factors = np.arange(len(known), 0, -1)
  raised = np.maximum.accumulate(known[order] * factors)
  adjusted = np.empty_like(known)
  adjusted[order] = np.minimum(raised, 1.0)
  values = iter(adjusted.tolist())
  return [None if p is None else next(values) for p in p_values]


def summarise(values: Sequence[float | None]) -> dict[str, Any]:
  """Computes mean, sample standard deviation and 95 % interval of the mean.

  The interval is Student's. With two values its half width is 12.7 times their
  standard error, which says nothing: there is none below three values. Values
  that are None (undefined, or of a failed run) are left out and not counted.
  """
  known = [value for value in values if value is not None]
  n = len(known)
  if not n:
    return {"mean": None, "std": None, "ci95": [None, None], "n": 0}
  mean = float(np.mean(known))
  std = float(np.std(known, ddof=1)) if n > 1 else None
  ends: list[float | None] = [None, None]
  if std is not None and n >= _LEAST_FOR_INTERVAL:
    half = t_quantile(n - 1) * std / n**0.5
    ends = [mean - half, mean + half]
  return {"mean": mean, "std": std, "ci95": ends, "n": n}


def summarise_shares(values: Sequence[float | None]) -> dict[str, Any]:
  """Summarises numbers from 0 to 1; their interval stays inside.

  A mean of shares is one, so that what the interval has beyond 0 and 1 is cut:
  it still holds the mean as often.
  """
  summary = summarise(values)
  ends = summary["ci95"]
  if ends[0] is not None:
    summary["ci95"] = [max(ends[0], 0.0), min(ends[1], 1.0)]
  return summary
