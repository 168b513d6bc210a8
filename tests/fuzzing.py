"""How many inputs a property test tries: a few, or those of `MMER_FUZZ`."""

import os

from hypothesis import HealthCheck, settings


def short(examples: int) -> settings:
  """The same few each time, for every run of the suite."""
  return settings(
    max_examples=examples,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
  )


# Others each time, under `-m long`.
LONG = settings(
  parent=short(1),
  max_examples=int(os.environ.get("MMER_FUZZ", "10000")),
  derandomize=False,
)
