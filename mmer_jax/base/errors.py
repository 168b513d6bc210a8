"""Defines the error of a user's mistake, and helps to raise it."""

import difflib
import importlib
from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
  """Says what is wrong, what was got and expected, and the fix, in one line."""


def check_choices(key: str, value: Any, choices: Iterable[Any]) -> None:
  """Refuses a value of the config that is none of those it may have.

  Args:
    key: The key's path in the config, as `protocol.decision`.
    value: Its value.
    choices: The values that it may have.

  Raises:
    UserError: The value is another one.
  """
  expected = list(choices)
  if value not in expected:
    raise UserError(
      f"config.{key} is {value!r}, expected one of"
      f" {', '.join(str(choice) for choice in expected)}"
    )


def did_you_mean(value: Any, choices: Iterable[Any]) -> str:
  """Names the choice nearest to a wrong value; empty where none is near."""
  by_lower = {str(choice).lower(): str(choice) for choice in choices}
  near = difflib.get_close_matches(str(value).lower(), by_lower, n=1)
  return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def require(module_name: str, extra: str, what: str) -> Any:
  """Imports an optional package, or says how to install it.

  Args:
    module_name: The module, as `matplotlib` or `safetensors.numpy`.
    extra: The extra of mmer_jax that installs it; `""` where none does.
    what: What needs it, as the subject of a sentence in the singular.

  Returns:
    The module.

  Raises:
    UserError: It is not installed.
  """
  try:
    return importlib.import_module(module_name)
  except ImportError as error:
    package = (error.name or module_name).partition(".")[0]
    install = f"'mmer_jax[{extra}]'" if extra else package
    raise UserError(
      f"{what} needs the package {package}, which is not installed; pip install"
      f" {install}"
    ) from None
