"""The flags of all sources, on one command line."""

import sys

from absl import flags

from data_prep.sources import flags as source_flags
from data_prep.sources import registry


def test_help_shows_every_flag_of_every_source():
  values = flags.FlagValues()
  source_flags.define(values)
  # --help shows those of the module that the command is: here this one.
  shown = values.get_key_flags_for_module(sys.modules[__name__])
  names = {flag.name for flag in shown}
  for source in registry.SOURCES.values():
    assert source.flags <= names, source.flags - names
