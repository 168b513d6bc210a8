"""What each system's step costs, beside what it did cost: counts, no times."""

import json
import os
import subprocess
import sys

import jax
import pytest

from mmer_jax.systems import registry
from tests import program_counts

KEPT = json.loads(program_counts.KEPT.read_text("utf-8"))
# Of a count, more or less.
TOLERANCE = 0.02


def test_every_system_is_counted():
  assert set(program_counts.CONFIGS) == set(registry.SYSTEMS)


# The others under `long`: each is traced twice.
OFTEN = ("dae_mmd", "mtee")


@pytest.mark.parametrize(
  "system",
  [
    pytest.param(name, marks=() if name in OFTEN else pytest.mark.long)
    for name in sorted(program_counts.CONFIGS)
  ],
)
def test_a_step_has_the_flops_loops_and_matmuls_that_it_had(system):
  now = program_counts.before_compilation(program_counts.read(system))
  kept = KEPT["before_compilation"][system]
  assert now == pytest.approx(kept, rel=TOLERANCE), (
    "the cost of a step has changed; if it is meant, run"
    " `python -m tests.program_counts --write`"
  )


@pytest.mark.long
def test_the_compiled_programs_are_those_that_they_were():
  if jax.__version__ != KEPT["jax"]:
    pytest.skip(f"counted with jax {KEPT['jax']}, here is {jax.__version__}")
  # Without the flags by which tests compile fast.
  environment = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("JAX_", "XLA_"))
  }
  done = subprocess.run(
    [sys.executable, "-m", "tests.program_counts"],
    env=environment | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    check=True,
    text=True,
  )
  now = json.loads(done.stdout)["compiled"]
  for system, kept in KEPT["compiled"].items():
    for key, value in kept.items():
      assert now[system][key] == pytest.approx(value, rel=TOLERANCE), (
        system,
        key,
      )
