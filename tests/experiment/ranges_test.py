"""Numbers of a config that would train nothing, or nothing meant."""

import math

import pytest

from configs import quickstart
from configs.dae_mmd import fully
from configs.multiview import taught
from mmer_jax.base import errors
from mmer_jax.experiment import ranges


def changed(config, **changes):
  with config.unlocked():
    config.update_from_flattened_dict(changes)
  return config


@pytest.mark.parametrize("module", [quickstart, fully, taught])
def test_a_config_as_it_is_passes(module):
  ranges.check_ranges(module.get_config(module.VARIANTS[0]))


@pytest.mark.parametrize(
  ("key", "value", "expected"),
  [
    ("optimizer.learning_rate", 0.0, "a finite number above 0"),
    ("optimizer.learning_rate", math.nan, "a finite number above 0"),
    ("optimizer.learning_rate", math.inf, "a finite number above 0"),
    ("optimizer.learning_rate", 1e39, "a finite number above 0"),
    ("optimizer.weight_decay", -1e-3, "a finite number of at least 0"),
    ("optimizer.clip_norm", -1.0, "a finite number of at least 0"),
    ("model.dropout", 1.0, "a share of at least 0, below 1"),
    ("model.dropout", -0.1, "a share of at least 0, below 1"),
    ("model.layers", 0, "a whole number of at least 1"),
    ("model.hidden.acoustic", -3, "a whole number of at least 1"),
    ("model.multiplicative.beta", math.nan, "a finite number of at least 0"),
    ("schedule.factor", 0.0, "a share above 0, at most 1"),
    ("schedule.factor", 10.0, "a share above 0, at most 1"),
    ("schedule.patience", -1, "a whole number of at least 0"),
    ("protocol.k", 2, "at least 3: one part tests"),
    ("training.batch_size", 0, "a whole number of at least 1"),
    ("training.epochs", 0, "a whole number of at least 1"),
    ("training.early_stopping", -1, "a whole number of at least 0"),
    ("training.curve_thresholds", (0.5, 1.0), "a number above 0 and below 1"),
    ("protocol.threshold", 0.0, "a number above 0 and below 1"),
    ("protocol.threshold", math.nan, "a number above 0 and below 1"),
    ("protocol.folds", (0,), "a whole number of at least 1"),
    ("few_shot.share", 1.5, "a share above 0, at most 1"),
    ("few_shot.rate", 0.0, "a finite number above 0"),
    ("few_shot.memory", 0, "a whole number of at least 1"),
    ("unlabelled.count", -2, "or -1 for all"),
    ("noise.snr", math.inf, "a finite number above 0"),
    ("noise.share", 1.1, "a share from 0 to 1"),
    ("repair.tau", math.nan, "a finite number"),
    ("repair.ridge", -0.1, "a finite number of at least 0"),
    ("data.max_length.lexical", -1, "a whole number of at least 0"),
    ("sweep.learning_rate", (1e-3, -1e-3), "a finite number above 0"),
    ("sweep.weight_decay", ("a",), "a finite number of at least 0"),
    ("seeds", (-1,), "a whole number from 0 to 2"),
    ("seeds", (2**32,), "a whole number from 0 to 2"),
    ("seeds", (0.5,), "a whole number from 0 to 2"),
    ("seeds", (True,), "a whole number from 0 to 2"),
    ("seeds", (), "expected different seeds"),
    ("seeds", (1, 1), "expected different seeds"),
  ],
)
def test_a_number_out_of_its_range_is_refused(key, value, expected):
  config = changed(quickstart.get_config("full"), **{key: value})
  with pytest.raises(errors.UserError, match=f"config.{key} is") as caught:
    ranges.check_ranges(config)
  assert expected in str(caught.value)
  assert "\n" not in str(caught.value)


def test_numbers_at_the_ends_of_their_range_pass():
  config = changed(
    quickstart.get_config("full"),
    **{
      "model.dropout": 0.0,
      "optimizer.clip_norm": 0.0,
      "schedule.factor": 1.0,
      "seeds": (0, 2**32 - 1),
      "unlabelled.count": -1,
      "few_shot.share": 1.0,
    },
  )
  ranges.check_ranges(config)


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("model.weights.alpha", -0.1),
    ("model.weights.omega", math.inf),
    ("model.matching.sigma", (1.0, 0.0)),
    ("model.matching.block_size", -1),
    ("model.dense.acoustic", (8, 0)),
  ],
)
def test_weights_and_sizes_of_a_model_are_checked(key, value):
  config = changed(fully.get_config("full"), **{key: value})
  with pytest.raises(errors.UserError, match=f"config.{key} is"):
    ranges.check_ranges(config)
