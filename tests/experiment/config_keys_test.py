"""Comments of config files beside the keys that they are about."""

import ml_collections

from mmer_jax.experiment import config_keys

COMMON = """
def base(config):
  config.system = ""
  config.data = ml_collections.ConfigDict()
  # Where the shards are.
  # Two lines.
  config.data.dir = ""

  # Of the section.
  config.repair = ml_collections.ConfigDict(
    {
      "score": "pearson",
      # From 0 to 1.
      "tau": 0.0,
    }
  )
  config.alpha = 1  # Not above.
"""
OWN = """
def own(config):
  # Ours.
  config.repair.update(tau=0.5)
  # Read as well.
  config.alpha = 2
"""


def test_keys_come_in_the_order_of_the_files_with_what_is_said_of_them(
  tmp_path,
):
  (tmp_path / "common.py").write_text(COMMON)
  (tmp_path / "own.py").write_text(OWN)
  config = ml_collections.ConfigDict(
    {
      "alpha": 2,
      "data": {"dir": ""},
      "repair": {"score": "pearson", "tau": 0.5},
      "system": "mtee",
      "unknown": 3,
    }
  )
  text = config_keys.describe(
    config, [tmp_path / "common.py", tmp_path / "own.py"]
  )
  assert text.split("\n") == [
    "system = 'mtee'",
    "# Where the shards are.",
    "# Two lines.",
    "data.dir = ''",
    "# Ours.",
    "repair.score = 'pearson'",
    "# From 0 to 1.",
    "repair.tau = 0.5",
    "# Read as well.",
    "alpha = 2",
    "unknown = 3",
  ]
