"""The metrics of ratings: formulas, and rules for targets that do not vary.

As in `core.metrics`, each is written once over the array namespace of its
input: the same lines select checkpoints inside the compiled program and score
results on the host. `docs/protocol.md` holds the formulas.

Rows whose mask is False do not exist. A metric that is undefined on a target is
left out of the mean over targets. Signs are compared only where a rating's
range has both, steps only where it is -3 to 3.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmer_jax.base import errors
from mmer_jax.core import metrics

_ALWAYS = ("mae", "pearson", "ccc")
_SIGNS = ("acc2_has0", "f1_has0", "acc2_non0", "f1_non0")
_STEPS = ("acc5", "acc7")

NAMES = (*_ALWAYS, *_SIGNS, *_STEPS)

# Smaller is better.
ERRORS = ("mae",)

# Lowest and highest value of a rating's scale.
Range = tuple[float, float]

# The scale of CMU-MOSI and CMU-MOSEI, whose whole numbers are classes.
_SEVEN = (-3.0, 3.0)


def names(ranges: Sequence[Range]) -> tuple[str, ...]:
  """Lists the metrics that are defined for any of some ratings."""
  found = list(_ALWAYS)
  if any(_has_signs(each) for each in ranges):
    found += _SIGNS
  if any(_has_steps(each) for each in ranges):
    found += _STEPS
  return tuple(found)


def check_selectable(key: str, name: str) -> None:
  """Refuses a metric that cannot pick a checkpoint of ratings.

  Args:
    key: The key of the config, for a message.
    name: The name of the metric.

  Raises:
    UserError: It is of decisions between emotions, of a test, or unknown.
  """
  choices = ("loss", *NAMES)
  if name in choices:
    return
  of_emotions = ", a metric of emotions" if name in metrics.NAMES else ""
  raise errors.UserError(
    f"config.{key} is {name!r}{of_emotions}, but config.protocol.decision is"
    f' "regression", expected one of {", ".join(choices)}; set'
    f" --config.{key}=mae"
  )


def compute(
  values: Any, truth: Any, mask: Any, ranges: Sequence[Range]
) -> dict[str, Any]:
  """Computes all metrics of a set of utterances, as means over the targets.

  Args:
    values: (n, k), what was predicted, NumPy or JAX.
    truth: (n, k), the ratings.
    mask: (n,) bool; False rows are left out.
    ranges: Of each target.

  Returns:
    Metric name to scalar, of `names(ranges)`. In the compiled program, which
    cannot raise, values that are not finite have an infinite error and are 0
    otherwise.

  Raises:
    UserError: A NumPy value is not finite.
  """
  finite = metrics.all_finite(values, mask)
  each = per_target(values, truth, mask, ranges)
  xp = values.__array_namespace__()
  return {
    name: xp.where(finite, _mean_defined(xp, each[name], worst), worst)
    for name, worst in (
      (name, xp.inf if name in ERRORS else 0.0) for name in names(ranges)
    )
  }


def per_target(
  values: Any, truth: Any, mask: Any, ranges: Sequence[Range]
) -> dict[str, Any]:
  """Computes the metrics of each target; NaN where one is undefined on it.

  Source: mean absolute error, Pearson's correlation; CCC: Lin 1989. The others
    are those of github.com/thuiar/MMSA, `src/MMSA/utils/metricsTop.py`
    (Has0_acc_2, Has0_F1_score, Non0_acc_2, Non0_F1_score, Mult_acc_5,
    Mult_acc_7): `has0` compares negative with not negative, `non0` negative
    with positive where the rating is not 0, F1 is weighted by support, and
    `acc5` and `acc7` round what was cut to -2..2 and -3..3.
  Deviation: Pearson's correlation is undefined where either side is constant,
    and not what rounding leaves of it.

  Args:
    values: (n, k).
    truth: (n, k).
    mask: (n,) bool.
    ranges: Of each target.

  Returns:
    Metric name to (k,), of `names(ranges)`, and `support` to the rows.

  Raises:
    UserError: A NumPy value is not finite.
  """
  metrics.all_finite(values, mask)
  xp = values.__array_namespace__()
  truth = truth.astype(values.dtype)
  real = xp.broadcast_to(mask[:, None], values.shape)
  each = {
    "mae": _mean(xp, xp.abs(values - truth), real),
    "pearson": _pearson(xp, values, truth, real),
    "ccc": concordance(values, truth, mask),
  }
  not_zero = real & (truth != 0)
  signs = dict(
    zip(
      _SIGNS,
      (
        *_two_classes(xp, values >= 0, truth >= 0, real),
        *_two_classes(xp, values > 0, truth > 0, not_zero),
      ),
      strict=True,
    )
  )
  steps = {
    f"acc{2 * most + 1}": _steps(xp, values, truth, real, most)
    for most in (2, 3)
  }
  found = names(ranges)
  for parts, wanted in ((signs, _has_signs), (steps, _has_steps)):
    defined = xp.asarray([wanted(each_range) for each_range in ranges])
    for name, value in parts.items():
      if name in found:
        each[name] = xp.where(defined, value, xp.nan)
  support = xp.sum(real, axis=0).astype(values.dtype)
  return {**each, "support": support}


def concordance(values: Any, truth: Any, mask: Any) -> Any:
  """Computes the concordance correlation coefficient of each column.

  2 cov / (var + var + (difference of the means)^2), of populations. A constant
  prediction has 0, whatever it is.

  Source: Lin 1989, "A concordance correlation coefficient to evaluate
    reproducibility", Biometrics 45.
  Deviation: none.

  Args:
    values: (n, k), NumPy or JAX.
    truth: (n, k).
    mask: (n,) bool; False rows are left out.

  Returns:
    (k,), NaN without a row and where all values and ratings are one number.
  """
  xp = values.__array_namespace__()
  real = xp.broadcast_to(mask[:, None], values.shape)
  a, b = (_centred(xp, each, real) for each in (values, truth))
  apart = _mean(xp, values, real) - _mean(xp, truth, real)
  bottom = _mean(xp, a * a, real) + _mean(xp, b * b, real) + apart * apart
  return _ratio(xp, 2 * _mean(xp, a * b, real), bottom)


def score(
  values: np.ndarray, truth: np.ndarray, ranges: Sequence[Range]
) -> dict[str, float | None]:
  """Computes the metrics of results; None where no target defines one."""
  mask = np.ones(len(truth), bool)
  each = per_target(values, truth, mask, ranges)
  means = compute(values, truth, mask, ranges)
  return {
    name: None if np.isnan(each[name]).all() else float(value)
    for name, value in means.items()
  }


def mean_baseline(
  train: np.ndarray, truth: np.ndarray, ranges: Sequence[Range]
) -> dict[str, float | None]:
  """Scores the mean rating of the training rows as the prediction of every row.

  Args:
    train: (m, k), the ratings of the training rows.
    truth: (n, k), of the split that is scored.
    ranges: Of each target.
  """
  mean = np.asarray(train, np.float64).mean(axis=0)
  values = np.broadcast_to(mean, truth.shape)
  return score(values, np.asarray(truth, np.float64), ranges)


def counts(
  values: np.ndarray, truth: np.ndarray, each: Range
) -> tuple[np.ndarray, np.ndarray]:
  """Counts which ratings were predicted for which, for a table of both.

  Args:
    values: (n,), of one target.
    truth: (n,).
    each: Its range.

  Returns:
    The places on the scale, whole numbers where there are 3 to 11 of them, else
    nine; and (places, places) counts of the nearest ones, row the truth.
  """
  low, high = each
  places = np.linspace(low, high, 9)
  if 2 <= high - low <= 10 and float(high - low).is_integer():
    places = np.arange(low, high + 0.5)
  row, column = (
    np.abs(side[:, None] - places).argmin(axis=1) for side in (truth, values)
  )
  table = np.zeros((len(places), len(places)), np.int64)
  np.add.at(table, (row, column), 1)
  return places, table


def _has_signs(each: Range) -> bool:
  """Tells whether a range has negative and positive values."""
  return each[0] < 0 < each[1]


def _has_steps(each: Range) -> bool:
  """Tells whether a range is that of seven classes."""
  return tuple(map(float, each)) == _SEVEN


def _ratio(xp: Any, top: Any, bottom: Any) -> Any:
  """Divides; NaN where the denominator is 0."""
  some = bottom > 0
  safe = xp.where(some, bottom, xp.ones_like(bottom))
  return xp.where(some, top / safe, xp.nan)


def _mean(xp: Any, values: Any, real: Any) -> Any:
  """Averages the real entries of each column; NaN where there is none."""
  total = xp.sum(xp.where(real, values, xp.zeros_like(values)), axis=0)
  return _ratio(xp, total, xp.sum(real, axis=0).astype(values.dtype))


def _is_constant(xp: Any, values: Any, real: Any) -> Any:
  """Tells which columns hold one number, or none."""
  least = xp.min(xp.where(real, values, xp.inf), axis=0)
  return xp.max(xp.where(real, values, -xp.inf), axis=0) <= least


def _centred(xp: Any, values: Any, real: Any) -> Any:
  """Subtracts the means; exact zeros where a column is constant."""
  away = values - _mean(xp, values, real)[None, :]
  some = real & ~_is_constant(xp, values, real)[None, :]
  return xp.where(some, away, xp.zeros_like(away))


def _pearson(xp: Any, values: Any, truth: Any, real: Any) -> Any:
  """Computes Pearson's correlation of each column."""
  a, b = (_centred(xp, each, real) for each in (values, truth))
  lengths = [xp.sqrt(xp.sum(each * each, axis=0)) for each in (a, b)]
  # One after the other: the product of two small ones may be 0.
  value = _ratio(xp, _ratio(xp, xp.sum(a * b, axis=0), lengths[0]), lengths[1])
  return xp.clip(value, -1.0, 1.0)


