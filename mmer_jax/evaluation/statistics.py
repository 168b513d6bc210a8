"""Summarises numbers over runs: mean, deviation and confidence interval."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np


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

  The interval is Student's; with one value there is none. Values that are
  None (undefined, or of a failed run) are left out and not counted.
  """
  known = [value for value in values if value is not None]
  n = len(known)
  if not n:
    return {"mean": None, "std": None, "ci95": [None, None], "n": 0}
  mean = float(np.mean(known))
  if n == 1:
    return {"mean": mean, "std": None, "ci95": [None, None], "n": 1}
  std = float(np.std(known, ddof=1))
  half = t_quantile(n - 1) * std / n**0.5
  return {"mean": mean, "std": std, "ci95": [mean - half, mean + half], "n": n}
