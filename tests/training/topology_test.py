"""Programs for TPUs that are not there; without `libtpu`, what is said."""

import importlib.util
import math
import sys

import pytest

from mmer_jax.base import errors
from mmer_jax.training import mesh as mesh_lib
from mmer_jax.training import topology
from tests import program_counts


def smoke(system="mtee", mesh="0x0"):
  config = program_counts.read(system)
  with config.unlocked():
    mesh_lib.set_mesh(config, mesh)
  return config


@pytest.fixture
def compiler():
  if importlib.util.find_spec("libtpu") is None:
    pytest.skip("needs the extra tpu")


def test_without_the_compiler_one_line_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, "libtpu", None)
  with pytest.raises(errors.UserError, match=r"--topology=v5e:2x2 .*\[tpu\]"):
    topology.compile_for(smoke(), topology="v5e:2x2", runs=4)


def test_a_mesh_is_two_numbers():
  config = smoke(mesh="2x3")
  assert (config.mesh.runs, config.mesh.data) == (2, 3)
  for wrong in ("", "4", "4x", "ax1", "1x2x3", "-1x2"):
    with pytest.raises(errors.UserError, match="expected devices over"):
      smoke(mesh=wrong)


def test_an_estimate_is_the_slower_of_computing_and_moving():
  chip = topology.Chip(flops=100.0, bandwidth=10.0, memory=1.0)
  slow = topology.estimate(chip, {"flops": 300.0, "bytes": 20.0})
  assert slow == {"roofline_step_seconds": 3.0, "bound_by": "compute"}
  slow = topology.estimate(chip, {"flops": 300.0, "bytes": 50.0})
  assert slow == {"roofline_step_seconds": 5.0, "bound_by": "memory"}


@pytest.mark.long
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("system", sorted(program_counts.CONFIGS))
@pytest.mark.parametrize("slice_", ["v5e:2x2", "v4:2x2x1"])
def test_every_system_compiles_for_four_chips(system, slice_):
  result = topology.compile_for(
    smoke(system, "4x1"), topology=slice_, runs=4, steps=2
  )
  assert result["fits"] and result["chips"] == 4
  memory, step = result["memory_per_chip"], result["per_step_and_chip"]
  assert 0 < memory["total_bytes"] < memory["chip_bytes"]
  assert step["flops"] > 0 and step["fusions"] > 0
  assert step["loops_of_unknown_length"] == 0
  # Runs know nothing of each other.
  assert step["collectives"] == {}
  assert math.isfinite(result["estimate"]["roofline_step_seconds"])


@pytest.mark.long
@pytest.mark.usefixtures("compiler")
def test_gradients_of_a_batch_over_two_chips_are_reduced():
  result = topology.compile_for(
    smoke(mesh="1x2"), topology="v5e:2x2", runs=1, steps=2
  )
  assert result["mesh"] == {"runs": 1, "data": 2}
  assert result["per_step_and_chip"]["collectives"]["all-reduce"]["count"] >= 1


@pytest.mark.usefixtures("compiler")
def test_a_slice_that_there_is_not_is_refused():
  with pytest.raises(errors.UserError, match="expected a slice"):
    topology.compile_for(smoke(), topology="v5e:banana", runs=4)
