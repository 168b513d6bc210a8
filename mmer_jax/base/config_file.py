"""Reads the config file that a flag names and checks the keys overridden.

`config_flags` of ml_collections does both, and ends in tracebacks; its flags
get this parser in `cli.run`.
"""

import difflib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence

import ml_collections
from ml_collections.config_flags import config_flags

from mmer_jax.base import errors, shipped, user_code

# What people call our keys elsewhere.
_SYNONYMS = {
  "audio": "acoustic",
  "batch": "batch_size",
  "bs": "batch_size",
  "clip": "clip_norm",
  "data_dir": "dir",
  "data_path": "dir",
  "epoch": "epochs",
  "fold": "folds",
  "grad_clip": "clip_norm",
  "gradient_clip": "clip_norm",
  "hidden_dim": "hidden",
  "hidden_size": "hidden",
  "l2": "weight_decay",
  "language": "lexical",
  "lr": "learning_rate",
  "max_epochs": "epochs",
  "max_len": "max_length",
  "max_norm": "clip_norm",
  "n_epochs": "epochs",
  "num_epochs": "epochs",
  "num_layers": "layers",
  "optim": "optimizer",
  "path": "dir",
  "seed": "seeds",
  "text": "lexical",
  "video": "visual",
  "vision": "visual",
  "wd": "weight_decay",
}


# Sections whose keys are seldom meant where another section has the same.
_SPECIAL = ("benchmark", "few_shot", "sweep", "unlabelled")


class ConfigFileParser(config_flags.ConfigFileFlagParser):
  """Reads `FILE[:VARIANT]` or a name in the place of the file.

  Every mistake is a `UserError` with its place.
  """

  def parse(self, path: str) -> ml_collections.ConfigDict:
    """Runs the file and returns what its `get_config` makes, locked.

    Args:
      path: The flag's value.

    Raises:
      UserError: The file cannot be run, makes no config, or has not a key that
        the command line overrides.
    """
    config = read(path, self.name)
    check_overrides(config, self.name, sys.argv)
    return config


def read(path: str, flag: str = "config") -> ml_collections.ConfigDict:
  """Runs a config file and returns what its `get_config` makes, locked.

  Args:
    path: `FILE[:VARIANT]`, or a name in the place of the file.
    flag: Name of the flag that it is the value of: which names there are.

  Raises:
    UserError: The file cannot be run, or makes no config.
  """
  name, _, variant = path.partition(":")
  if not name:
    raise errors.UserError(
      f"--{flag} is empty, expected FILE[:VARIANT]; see --help for an example"
    )
  file = shipped.find(name, flag)
  module = user_code.load(file, f"{flag}_config")
  make = getattr(module, "get_config", None)
  if not callable(make):
    raise errors.UserError(
      f"{file} defines no function get_config(), expected one that returns an"
      " ml_collections.ConfigDict; begin with a file of configs/"
    )
  arguments = [variant] if ":" in path else []
  if arguments and not inspect.signature(make).parameters:
    raise errors.UserError(
      f"{file} has no variants, got :{variant}; leave it out"
    )
  with user_code.naming_line(file):
    config = make(*arguments)
  if not isinstance(config, ml_collections.ConfigDict):
    raise errors.UserError(
      f"{file}: get_config() returned {_kind(config)}, expected an"
      " ml_collections.ConfigDict; begin with a file of configs/"
    )
  return config.lock()


def _kind(value: object) -> str:
  return "nothing" if value is None else f"a {type(value).__name__}"


def check_overrides(
  config: ml_collections.ConfigDict, name: str, argv: Sequence[str]
) -> None:
  """Refuses a flag `--name.KEY=...` whose key the config does not have.

  Args:
    config: The config.
    name: Name of its flag.
    argv: The command line.

  Raises:
    UserError: A key does not exist; names the nearest one that does.
  """
  flag = re.compile(rf"-{{1,2}}(?:no)?{re.escape(name)}\.([^=]+)")
  matches = (flag.match(argument) for argument in argv[1:])
  # Elements of tuples, as in `folds[0]`, are looked up by ml_collections.
  keys = [match[1] for match in matches if match and "[" not in match[1]]
  check_keys(config, keys, f"--{name}.")


def check_keys(
  config: ml_collections.ConfigDict,
  wanted: Sequence[str],
  prefix: str = "config.",
) -> None:
  """Refuses keys that a config does not have.

  Args:
    config: The config.
    wanted: The keys, as `optimizer.learning_rate`.
    prefix: What stands before a key in messages.

  Raises:
    UserError: A key does not exist; names the nearest one that does.
  """
  keys = list(flatten_keys(config))
  for key in wanted:
    if key not in keys:
      nearest = nearest_key(key, keys)
      hint = f"did you mean {prefix}{nearest}?" if nearest else "see the file"
      raise errors.UserError(
        f"{prefix}{key} is not a key of the config, expected one of its"
        f" {len(keys)} keys; {hint}"
      )


def flatten_keys(
  config: ml_collections.ConfigDict, section: str = ""
) -> Iterator[str]:
  """Lists the keys of a config and of its sections, as `data.dir`."""
  for key in config:
    yield f"{section}{key}"
    if isinstance(config[key], ml_collections.ConfigDict):
      yield from flatten_keys(config[key], f"{section}{key}.")


def nearest_key(wrong: str, keys: Sequence[str]) -> str | None:
  """Finds the key that a wrong one most likely means; None where none is near.

  The last part counts first: `optim.lr` is `optimizer.learning_rate`.
  """
  parts = [_SYNONYMS.get(part, part) for part in wrong.lower().split(".")]
  wanted = ".".join(parts)
  leaves = {key.rpartition(".")[2] for key in keys}
  near = difflib.get_close_matches(parts[-1], leaves, n=1, cutoff=0.8)
  candidates = [key for key in keys if key.rpartition(".")[2] in near]
  if not candidates:
    candidates = difflib.get_close_matches(wanted, keys, n=1, cutoff=0.6)

  section = ".".join(parts[:-1])

  def likeness(key: str) -> tuple[float, bool]:
    own = key.rpartition(".")[0]
    ratio = difflib.SequenceMatcher(None, section, own).ratio()
    return ratio, own not in _SPECIAL

  return max(candidates, key=likeness, default=None)