def _two_classes(
  xp: Any, chosen: Any, truth: Any, real: Any
) -> tuple[Any, Any]:
  """Computes accuracy and F1 weighted by support of each column's two sides."""
  right = _mean(xp, (chosen == truth).astype(float), real)
  weighted = 0.0
  for side in (True, False):
    of_side, said = real & (truth == side), real & (chosen == side)
    support, both = (
      xp.sum(each, axis=0).astype(right.dtype)
      for each in (of_side, of_side & said)
    )
    total = support + xp.sum(said, axis=0).astype(right.dtype)
    f1 = 2 * both / xp.where(total > 0, total, xp.ones_like(total))
    weighted = weighted + support * f1
  count = xp.sum(real, axis=0).astype(right.dtype)
  return right, _ratio(xp, weighted, count)


def _steps(xp: Any, values: Any, truth: Any, real: Any, most: int) -> Any:
  """Computes how often both round to one whole number within -most..most."""
  a, b = (xp.round(xp.clip(each, -most, most)) for each in (values, truth))
  return _mean(xp, (a == b).astype(values.dtype), real)


def _mean_defined(xp: Any, values: Any, empty: float) -> Any:
  """Averages over the targets that the metric is defined on."""
  defined = ~xp.isnan(values)
  mean = _mean(xp, values[:, None], defined[:, None])[0]
  return xp.where(xp.isnan(mean), empty, mean)
