"""Tells scores of emotions from presence, before every row is a positive.

A label above 0 means that an emotion is present. Scores from 1 to 5 are all
above 0: without a threshold every utterance would have every emotion.
"""

import numpy as np

from mmer_jax.base.errors import UserError


class Ranges:
  """Gathers the range of each label column."""

  def __init__(self, positive_above: float | None) -> None:
    """Takes the threshold; None where the user gave none."""
    if positive_above is not None and not np.isfinite(positive_above):
      raise UserError(
        f"--positive_above={positive_above:g} is above or below every label;"
        " expected a finite number"
      )
    self._threshold = positive_above
    self._ranges: dict[str, tuple[float, float]] = {}

  def add(self, name: str, values: np.ndarray | float) -> None:
    """Widens the range of a column by some values; NaN tells nothing."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if known.size:
      low, high = self._ranges.get(name, (np.inf, -np.inf))
      self._ranges[name] = (
        min(low, float(known.min())),
        max(high, float(known.max())),
      )

  def check(self, where: str) -> None:
    """Raises a `UserError` for a column of scores without a threshold."""
    if self._threshold is not None:
      return
    for name, (low, high) in self._ranges.items():
      if low > 0 and high != 1:
        raise UserError(
          f"{where}: label {name} holds values from {low:g} to {high:g} and"
          " never 0, so that every utterance would have the emotion; give"
          f" --positive_above=N, such as {(low + high) / 2:g}"
        )


def refuse_threshold(positive_above: float | None, where: str) -> None:
  """Raises a `UserError` for a threshold of labels that are no scores."""
  if positive_above is not None:
    raise UserError(
      f"--positive_above={positive_above:g} cuts label columns, and {where}"
      " holds none; leave it out"
    )
