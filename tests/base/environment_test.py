"""What a result says of the machine that made it."""

import json
import os
import platform

from mmer_jax.base import environment


def test_the_environment_names_versions_and_no_machine():
  text = json.dumps(environment.environment())
  assert platform.node() not in text
  assert os.getcwd() not in text
  assert {"jax", "flax", "numpy", "device_kind"} <= set(
    environment.environment()
  )
