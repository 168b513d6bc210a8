"""Checks that every folder makes, and the one line that they end in."""

import json

import pytest

from mmer_jax.base import errors


def test_a_value_that_is_none_of_the_choices_is_named():
  errors.check_choices("few_shot.method", "gem", ("none", "gem"))
  with pytest.raises(
    errors.UserError,
    match="^config.few_shot.method is 'gen', expected one of none, gem$",
  ):
    errors.check_choices("few_shot.method", "gen", ("none", "gem"))


def test_a_package_that_is_installed_is_returned():
  assert errors.require("json", "", "a test") is json
  assert errors.require("os.path", "", "a test").join("a", "b") == "a/b"


@pytest.mark.parametrize(
  ("extra", "install"),
  [("report", "'mmer_jax\\[report\\]'"), ("", "no_such_package_here")],
)
def test_a_package_that_is_missing_is_named_with_its_extra(extra, install):
  with pytest.raises(
    errors.UserError,
    match="^a figure needs the package no_such_package_here, which is not"
    f" installed; pip install {install}$",
  ):
    errors.require("no_such_package_here.part", extra, "a figure")
