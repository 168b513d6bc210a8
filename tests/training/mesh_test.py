"""How devices are laid over runs and batches."""

import pytest

from mmer_jax.base import errors
from mmer_jax.training import mesh as mesh_lib

BATCH = 8


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (dict(runs=3, over_runs=2, over_data=1), "does not divide 3"),
    (dict(runs=4, over_runs=1, over_data=3), "does not divide 8"),
    (dict(runs=8, over_runs=8, over_data=1), "asks for 8 x 1 devices"),
  ],
)
def test_a_mesh_that_does_not_fit_is_refused(arguments, message):
  runs = arguments.pop("runs")
  with pytest.raises(errors.UserError, match=message):
    mesh_lib.make_mesh(runs, BATCH, **arguments)


@pytest.mark.parametrize(
  ("runs", "shape"), [(3, (3, 1)), (4, (4, 1)), (1, (1, 4)), (2, (2, 2))]
)
def test_the_automatic_mesh_uses_what_divides(runs, shape):
  mesh = mesh_lib.make_mesh(runs, BATCH, over_runs=0, over_data=0)
  assert tuple(mesh.shape.values()) == shape
