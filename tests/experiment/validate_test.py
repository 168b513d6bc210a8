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


def rated(**changes):
  return made(
    **{"protocol.decision": "regression", "training.select": "mae", **changes}
  )


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("training.select", "f1", "a metric of emotions.*training.select=mae"),
    ("training.select", "test_mae", "expected one of loss, mae"),
    ("loss.ratings", "huber", "'huber', expected one of l1, l2, ccc"),
    ("few_shot.method", "gem", "learns new emotions"),
    ("protocol.unseen", (("sad",),), "needs one decision per emotion"),
    ("training.curve_thresholds", (0.5,), "are of binary decisions"),
    ("unlabelled.per_class", 3, "set it to 0"),
    ("data.words", ("sad=sadly",), "are words for emotions"),
  ],
)
def test_what_is_of_emotions_is_refused_where_ratings_are_learnt(
  key, value, message
):
  validate.make_rules(rated())
  with pytest.raises(errors.UserError, match=message) as caught:
    validate.make_rules(rated(**{key: value}))
  assert "\n" not in str(caught.value)


def test_a_metric_that_no_rating_has_cannot_select():
  rules = validate.make_rules(rated(**{"training.select": "acc7"}))
  seven, five = (-3.0, 3.0), (1.0, 5.0)
  assert validate.rate(rules, (five, seven)).rating_ranges == (five, seven)
  with pytest.raises(errors.UserError, match="'acc7'.*1 to 5 do not define"):
    validate.rate(rules, (five,))
