"""Summarises numbers over runs: mean, deviation and confidence interval."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_LEAST_FOR_INTERVAL = 3


@functools.cache
def t_quantile(degrees: int) -> float:
  """Computes the 0.975 quantile of Student's t, for a 95 % interval.

  Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4: P(|T| < t) is a finite
  sum where the degrees of freedom are whole. It is inverted by bisection.

  Args:
    degrees: The degrees of freedom, at least 1.
  """

  def within(t: float) -> float:
    """Computes the probability that |T| is smaller."""
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

  low, high = 0.0, 16.0
  while high - low > 1e-13 * high:
    middle = (low + high) / 2
    low, high = (middle, high) if within(middle) < 0.95 else (low, middle)
  return (low + high) / 2


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
