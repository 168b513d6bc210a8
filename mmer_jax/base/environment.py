"""Describes the versions and devices that a result was computed with."""

import platform
from typing import Any

import flax
import jax
import jaxlib
import numpy as np
import optax
import orbax.checkpoint

from mmer_jax.base import version


def environment() -> dict[str, Any]:
  """Lists versions and devices; nothing that names the machine or its user."""
  devices = jax.devices()
  return {
    "python": platform.python_version(),
    "mmer_jax": version.__version__,
    "jax": jax.__version__,
    "jaxlib": jaxlib.__version__,
    "flax": flax.__version__,
    "optax": optax.__version__,
    "orbax": orbax.checkpoint.__version__,
    "numpy": np.__version__,
    "platform": platform.system(),
    "devices": len(devices),
    "device_kind": devices[0].device_kind,
  }
