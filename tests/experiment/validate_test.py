"""Choices of a config that do not exist, or do not go together."""

import pytest

from configs import quickstart
from mmer_jax.base import errors
from mmer_jax.experiment import validate


def made(**changes):
  config = quickstart.get_config("full")
  with config.unlocked():
    config.update_from_flattened_dict(changes)
  return config


def test_the_rules_are_those_of_the_config():
  config = made(**{"schedule.patience": 3, "training.select": "f1"})
  rules = validate.make_rules(config)
  assert rules.patience == 3
  assert rules.select == "f1"
  assert rules.decision == "softmax"
  assert rules.curve_thresholds == ()


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("protocol.decision", "argmax", "'argmax', expected one of binary, softma"),
    ("loss.class_weight", "even", "'even', expected one of balanced, none"),
    ("few_shot.optimizer", "lion", "'lion', expected one of adam, sgd"),
    ("training.select", "test_auc", "config.training.select"),
    ("few_shot.select", "auk", "config.few_shot.select"),
    ("protocol.unseen", (("sad",),), "needs one decision per emotion"),
    ("training.curve_thresholds", (0.5,), "are of binary decisions"),
  ],
)
def test_a_choice_that_does_not_exist_or_fit_is_refused(key, value, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    validate.make_rules(made(**{key: value}))
  assert "\n" not in str(caught.value)
