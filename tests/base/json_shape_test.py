"""What a JSON file holds is compared with what a command writes there."""

import pytest

from mmer_jax.base import json_shape

SHAPE = {"name": str, "runs": [{"run": int}], "counts": {...: (int, float)}}
SOUND = {"name": "a", "runs": [{"run": 1}], "counts": {"x": 1, "y": 0.5}}


def test_what_fits_has_no_fault_and_may_hold_more():
  assert json_shape.mismatch(SOUND, SHAPE) == ""
  assert json_shape.mismatch({**SOUND, "more": [None]}, SHAPE) == ""


@pytest.mark.parametrize(
  "changed, fault",
  [
    ({"name": 3}, "name is of type int"),
    ({"runs": {}}, "runs is of type dict"),
    ({"runs": [{"run": 1}, {}]}, "runs.run is missing"),
    ({"runs": [{"run": 1}, {"run": "1"}]}, "runs.run is of type str"),
    ({"counts": {"x": 1, "y": None}}, "counts.y is of type NoneType"),
  ],
)
def test_the_first_place_that_does_not_fit_is_named(changed, fault):
  assert json_shape.mismatch({**SOUND, **changed}, SHAPE) == fault


def test_a_key_that_is_missing_is_named():
  assert json_shape.mismatch({"name": "a"}, SHAPE) == "runs is missing"
  assert json_shape.mismatch([], SHAPE) == "its content is of type list"
