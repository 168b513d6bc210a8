"""Checks the numbers of a config before anything is read or written."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from mmer_jax.base import errors

# Numbers reach the devices as float32 and int32.
_LARGEST = float(np.finfo(np.float32).max)
_LARGEST_COUNT = 2**31 - 1


class Range(NamedTuple):
  """Says which numbers a key may have.

  Attributes:
    text: The range for people.
    low: The lowest number.
    high: The highest number.
    whole: Whether it is a whole number.
    open_low: Whether `low` itself is out of the range.
    open_high: Whether `high` itself is out of the range.
  """

  text: str
  low: float = -_LARGEST
  high: float = _LARGEST
  whole: bool = False
  open_low: bool = False
  open_high: bool = False


_FINITE = Range("a finite number", -_LARGEST)
_ABOVE_0 = Range("a finite number above 0", 0, open_low=True)
_AT_LEAST_0 = Range("a finite number of at least 0", 0)
_COUNT = Range("a whole number of at least 0", 0, _LARGEST_COUNT, whole=True)
_AT_LEAST_1 = Range(
  "a whole number of at least 1", 1, _LARGEST_COUNT, whole=True
)
_SHARE = Range("a share above 0, at most 1", 0, 1, open_low=True)
_DROPOUT = Range("a share of at least 0, below 1", 0, 1, open_high=True)
_FROM_0_TO_1 = Range("a share from 0 to 1", 0, 1)
_BETWEEN_0_AND_1 = Range(
  "a number above 0 and below 1", 0, 1, open_low=True, open_high=True
)
_SEED = Range("a whole number from 0 to 2**32 - 1", 0, 2**32 - 1, whole=True)

_RANGES = {
  "optimizer.learning_rate": _ABOVE_0,
  "optimizer.weight_decay": _AT_LEAST_0,
  "optimizer.clip_norm": _AT_LEAST_0,
  "schedule.factor": _SHARE,
  "schedule.patience": _COUNT,
  "training.batch_size": _AT_LEAST_1,
  "training.epochs": _AT_LEAST_1,
  "training.early_stopping": _COUNT,
  "training.steps_per_dispatch": _AT_LEAST_1,
  "protocol.threshold": _BETWEEN_0_AND_1,
  "protocol.k": Range(
    "a whole number of at least 3: one part tests, one validates, the others"
    " train",
    3,
    _LARGEST_COUNT,
    whole=True,
  ),
  "few_shot.share": _SHARE,
  "few_shot.epochs": _AT_LEAST_1,
  "few_shot.early_stopping": _COUNT,
  "few_shot.rate": _ABOVE_0,
  "few_shot.memory": _AT_LEAST_1,
  "few_shot.margin": _AT_LEAST_0,
  "few_shot.eps": _AT_LEAST_0,
  "unlabelled.per_class": _COUNT,
  "unlabelled.count": Range(
    "a whole number of at least 0, or -1 for all",
    -1,
    _LARGEST_COUNT,
    whole=True,
  ),
  "noise.snr": _ABOVE_0,
  "noise.share": _FROM_0_TO_1,
  "noise.strength": _FROM_0_TO_1,
  "repair.tau": _FINITE,
  "repair.ridge": _AT_LEAST_0,
  "repair.max_false_alarm": _FROM_0_TO_1,
  "repair.min_balanced_accuracy": _FROM_0_TO_1,
  "repair.tau_snr": _AT_LEAST_0,
  "repair.components": _AT_LEAST_1,
  "repair.neighbours": _AT_LEAST_1,
  "mesh.runs": _COUNT,
  "mesh.data": _COUNT,
  "checkpoint.every_epochs": _AT_LEAST_1,
  "checkpoint.keep": _AT_LEAST_1,
}

# Of `config.model`, by the last part of a key. Other numbers are sizes.
_MODEL_RANGES = {
  "dropout": _DROPOUT,
  "lexical_dropout": _DROPOUT,
  "output_dropout": _DROPOUT,
  "temperature": _ABOVE_0,
  "sigma": _ABOVE_0,
  "beta": _AT_LEAST_0,
  "margin": _AT_LEAST_0,
  "block_size": _COUNT,
}


def check_ranges(config: ml_collections.ConfigDict) -> None:
  """Refuses numbers that would train nothing, or nothing meant.

  Raises:
    UserError: A number of the config is out of its range.
  """
  for key, allowed in _RANGES.items():
    section, _, name = key.partition(".")
    check_number(key, config[section][name], allowed)
  for key, allowed in (
    ("training.curve_thresholds", _BETWEEN_0_AND_1),
    ("protocol.folds", _AT_LEAST_1),
    ("sweep.learning_rate", _ABOVE_0),
    ("sweep.weight_decay", _AT_LEAST_0),
    ("sweep.clip_norm", _AT_LEAST_0),
    ("sweep.unlabelled", _COUNT),
  ):
    section, _, name = key.partition(".")
    for value in config[section][name]:
      check_number(key, value, allowed)
  for modality, length in config.data.max_length.items():
    check_number(f"data.max_length.{modality}", length, _COUNT)
  _check_seeds(config)
  _check_model("model", config.model)


def check_number(key: str, value: Any, allowed: Range) -> None:
  """Refuses what is no number of a range.

  Args:
    key: The key's path in the config.
    value: Its value.
    allowed: The range.

  Raises:
    UserError: The value is no number, or out of the range.
  """
  kinds = (int, np.integer) if allowed.whole else (int, float, np.number)
  within = (
    isinstance(value, kinds)
    and not isinstance(value, bool)
    and allowed.low <= value <= allowed.high
    and not (allowed.open_low and value == allowed.low)
    and not (allowed.open_high and value == allowed.high)
  )
  if not within:
    raise errors.UserError(
      f"config.{key} is {value!r}, expected {allowed.text}"
    )


def _check_seeds(config: ml_collections.ConfigDict) -> None:
  """Refuses seeds that are no different uint32."""
  if not config.seeds or len(set(config.seeds)) < len(config.seeds):
    raise errors.UserError(
      f"config.seeds is {tuple(config.seeds)}, expected different seeds, one at"
      " least"
    )
  for seed in config.seeds:
    check_number("seeds", seed, _SEED)


def _check_model(key: str, value: Any) -> None:
  """Refuses sizes, rates and weights of `config.model` out of their range.

  What a system makes of its own keys, it checks itself.
  """
  if isinstance(value, Mapping | ml_collections.ConfigDict):
    for name, part in value.items():
      _check_model(f"{key}.{name}", part)
  elif isinstance(value, tuple | list):
    for part in value:
      _check_model(key, part)
  elif not isinstance(value, str | bool | None):
    section, name = key.split(".")[-2:]
    size = _AT_LEAST_1 if isinstance(value, int) else _FINITE
    allowed = _MODEL_RANGES.get(name, size)
    check_number(key, value, _AT_LEAST_0 if section == "weights" else allowed)
