"""Which runs of a finished workdir have failed."""

import numpy as np

from mmer_jax.evaluation import restore
from mmer_jax.training import step


def test_a_run_that_trained_and_selected_nothing_has_failed():
  """The others: selected, failed at step 0 and 5, imported untrained."""
  progress = step.Progress(
    **{
      **dict.fromkeys(step.Progress.__dataclass_fields__),
      "epoch": np.asarray([3, 3, 0, 2, 0]),
      "best_epoch": np.asarray([0, 2, 0, 1, 0]),
      "failed_step": np.asarray([-1, -1, 0, 5, -1]),
    }
  )
  got = restore._with_failures(progress)
  assert got.failed_step.tolist() == [0, -1, 0, 5, -1]
